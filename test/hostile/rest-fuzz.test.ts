/** The short form of the fuzzer of REST; the long one is run by hand, see rest-fuzz.ts. */
import { expect, it } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import { reportOf, runRestFuzz } from './rest-fuzz.ts';

const mega = 1024 * 1024;
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
    // caches fill by 12 MiB; the process grew by 28 to 66 MiB in equal runs, as the allocator gives pages back or not
    expect(result.heapAfter).toBeLessThan(result.heapBefore + 32 * mega);
    expect(result.rssAfter).toBeLessThan(result.rssBefore + 128 * mega);
  } finally {
    await database.drop();
  }
}, 600_000);
