/**
 * Random interleavings of loads, writes and invalidations keep the guarantees of src/storage/cache.ts, however messages
 * between the nodes arrive. `PARLEY_CACHE_MINUTES=5` runs longer.
 */
import {
  array,
  assert,
  asyncProperty,
  constant,
  constantFrom,
  integer,
  nat,
  oneof,
  record,
  type Arbitrary,
} from 'fast-check';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { kindNames } from '../../../src/storage/cache/kinds.ts';
import { MemoryCache } from '../../../src/storage/cache/memory.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { cacheLimits, newPrefix, openCacheNode } from '../../support/cache.ts';
import { until } from '../../support/until.ts';
import { History, withFaults, type Fault, type HistoryNode, type Step } from './histories.ts';

const minutes = Number(process.env['PARLEY_CACHE_MINUTES'] ?? 0);
const length =
  minutes > 0
    ? { numRuns: 1_000_000, interruptAfterTimeLimit: minutes * 60_000, endOnFailure: true }
    : { numRuns: 25, endOnFailure: true };
const limitMs = minutes * 60_000 + 120_000;
const leaseMs = 150;
const keys = 2;

const stepOf = (nodes: number): Arbitrary<Step> => {
  const place = { node: nat(nodes - 1), key: nat(keys - 1) };
  return oneof(
    {
      weight: 3,
      arbitrary: record({ is: constant('read' as const), ...place, beforeMs: nat(8), afterMs: nat(20) }),
    },
    {
      weight: 2,
      arbitrary: record({
        is: constant('write' as const),
        ...place,
        by: constantFrom('key' as const, 'tag' as const),
      }),
    },
  );
};
const historyOf = (nodes: number) =>
  array(record({ step: stepOf(nodes), pauseMs: nat(6) }), { minLength: 10, maxLength: 60 });

const fault: Arbitrary<Fault> = oneof(
  { weight: 4, arbitrary: constant({ is: 'none' as const }) },
  { weight: 1, arbitrary: constant({ is: 'lost' as const }) },
  {
    weight: 2,
    arbitrary: record({
      is: constantFrom('late' as const, 'doubled' as const),
      ms: integer({ min: 1, max: 60 }),
    }),
  },
);

async function played(history: History, steps: readonly { step: Step; pauseMs: number }[]): Promise<void> {
  const running: Promise<void>[] = [];
  for (const { step, pauseMs } of steps) {
    running.push(history.run(step));
    if (pauseMs > 0) await delay(pauseMs);
  }
  await Promise.all(running);
}

it.each(kindNames)('holds on one node in memory: %s', { timeout: limitMs }, async (kind) => {
  await assert(
    asyncProperty(historyOf(1), async (steps) => {
      const cache = new MemoryCache({ ...cacheLimits, node: 'test', metrics: new Metrics().cache });
      const history = new History([{ cache, hasRedis: () => true }], kind, keys, leaseMs);
      await played(history, steps);
      expect(history.violations).toEqual([]);
      expect(await history.settled()).toBe(true);
    }),
    length,
  );
});

it.each(kindNames)(
  'holds on three nodes whose messages are late, doubled or lost: %s',
  { timeout: limitMs },
  async (kind) => {
    let [reads, loads, writes] = [0, 0, 0];
    await assert(
      asyncProperty(
        historyOf(3),
        array(array(fault, { minLength: 1, maxLength: 12 }), { minLength: 3, maxLength: 3 }),
        async (steps, faults) => {
          const prefix = newPrefix();
          const opened = await Promise.all(
            faults.map((of) => openCacheNode(prefix, { leaseMs, wrap: (link) => withFaults(link, of) })),
          );
          try {
            const nodes: HistoryNode[] = opened.map(({ cache, link }) => ({ cache, hasRedis: () => link.writable }));
            const history = new History(nodes, kind, keys, leaseMs);
            await played(history, steps);
            expect(history.violations).toEqual([]);
            expect(history.reaches.here).toBe(0);
            expect(await history.settled()).toBe(true);
            [reads, loads, writes] = [
              reads + history.reads,
              loads + history.loads,
              writes + history.reaches.everywhere,
            ];
          } finally {
            await Promise.all(opened.map((node) => node.close()));
          }
        },
      ),
      length,
    );
    if (minutes > 0) console.log(`${reads} reads, ${loads} loads, ${writes} writes; older values: 0`);
    // the histories have hits, or nothing was tested
    await until('values came from the cache', () => reads > loads);
  },
);
