/** How often the keys are read, whatever the number of callers. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { KnownKeys, maxWaiting } from '../../../src/api/keys/known-keys.ts';
import { readKeyText } from '../../../src/api/keys/key-text.ts';
import { StoredKeys } from '../../../src/api/keys/stored-keys.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { silentLog } from '../../support/messaging.ts';
import { settings, wanted } from './nodes.ts';

let database: TestDatabase;
let stored: StoredKeys;
const running: KnownKeys[] = [];
beforeAll(async () => {
  database = await createTestDatabase();
  stored = new StoredKeys(database.sql, settings);
});
afterEach(async () => {
  for (const known of running.splice(0)) await known.stop();
});
afterAll(() => database.drop());

function polling(reads: number[]): KnownKeys {
  const made = new KnownKeys({
    read: (version) => {
      reads.push(performance.now());
      return stored.changedSince(version);
    },
    now: () => Date.now(),
    requestsPerHour: 1,
    log: silentLog,
  });
  running.push(made);
  return made;
}

it('one read serves all callers that wait for it', async () => {
  const reads: number[] = [];
  const keys = polling(reads);
  await Promise.all(Array.from({ length: maxWaiting }, () => keys.fresh()));
  expect(reads).toHaveLength(1);
  expect(keys.isStale).toBe(false);
});

it('reads begin at least 100 ms apart', async () => {
  const reads: number[] = [];
  const keys = polling(reads);
  for (let n = 0; n < 5; n++) await keys.fresh();
  const gaps = reads.slice(1).map((at, n) => at - (reads[n] ?? 0));
  // a timer of Node may end a millisecond early
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(98);
});

it('a read that began before a change does not answer for it', async () => {
  const reads: number[] = [];
  const keys = polling(reads);
  const early = keys.fresh();
  await early;
  const { text } = await stored.create(wanted());
  const presented = readKeyText(text);
  if (presented === undefined) throw new Error('a key of another form');
  expect(keys.match(presented)).toBeUndefined();
  await keys.fresh();
  expect(keys.match(presented)?.name).toBe('Billing');
});

it('the keys are read once for each version', async () => {
  const first = await stored.changedSince(undefined);
  expect(await stored.changedSince(first?.version)).toBeUndefined();
  const { key } = await stored.create(wanted());
  const second = await stored.changedSince(first?.version);
  expect(second?.rows.map(({ id }) => id)).toContain(key.id);
  await stored.noteUses(new Map([[key.id, Date.now()]]));
  expect(await stored.changedSince(second?.version)).toBeUndefined();
});
