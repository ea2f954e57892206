/** Released migrations stay as they are. `migrations/CHECKSUMS` lists them; docs/database.md says how to add one. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { readMigrations, readSchema } from '../../src/storage/migrate.ts';

const folder = fileURLToPath(new URL('../../migrations/', import.meta.url));
const released = readFileSync(`${folder}CHECKSUMS`, 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => /^([0-9a-f]{64}) {2}(\d{4}_\w+\.sql)$/.exec(line)?.slice(1) ?? [line, '']);

it('every released migration is what it was', () => {
  for (const [checksum, name = ''] of released) {
    const text = readFileSync(`${folder}${name}`, 'utf8').replaceAll('\r\n', '\n');
    expect(createHash('sha256').update(text).digest('hex'), name).toBe(checksum);
  }
});

it('the list has no hole: no file that is not released comes before one that is', () => {
  const names = readdirSync(folder)
    .filter((name) => name.endsWith('.sql'))
    .toSorted();
  expect(released.map(([, name]) => name)).toEqual(names.slice(0, released.length));
  expect(released.length).toBeGreaterThanOrEqual(11);
});

it('every migration from 0017 on says which version may run beside it', () => {
  const silent = readMigrations().filter(({ number, runsBeside }) => number > 16 && runsBeside === undefined);
  expect(silent.map(({ name }) => name)).toEqual([]);
});

it('functions that changed since the release come with a numbered file that is not released', () => {
  const { migrations, functions } = readSchema();
  const lines = functions.map(({ name, checksum }) => `${checksum}  functions/${name}.sql\n`);
  const changed = lines.join('') !== readFileSync(`${folder}functions/CHECKSUMS`, 'utf8');
  // its number says that a node of the release is older; without it two releases would undo each other's functions
  expect(changed && migrations.length === released.length).toBe(false);
});
