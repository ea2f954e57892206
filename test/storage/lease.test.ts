/** Leases and confirmations on a real Postgres: what a removal waits for, and when a node may deliver. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { Confirmations, leaseMs } from '../../src/storage/confirmations.ts';
import { Lease, type LeaseOptions } from '../../src/storage/lease.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { silentLog } from '../support/messaging.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
const leases: Lease[] = [];
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());
beforeEach(() => database.sql`truncate node_confirmations, membership_changes, revocations`);
afterEach(async () => {
  for (const lease of leases.splice(0)) await lease.stop();
});

interface Node {
  readonly lease: Lease;
  reads: number;
  /** While it is true the node does not reach Postgres. */
  cut: boolean;
}

async function node(alone = false, clock?: ManualClock): Promise<Node> {
  const real = new Confirmations({ sql: database.sql });
  const made: { reads: number; cut: boolean } = { reads: 0, cut: false };
  const confirmations: LeaseOptions['confirmations'] = {
    poll: () => (made.cut ? Promise.reject(new Error('cut off')) : real.poll()),
    register: () => real.register(),
    confirm: (snapshot) => (made.cut ? Promise.reject(new Error('cut off')) : real.confirm(snapshot)),
    leave: () => real.leave(),
    forgetOthers: () => real.forgetOthers(),
  };
  const lease = new Lease({ confirmations, alone, metrics: new Metrics(), log: silentLog, ...(clock && { clock }) });
  lease.follow(() => {
    made.reads++;
    return Promise.resolve(true);
  });
  let isStarted = false;
  const started = lease.start().finally(() => (isStarted = true));
  await until('the lease has started', async () => {
    await clock?.pass(0);
    return isStarted;
  });
  await started;
  leases.push(lease);
  return Object.assign(made, { lease });
}

const remove = (user: string): Promise<unknown> =>
  database.sql`insert into membership_changes (room_id, user_id) values ('r', ${user})`;

const waiter = (): Confirmations => new Confirmations({ sql: database.sql });

async function msOf(work: Promise<void>): Promise<number> {
  const from = performance.now();
  await work;
  return performance.now() - from;
}

it('a removal waits until each node has read it, and no longer', async () => {
  const nodes = [await node(), await node()];
  const reads = nodes.map((one) => one.reads);
  await remove('ann');
  const waiting = waiter().applied({ kind: 'membership', room: 'r', user: 'ann' });
  for (const { lease } of nodes) lease.hurry();
  expect(await msOf(waiting)).toBeLessThan(leaseMs);
  expect(nodes.map((one) => one.reads)).toEqual(reads.map((n) => n + 1));
});

it('what was confirmed, another room, another user and another kind are not waited for', async () => {
  await remove('ann');
  const { reads } = await node();
  expect(reads).toBe(1);
  const others = waiter();
  await others.applied({ kind: 'membership', room: 'r', user: 'ann' });
  const stuck = await node();
  stuck.cut = true;
  await remove('ann');
  const around = Promise.all([
    others.applied({ kind: 'membership', room: 's', user: 'ann' }),
    others.applied({ kind: 'membership', room: 'r', user: 'ben' }),
    others.applied({ kind: 'revocation', user: 'ann' }),
  ]).then(() => undefined);
  expect(await msOf(around)).toBeLessThan(leaseMs);
});

it('a node that cannot be reached is waited for once; by then its lease has ended', async () => {
  const stuck = await node();
  const other = await node();
  let lapses = 0;
  stuck.lease.onLapse(() => lapses++);
  stuck.cut = true;
  await remove('ann');
  const from = performance.now();
  await waiter().applied({ kind: 'membership', user: 'ann' });
  expect(performance.now() - from).toBeGreaterThanOrEqual(leaseMs);
  expect(stuck.lease.held).toBe(false);
  expect(stuck.lease.held).toBe(false);
  expect(lapses).toBe(1);
  expect(other.lease.held).toBe(true);
  await remove('ben');
  other.lease.hurry();
  expect(await msOf(waiter().applied({ kind: 'membership', user: 'ben' }))).toBeLessThan(leaseMs);
  // it registers again, and delivers only after it has read what it missed
  const { reads } = stuck;
  stuck.cut = false;
  await until('the lease is held again', () => stuck.lease.held);
  expect(stuck.reads).toBeGreaterThan(reads);
});

it('a node that reads, but cannot say so, is not taken for one that delivers', async () => {
  const { lease } = await node();
  await database.sql`delete from node_confirmations`;
  await remove('ann');
  await lease.renewed();
  expect(await database.sql`select from node_confirmations`).toHaveLength(1);
  expect(await msOf(waiter().applied({ kind: 'membership', user: 'ann' }))).toBeLessThan(leaseMs);
});

it('a transaction that stays open does not hold removals up', async () => {
  const one = await node();
  await database.sql.begin(async (tx) => {
    await tx`insert into membership_changes (room_id, user_id) values ('r', 'open')`;
    await remove('ann');
    one.lease.hurry();
    expect(await msOf(waiter().applied({ kind: 'membership', user: 'ann' }))).toBeLessThan(leaseMs);
    const { reads } = one;
    await one.lease.renewed();
    expect(one.reads).toBe(reads);
  });
  await one.lease.renewed();
  await waiter().applied({ kind: 'membership', user: 'open' });
});

it('a snapshot of a history that is no more counts as none', async () => {
  const one = await node();
  await database.sql`update node_confirmations set confirmed = '900000000:900000000:'`;
  const { reads } = one;
  await one.lease.renewed();
  expect(one.reads).toBe(reads + 1);
  await remove('ann');
  one.lease.hurry();
  expect(await msOf(waiter().applied({ kind: 'membership', user: 'ann' }))).toBeLessThan(leaseMs);
});

it('a node alone always delivers, and forgets what a killed process left', async () => {
  await database.sql`insert into node_confirmations (node, confirmed) values ('killed', '1:1:')`;
  const clock = new ManualClock();
  const alone = await node(true, clock);
  expect(await database.sql`select from node_confirmations`).toHaveLength(1);
  alone.cut = true;
  await clock.pass(leaseMs + 100);
  expect(alone.lease.held).toBe(true);
});

it('a thousand removals at once wait together', async () => {
  const one = await node();
  await database.sql`
    insert into membership_changes (room_id, user_id) select 'r', 'u' || n from generate_series(1, 1000) n`;
  const others = waiter();
  const all = Array.from({ length: 1000 }, (_, n) =>
    others.applied({ kind: 'membership', room: 'r', user: `u${n + 1}` }),
  );
  one.lease.hurry();
  expect(await msOf(Promise.all(all).then(() => undefined))).toBeLessThan(leaseMs);
});
