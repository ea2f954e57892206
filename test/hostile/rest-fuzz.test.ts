/** The short form of the fuzzer of REST; the long one is run by hand, see rest-fuzz.ts. */
import { expect, it } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import { reportOf, runRestFuzz } from './rest-fuzz.ts';

/** `.ci/run` has 100,000 cases, beside no other test. */
const cases = Number(process.env['TEST_REST_FUZZ_CASES'] ?? 10_000);

it(`${cases} generated requests get the right answers, leave nothing behind, and disturb no neighbour`, async () => {
  const database = await createTestDatabase();
  try {
    const result = await runRestFuzz({ databaseUrl: database.url, cases, seed: 20_261_130, warmUp: 5000 });
    const reported = reportOf(result);
    console.log(reported);
    expect(result.faults, reported).toEqual([]);
    expect(result.running, reported).toBe(true);
    expect(result.cases).toBeGreaterThanOrEqual(cases);
    expect(result.internalErrors, reported).toBe(0);
    expect(result.printed).toBe('');
    expect(Object.values(result.left), reported).toEqual(Object.values(result.left).map(() => 0));
    expect(result.neighbour.messages).toBeGreaterThan(0);
    expect(result.rssAfter).toBeLessThan(result.rssBefore + 64 * 1024 * 1024);
  } finally {
    await database.drop();
  }
}, 600_000);
