import { createHash } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openServer } from '../../src/storage/database.ts';
import { migrate, migrationsPending } from '../../src/storage/migrate.ts';
import { StartupError } from '../../src/startup-error.ts';
import { createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

/** The letters of 0014 before those that the locale of PGlite lacks. */
const fewerLetters = String.raw`  select '\u0e00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u20a0-\u20a7\u20a9-\u20cf\u2190-\u245f\u2500-\u2bff\u2e80-\u2fdf\u3004-\u3007\u3012\u3013\u3020-\u302f\u3031-\u303c\u303e-\u309f\u30a1-\u30fa\u30fc-\u31ff\u3400-\u4dbf\u4dc0-\u9fff\ua000-\ua4cf\ua960-\ua9ff\uaa60-\uaadf\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdf\U00010000-\U0001d3ff\U0001d800-\U0001f0ff\U0001f1e6-\U0001fbef\U0001fc00-\U0010ffff'`;

describe('migrate', () => {
  let database: TestDatabase;
  let folder: string;
  const write = (files: Record<string, string>): void => {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  };
  beforeEach(async () => {
    database = await createTestDatabase({ empty: true });
    folder = mkdtempSync(join(tmpdir(), 'parley-migrations-'));
    write({
      '0001_first.sql': `create table a (id int);
        create function f() returns int language plpgsql as $$ begin return 1; end $$;`,
      '0002_second.sql': 'insert into a values (1); create index on a (id);',
    });
  });
  afterEach(async () => {
    await database.drop();
    rmSync(folder, { recursive: true });
  });

  it('applies what is missing, in order, once', async () => {
    expect(await migrationsPending(database.sql, folder)).toEqual(['0001_first', '0002_second']);
    expect(await migrate(database.sql, folder)).toEqual(['0001_first', '0002_second']);
    expect(await migrationsPending(database.sql, folder)).toEqual([]);
    expect(await migrate(database.sql, folder)).toEqual([]);
    write({ '0003_third.sql': 'insert into a values (3)' });
    expect(await migrationsPending(database.sql, folder)).toEqual(['0003_third']);
    expect(await migrate(database.sql, folder)).toEqual(['0003_third']);
    expect(await database.sql`select id from a order by id`).toEqual([{ id: 1 }, { id: 3 }]);
  });

  it('is safe with twenty at once', async () => {
    const clients = await Promise.all(
      Array.from({ length: 20 }, () => openServer({ url: database.url, poolSize: 1, statementTimeoutMs: 2000 })),
    );
    write({ '0003_slow.sql': 'select pg_sleep(0.2); insert into a values (3)' });
    const applied = await Promise.all(clients.map((client) => migrate(client.sql, folder)));
    await Promise.all(clients.map((client) => client.close()));
    expect(applied.flat().sort()).toEqual(['0001_first', '0002_second', '0003_slow']);
    expect(await database.sql`select id from a order by id`).toEqual([{ id: 1 }, { id: 3 }]);
  });

  it('takes back a migration that fails, names the line, and goes on from there once the file is fixed', async () => {
    write({ '0003_bad.sql': 'insert into a values (3);\n\nselect nonsense;\n' });
    const error: unknown = await migrate(database.sql, folder).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(StartupError);
    expect(String(error)).toContain('Migration 0003_bad failed (line 3): column "nonsense" does not exist');
    expect(await database.sql`select id from a`).toEqual([{ id: 1 }]);
    expect(await migrationsPending(database.sql, folder)).toEqual(['0003_bad']);
    write({ '0003_bad.sql': 'insert into a values (3)' });
    expect(await migrate(database.sql, folder)).toEqual(['0003_bad']);
  });

  it('refuses an applied migration that was edited, but not other line ends', async () => {
    await migrate(database.sql, folder);
    write({ '0002_second.sql': 'insert into a values (1); create index on a (id);'.replaceAll('\n', '\r\n') });
    expect(await migrate(database.sql, folder)).toEqual([]);
    write({ '0002_second.sql': 'insert into a values (2)' });
    await expect(migrate(database.sql, folder)).rejects.toThrow('0002_second was edited after it had been applied');
    await expect(migrationsPending(database.sql, folder)).rejects.toThrow(StartupError);
  });

  it('refuses a database that is newer than the files', async () => {
    await migrate(database.sql, folder);
    rmSync(join(folder, '0002_second.sql'));
    await expect(migrate(database.sql, folder)).rejects.toThrow(
      'The database is newer than this Parley: it has 0002_second, this one ends with 0001_first',
    );
  });

  it('takes a newer database whose migrations say that this version may run beside them', async () => {
    await migrate(database.sql, folder);
    write({
      '0003_third.sql': '-- A column that nobody needs.\n-- Runs beside: 0001\nalter table a add column b int',
      '0004_fourth.sql': '-- Runs beside: 0002\ncreate table c ()',
    });
    expect(await migrate(database.sql, folder)).toEqual(['0003_third', '0004_fourth']);
    rmSync(join(folder, '0004_fourth.sql'));
    rmSync(join(folder, '0003_third.sql'));
    // the version of 0002 runs, and may be started again
    expect(await migrationsPending(database.sql, folder)).toEqual([]);
    expect(await migrate(database.sql, folder)).toEqual([]);
    // that of 0001 is too old for one of them
    rmSync(join(folder, '0002_second.sql'));
    await expect(migrationsPending(database.sql, folder)).rejects.toThrow('The database is newer than this Parley');
    await expect(migrate(database.sql, folder)).rejects.toThrow('it has 0002_second, this one ends with 0001_first');
  });

  it('refuses a newer database whose migrations do not say so, and names the oldest version where one does', async () => {
    write({ '0003_third.sql': '-- Runs beside: 0003\nselect 1' });
    await migrate(database.sql, folder);
    rmSync(join(folder, '0003_third.sql'));
    await expect(migrate(database.sql, folder)).rejects.toThrow(
      'it has 0003_third, this one ends with 0002_second; versions from migration 0003 on may run',
    );
  });

  it('writes nothing where nothing is missing: a read-only database is no reason not to start', async () => {
    await migrate(database.sql, folder);
    const readOnly = await openServer({ url: `${database.url}?default_transaction_read_only=on`, poolSize: 1 });
    expect(await migrate(readOnly.sql, folder)).toEqual([]);
    write({ '0003_third.sql': 'select 1' });
    await expect(migrate(readOnly.sql, folder)).rejects.toMatchObject({ code: '25006' });
    await readOnly.close();
  });

  it('takes a database with the first form of 0011 once, and brings its functions to those of the file', async () => {
    const { sql } = database;
    for (const file of readdirSync(folder)) rmSync(join(folder, file));
    const all = fileURLToPath(new URL('../../migrations/', import.meta.url));
    for (const file of readdirSync(all)) if (file < '0012') copyFileSync(join(all, file), join(folder, file));
    await migrate(sql, folder);
    const unreadRooms = () => sql<[{ body: string; checksum: string }]>`
      select prosrc as body, (select checksum from schema_migrations where number = 11) as checksum
      from pg_proc where proname = 'unread_rooms'`;
    const [before] = await unreadRooms();
    // as a database of that version: its form of the function, its checksum, no column for versions
    const first = before.body.replace(' offset 0)', ')');
    expect(first).not.toBe(before.body);
    await sql.unsafe(`create or replace function unread_rooms(viewer text, after text, max_rooms integer, max_unread integer)
      returns table (room text, read bigint, seq bigint, unread bigint, mentions bigint, at timestamptz)
      language plpgsql stable as $f$${first}$f$`);
    await sql`alter table schema_migrations drop column runs_beside`;
    await sql`update schema_migrations
      set checksum = 'd1ac590af2ee7aab5ca2491c74ffedae379164a42ceeb2819998f3adb7c0807c' where number = 11`;
    await migrate(sql, folder);
    expect(await unreadRooms()).toEqual([before]);
    // and all later ones apply
    await migrate(sql);
    expect(await migrationsPending(sql)).toEqual([]);
  });

  it('takes a database with the form of 0014 that has fewer letters, and ends with the same functions', async () => {
    const { sql } = database;
    for (const file of readdirSync(folder)) rmSync(join(folder, file));
    const all = fileURLToPath(new URL('../../migrations/', import.meta.url));
    for (const file of readdirSync(all))
      if (/^00[0-2]\d_/.test(file)) copyFileSync(join(all, file), join(folder, file));
    rmSync(join(folder, '0029_strangers.sql'));
    const text = readFileSync(join(all, '0014_text.sql'), 'utf8');
    const fewer = text
      .replace(
        / Letters and numbers that the locale of PGlite\n-- does not know are among them: to its parser they are no words\./,
        '',
      )
      .replace(/^ {2}select '\\u0870.*$/m, () => fewerLetters);
    expect(createHash('sha256').update(fewer).digest('hex')).toBe(
      '861e35df0c7352e637fc1eaacc2992bfab4b27ed5fc431fccc622e1569cf46d8',
    );
    write({ '0014_text.sql': fewer });
    await migrate(sql, folder);
    await migrate(sql);
    expect(await migrationsPending(sql)).toEqual([]);
    const [row] = await sql<[{ letters: string; checksum: string }]>`
      select search_unspaced() as letters, (select checksum from schema_migrations where number = 14) as checksum`;
    expect(row.letters).toContain(String.raw`\u0870`);
    expect(row.checksum).toBe(createHash('sha256').update(text).digest('hex'));
  });

  it('refuses a migration slipped in before an applied one', async () => {
    rmSync(join(folder, '0001_first.sql'));
    write({ '0002_second.sql': 'create table b ()' });
    await migrate(database.sql, folder);
    write({ '0001_late.sql': 'select 1' });
    await expect(migrate(database.sql, folder)).rejects.toThrow('has the migration 0002_second where this Parley has');
  });

  it('refuses two files of one number, and names that sort nowhere', async () => {
    write({ '0002_again.sql': '' });
    await expect(migrate(database.sql, folder)).rejects.toThrow('Two migrations have the number');
    rmSync(join(folder, '0002_again.sql'));
    write({ '3_short.sql': '' });
    await expect(migrate(database.sql, folder)).rejects.toThrow('3_short.sql is not named like 0001_name.sql');
  });

  it('has applied the migrations of this version to every test database', async () => {
    const full = await createTestDatabase();
    expect(await migrationsPending(full.sql)).toEqual([]);
    await full.drop();
  });
});
