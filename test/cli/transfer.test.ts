/** `parley export`, `import` and `users`, as an operator runs them. `npm run build` must have been run. */
import { spawn } from 'node:child_process';
import { createWriteStream, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { temporaryFolder } from '../support/processes.ts';
import { entry, makeDataDir, runProgram, spawnServer } from '../support/spawn.ts';
import { connectStock, text } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

/** TRANSFER_MESSAGES=1000000 for the long form. */
const messages = Number(process.env['TRANSFER_MESSAGES'] ?? 25_000);

it.each([
  [['export'], {}, 'export needs either --room R or --all.'],
  [['export', '--room', 'r', '--all'], {}, 'export needs either --room R or --all.'],
  [['export', '--room', 'a b'], {}, '--room: a room id is'],
  [['export', '--all', '--since', 'soon'], {}, '--since soon: expected a time'],
  [['export', '--all', 'x'], {}, "Unexpected argument 'x'"],
  [['import', 'a', 'b'], {}, 'import takes one file.'],
  [['import', '/no/such/file'], {}, '/no/such/file cannot be read'],
  [['users'], {}, 'users needs forget.'],
  [['users', 'forget'], {}, 'users forget needs one user'],
  [['users', 'forget', 'a', 'b'], {}, 'users forget needs one user'],
  [['users', 'forget', 'a b'], {}, 'users forget needs one user: a user id is'],
] as [string[], Record<string, string>, string][])('%j is refused in plain words', async (args, env, message) => {
  const { code, stdout, stderr } = await runProgram(args, env);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toContain(message);
  expect(stderr).not.toMatch(/^ {4}at /m);
});

async function fill(sql: TestDatabase['sql'], room: string, count: number): Promise<void> {
  await sql.begin(async (tx) => {
    await tx`set local statement_timeout = 0`;
    await tx`insert into users (id, name) select 'u' || n, 'User ' || n from generate_series(1, 50) n on conflict do nothing`;
    await tx`
        insert into rooms (id, kind, created_by, last_seq, last_rev, member_count) values (${room}, 'group', 'u1', ${count}, ${count}, 50)`;
    await tx`insert into members (room_id, user_id, role) select ${room}, 'u' || n, 'member' from generate_series(1, 50) n`;
    await tx`
        insert into messages (room_id, seq, id, rev, sender_id, body, created_at)
        select ${room}, n, gen_random_uuid(), n, 'u' || (n % 50 + 1), jsonb_build_object('text', repeat('word ' || n || ' ', 40)),
          date_trunc('milliseconds', now() - interval '1 year' + n * interval '1 second')
        from generate_series(1, ${count}::integer) n`;
  });
}

const peakOf = (stderr: string): number => Number(/Peak memory: (\d+) MB/.exec(stderr)?.[1]);

/** Into a file, as a shell does it. */
async function exportTo(file: string, database: TestDatabase, ...args: string[]): Promise<number> {
  const child = spawn(process.execPath, [entry, 'export', ...args], {
    env: { PATH: process.env['PATH'] ?? '', DATABASE_URL: database.url },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (part: string) => (stderr += part));
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  await pipeline(child.stdout, createWriteStream(file));
  expect([await ended, stderr]).toEqual([0, expect.stringMatching(/^Exported 1 rooms, \d+ messages\./) as unknown]);
  return peakOf(stderr);
}

async function importFrom(file: string, database: TestDatabase): Promise<{ stderr: string; code: number | null }> {
  const child = spawn(process.execPath, [entry, 'import'], {
    env: { PATH: process.env['PATH'] ?? '', DATABASE_URL: database.url },
    stdio: [openSync(file, 'r'), 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (part: string) => (stderr += part));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { stderr, code };
}

/** Bytes: a text of a million messages would be longer than a string may be. */
const rest = (file: string): Buffer => {
  const all = readFileSync(file);
  return all.subarray(all.indexOf('\n'));
};

describe(`${messages} messages`, () => {
  let source: TestDatabase;
  let target: TestDatabase;
  let folder: string;
  beforeAll(async () => {
    source = await createTestDatabase();
    target = await createTestDatabase();
    folder = temporaryFolder('parley-export-');
    await fill(source.sql, 'large', messages);
    await fill(source.sql, 'small', 1000);
  }, 300_000);
  afterAll(async () => {
    await source.drop();
    await target.drop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('go out and come back in memory that does not grow with them', { timeout: 900_000 }, async () => {
    const [large, small, back] = ['large', 'small', 'back'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    const little = await exportTo(small, source, '--room', 'small');
    const from = performance.now();
    const much = await exportTo(large, source, '--room', 'large');
    const exportMs = performance.now() - from;
    const megabytes = Math.round(statSync(large).size / 1024 ** 2);
    // young garbage that was not collected yet differs from run to run; the file itself is far larger
    expect(much - little).toBeLessThan(100);
    const first = await importFrom(small, target);
    const begun = performance.now();
    const second = await importFrom(large, target);
    const importMs = performance.now() - begun;
    expect([first.code, second.code]).toEqual([0, 0]);
    expect(second.stderr).toContain(`Imported 1 rooms; ${messages} messages were new.`);
    expect(peakOf(second.stderr) - peakOf(first.stderr)).toBeLessThan(100);
    await exportTo(back, target, '--room', 'large');
    expect(rest(back).equals(rest(large))).toBe(true);
    console.log(
      `${messages} messages, ${megabytes} MB: export ${Math.round(exportMs)} ms, peak ${much} MB (1,000 messages: ${little} MB); ` +
        `import ${Math.round(importMs)} ms, peak ${peakOf(second.stderr)} MB (1,000: ${peakOf(first.stderr)} MB)`,
    );
  });

  it('names the line of a broken file', async () => {
    const file = join(folder, 'broken');
    writeFileSync(file, '{"type":"export","format":1,"at":1,"since":null}\noops\n');
    const { code, stderr } = await importFrom(file, target);
    expect([code, stderr]).toEqual([1, 'Line 2: no JSON.\nNothing was stored.\n']);
  });
});

const withoutTime = (lines: string): string => lines.replace(/"at":\d+,"since"/, '"since"');

describe('on the embedded database', () => {
  it(
    'rooms are exported beside a server, and exported, imported and users forgotten without one',
    { timeout: 120_000 },
    async () => {
      const [one, two] = [makeDataDir(), makeDataDir()];
      const server = await spawnServer({ PARLEY_DATA_DIR: one.path });
      const client = await connectStock(server.url, await one.tokenOf('ann'));
      await client.ok('room:create', { kind: 'group', name: 'R', id: 'r' });
      await client.ok('message:send', text('r', { text: 'x' }));
      // the mark of what the sender has read is stored a moment after the message
      const beside = await until('the read mark is stored', async () => {
        const exported = await runProgram(['export', '--all'], { PARLEY_DATA_DIR: one.path });
        expect(exported.code).toBe(0);
        return exported.stdout.includes('"read":1') && exported;
      });
      client.close();
      server.kill('SIGTERM');
      await server.exit();
      const out = await runProgram(['export', '--all'], { PARLEY_DATA_DIR: one.path });
      expect(out.code).toBe(0);
      expect(withoutTime(out.stdout)).toBe(withoutTime(beside.stdout));
      const file = join(one.path, 'export');
      writeFileSync(file, out.stdout);
      await runProgram(['migrate'], { PARLEY_DATA_DIR: two.path });
      const into = await runProgram(['import', file], { PARLEY_DATA_DIR: two.path });
      expect([into.code, into.stderr]).toEqual([0, expect.stringContaining('Imported 1 rooms; 1 messages were new.')]);
      const forgot = await runProgram(['users', 'forget', 'ann'], { PARLEY_DATA_DIR: two.path });
      expect(forgot).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^Forgot user ann: 1 rooms left, 1 messages/) as unknown,
      });
      one.remove();
      two.remove();
    },
  );
});
