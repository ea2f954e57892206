/** The short form of the fuzzer; the long one is run by hand, see fuzz.ts. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { report, runFuzz } from './fuzz.ts';

const cases = 100_000;
let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

it(`${cases} generated cases leave nothing behind, and neighbours are served throughout`, async () => {
  const result = await runFuzz({ databaseUrl: database.url, cases, seed: 20_261_121, warmUp: 20_000 });
  const reported = report(result);
  console.log(reported);
  expect(result.faults, reported).toEqual([]);
  expect(result.running, reported).toBe(true);
  expect(result.cases).toBeGreaterThanOrEqual(cases);
  expect(result.internalErrors).toBe(0);
  expect(result.printed).toBe('');
  expect(result.held).toMatchObject({ Connection: 2, PollingWire: 1 });
  expect(result.left).toEqual({ connections: 0, Connection: 0, PollingWire: 0, Candidate: 0, Assembly: 0 });
  expect(result.neighbour.messages).toBeGreaterThan(0);
  expect(result.rssAfter).toBeLessThan(result.rssBefore + 64 * 1024 * 1024);
}, 180_000);
