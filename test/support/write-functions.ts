/**
 * node --import tsx test/support/write-functions.ts [--after NNNN]
 *
 * Writes migrations/functions from a database: the bodies as they are there, the comments as they are in the files. The script
 * migrates a separate database. `--after NNNN` applies the function files between the numbered files up to NNNN and
 * the later ones. So functions that the later numbered files replace come into the files, and the others stay.
 *
 * A new overload takes over the comment of the file, and the old one gets the heading for earlier nodes. A new function
 * gets no comment; test/storage/functions.test.ts fails until its contract is there.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openServer } from '../../src/storage/database.ts';
import { readSchema } from '../../src/storage/migrate.ts';
import { startPostgres } from './services.ts';
import { listFunctions, type SqlFunction } from './sql-functions.ts';

const heading = '-- For nodes of an earlier release\n';
const folder = fileURLToPath(new URL('../../migrations/functions/', import.meta.url));

/** The comment in front of each statement of a file, by the statement's first line. */
function commentsOf(text: string): Map<string, string> {
  const found = text.matchAll(/((?:^--.*\n)*)^(create or replace function [\s\S]*?)\nas \$\$[\s\S]*?\$\$;/gm);
  return new Map([...found].map(([, comment = '', head = '']) => [head, comment]));
}

const headOf = ({ statement }: SqlFunction): string => statement.slice(0, statement.indexOf('\nas $$'));

function textOf(overloads: readonly SqlFunction[], before: string): string {
  const comments = commentsOf(before);
  const known = overloads.filter((one) => comments.has(headOf(one)));
  const added = overloads.filter((one) => !known.includes(one));
  const [contract = ''] = comments.values();
  const takenOver = added.length > 0 && contract !== '';
  const parts = [...added, ...known].map((one, at) => {
    const own = comments.get(headOf(one)) ?? '';
    if (takenOver && at === 0) return contract + one.statement;
    return (takenOver && own === contract ? heading : own) + one.statement;
  });
  return `${parts.join('\n\n')}\n`;
}

const { values: args } = parseArgs({ options: { after: { type: 'string', default: '9999' } } });
const postgres = await startPostgres();
const database = await openServer({ url: postgres.url, poolSize: 1, statementTimeoutMs: 60_000 });
try {
  const { migrations, functions } = readSchema();
  const { sql } = database;
  await sql`set check_function_bodies = off`;
  for (const file of migrations.filter(({ number }) => number <= Number(args.after))) await sql.unsafe(file.text);
  // a file that an earlier run wrote for a function of a later number
  const made = new Set((await listFunctions(sql)).map(({ name }) => name));
  for (const file of functions) if (made.has(file.name)) await sql.unsafe(file.text);
  for (const file of migrations.filter(({ number }) => number > Number(args.after))) await sql.unsafe(file.text);
  const byName = new Map<string, SqlFunction[]>();
  for (const one of await listFunctions(sql)) {
    if (!one.anchored) byName.set(one.name, [...(byName.get(one.name) ?? []), one]);
  }
  for (const [name, overloads] of byName) {
    const path = `${folder}${name}.sql`;
    const before = existsSync(path) ? readFileSync(path, 'utf8') : '';
    const text = textOf(overloads, before);
    if (text === before) continue;
    writeFileSync(path, text);
    console.log(`${before === '' ? 'new' : 'changed'}: migrations/functions/${name}.sql`);
  }
  for (const { name } of functions) if (!byName.has(name)) console.log(`no function any more: ${name}`);
} finally {
  await database.close();
  await postgres.stop();
}
