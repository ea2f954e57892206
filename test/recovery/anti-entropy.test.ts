/** The start of a node whose lease is not held yet, with a real lease on a real Postgres. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { AntiEntropy } from '../../src/recovery/anti-entropy.ts';
import { createGaps } from '../../src/recovery/backfiller.ts';
import { Resequencer } from '../../src/recovery/resequencer.ts';
import { Confirmations } from '../../src/storage/confirmations.ts';
import { Lease } from '../../src/storage/lease.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { silentLog } from '../support/messaging.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

it('a node that receives events before it holds the lease delivers once it holds the lease', async () => {
  const [metrics, log] = [new Metrics(), silentLog];
  const confirmations = new Confirmations({ sql: database.sql });
  const lease = new Lease({ confirmations, alone: false, metrics, log });
  const delivered: number[] = [];
  const order = new Resequencer({
    broadcaster: { toRoom: ({ rev }) => void delivered.push(rev ?? 0) },
    gaps: createGaps(),
    others: { reachable: true },
    lease,
    metrics,
    log,
  });
  const nothing = {
    start: () => Promise.resolve(),
    step: () => Promise.resolve(true),
    stop: () => {},
    restart: () => {},
  };
  const antiEntropy = new AntiEntropy({
    others: { reachable: true, onChange: () => {} },
    resequencer: order,
    receiver: { release: () => {} },
    lease,
    memberships: nothing as never,
    settings: nothing as never,
    heads: () => Promise.resolve([]),
    epochs: { epoch: 'e', wentBack: () => Promise.resolve() },
    pollMs: 60_000,
    metrics,
    log,
  });
  // an envelope of another node came before the start
  expect(order.isSuspended()).toBe(true);
  await antiEntropy.start();
  await lease.start();
  await until('delivery is released', () => !order.isSuspended());
  order.add('r');
  order.receive({ to: 'room', room: 'r', event: 'message', rev: 1, json: '{}' });
  expect(delivered).toEqual([1]);
  await antiEntropy.stop();
  await lease.stop();
});
