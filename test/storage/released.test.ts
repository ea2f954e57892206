/** Released migrations stay as they are. `migrations/CHECKSUMS` lists them; docs/database.md says how to add one. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { readMigrations, readSchema } from '../../src/storage/migrate.ts';

const folder = fileURLToPath(new URL('../../migrations/', import.meta.url));
const list = readFileSync(`${folder}CHECKSUMS`, 'utf8').trimEnd().split('\n');
const released = list.map((line) => /^([0-9a-f]{64}) {2}(\d{4}_\w+\.sql)$/.exec(line)?.slice(1) ?? [line, '']);
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/**
 * The lines of earlier releases, as a checksum: an edit of a migration and of its line in CHECKSUMS fails here. A release
 * appends lines. A release may raise both values, and changes them only together with appended lines.
 */
const earlier = { lines: 25, sha256: '519ef9c02cd1135d649887d75c2cd10ded9c3a1c17696753eee539d428723db2' };
/** Was in the list for some commits and in no release: src/storage/migrate.ts accepts databases with this form of 0014. */
const neverReleased = '861e35df0c7352e637fc1eaacc2992bfab4b27ed5fc431fccc622e1569cf46d8  0014_text.sql';

const git = (...args: string[]): string => execFileSync('git', args, { cwd: folder, encoding: 'utf8' });
const hasHistory =
  existsSync(`${folder}../.git`) && (process.env['PATH'] ?? '').split(':').some((path) => existsSync(`${path}/git`));

it('the lines of earlier releases are what they were', () => {
  expect(sha256(`${list.slice(0, earlier.lines).join('\n')}\n`)).toBe(earlier.sha256);
});

it.skipIf(!hasHistory)('every line that was ever committed to the list is still in the list', () => {
  const commits = git('log', '--full-history', '--format=%H', 'HEAD', '--', 'CHECKSUMS').trimEnd().split('\n');
  const texts = commits.map((commit) => git('show', `${commit}:./CHECKSUMS`));
  const committed = new Set(texts.flatMap((text) => text.trimEnd().split('\n')));
  expect(committed.size).toBeGreaterThanOrEqual(earlier.lines);
  expect([...committed].filter((line) => !list.includes(line) && line !== neverReleased)).toEqual([]);
});

it('every released migration is what it was', () => {
  for (const [checksum, name = ''] of released) {
    const text = readFileSync(`${folder}${name}`, 'utf8').replaceAll('\r\n', '\n');
    expect(sha256(text), name).toBe(checksum);
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
