/** Tokens that are taken back, on the tables. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { RevocationWatch } from '../../src/sessions/revocation-watch.ts';
import { issuerClock } from '../../src/sessions/issuer-clock.ts';
import { admittedAfter, Revocations, revokedAmong, type Revocation } from '../../src/sessions/revocations.ts';
import type { Identity } from '../../src/sessions/tokens.ts';
import { whenApplied } from '../../src/storage/confirmations.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { silentLog } from '../support/messaging.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
let revocations: Revocations;

beforeAll(async () => {
  database = await createTestDatabase();
  revocations = new Revocations(database.sql, whenApplied(database.sql));
});
afterAll(() => database.drop());
beforeEach(() => database.sql`truncate revocations`);

const minute = 60_000;
function token(user: string, key: string, issuedAt = Date.now() - minute): Identity {
  return { user, name: null, tier: null, expires: Date.now() + 10 * minute, issuedAt, key };
}

/** Names the token of every revoked session, as the node of the session does. */
async function holding(held: Identity): Promise<{ stop(): Promise<void>; applied: Revocation[] }> {
  const applied: Revocation[] = [];
  const watch = new RevocationWatch({
    revocations,
    log: silentLog,
    apply: async (revocation) => {
      applied.push(revocation);
      if (revocation.session !== null && revocation.token === null) await revocations.nameToken(revocation.id, held);
    },
  });
  await watch.start();
  return { stop: () => watch.stop(), applied };
}

it('a session that a node holds loses its token, and nobody else does', async () => {
  const held = token('ann', 'held');
  const node = await holding(held);
  expect(await revocations.revokeSession('ann', 's1', 'user')).toBe(true);
  const requested = [held, token('ann', 'other'), token('ben', 'held')];
  expect([...(await revokedAmong(database.sql, requested))]).toEqual([0]);
  await until('it comes again, with its token', () => node.applied.length === 2);
  expect(node.applied.map(({ session, token: key }) => [session, key])).toEqual([
    ['s1', null],
    ['s1', 'held'],
  ]);
  await node.stop();
});

it('many sessions that nobody holds cost one statement at a time for all of them', async () => {
  const statements = async (): Promise<number> => {
    await database.sql`select pg_stat_force_next_flush()`;
    const [row] = await database.sql<[{ count: number }]>`
      select xact_commit::int as count from pg_stat_database where datname = current_database()`;
    return row.count;
  };
  const before = await statements();
  const unknown = Array.from({ length: 100 }, (_, i) => revocations.revokeSession('ann', `nowhere-${i}`, 'user'));
  expect(await Promise.all(unknown)).toEqual(unknown.map(() => false));
  expect(await database.sql`select from revocations`).toHaveLength(0);
  // Only a wait can prove it: sessions of Postgres report their counts once a second.
  await new Promise((resolve) => setTimeout(resolve, 1100));
  // with a loop for each there were 100 × 3,000 ms / 20 ms = 15,000
  expect((await statements()) - before).toBeLessThan(1000);
});

it('a session that nobody holds is not found, and leaves nothing', async () => {
  expect(await revocations.revokeSession('ann', 'nowhere', 'user')).toBe(false);
  expect(await database.sql`select from revocations`).toHaveLength(0);
});

it('all tokens means those issued before, also those that do not say when, but not later ones', async () => {
  await revocations.revokeAll('ann', 'operator');
  const tokens = [token('ann', 'a'), token('ann', 'b', 0), token('ann', 'c', Date.now() + minute), token('ben', 'd')];
  expect([...(await revokedAmong(database.sql, tokens))]).toEqual([0, 1]);
  // the next one takes the place of the one before
  await revocations.revokeAll('ann', 'operator');
  expect(await database.sql`select from revocations`).toHaveLength(1);
  expect(await revocations.isRevoked(token('ann', 'a'))).toBe(true);
});

const second = (at: number) => Math.floor(at / 1000) * 1000;

it('a token of the second of a revocation is good, unless it was known before', async () => {
  // the second may change on the way
  for (let tries = 0; ; tries++) {
    const now = Date.now();
    const [old, unseen, next] = ['old', 'unseen', 'next'].map((key) => token('ann', key, second(now)));
    if (old === undefined || unseen === undefined || next === undefined) throw new Error('three tokens');
    expect(await revocations.isRevoked(old)).toBe(false);
    await revocations.revokeAll('ann', 'user', undefined, { tokens: [old], clock: 0 });
    if (second(Date.now()) !== second(now) && tries < 5) continue;
    const before = token('ann', 'before', second(now) - 1000);
    expect([...(await revokedAmong(database.sql, [old, before, next]))]).toEqual([0, 1]);
    return;
  }
});

it.each([
  ['ahead', 30_000],
  ['behind', -30_000],
])(
  'an issuer whose clock is %s by %i ms: all before the revocation are refused, all after it are good',
  async (_, skew) => {
    const at = (ms: number) => Math.floor((Date.now() + skew + ms) / 1000) * 1000;
    const live = token('ann', 'live', at(-1000));
    const unseen = token('ann', 'unseen', at(-4000));
    await revokedAmong(database.sql, [live]);
    const here = { tokens: [live], clock: issuerClock([live], 60_000) };
    expect(here.clock).toBeLessThanOrEqual(skew);
    expect(here.clock).toBeGreaterThan(skew - 3000);
    await revocations.revokeAll('ann', 'user', undefined, here);
    const next = token('ann', 'next', at(0));
    expect([...(await revokedAmong(database.sql, [live, unseen, next]))]).toEqual([0, 1]);
    // an operator's, which a node completes
    await database.sql`truncate revocations`;
    const node = await holding(token('nobody', 'x'));
    await revocations.revokeAll('ann', 'operator');
    await until('it is read', () => node.applied.length === 1);
    for (const revocation of node.applied) await revocations.complete(revocation, here);
    await revocations.complete(node.applied[0] as Revocation, { tokens: [], clock: skew - 20_000 });
    expect([...(await revokedAmong(database.sql, [live, unseen, token('ann', 'next', at(0))]))]).toEqual([0, 1]);
    await node.stop();
  },
);

it('shows the clock of the issuer by the tokens that were fresh when they came', () => {
  const admitted = { snapshot: '1:1:', at: 1_000_000 };
  const of = (...ahead: number[]) =>
    issuerClock(
      ahead.map((ms) => ({ ...token('a', 'k', 1_000_000 + ms), admitted })),
      60_000,
    );
  expect(of()).toBeNull();
  expect(issuerClock([token('a', 'k')], 60_000)).toBeNull();
  // kept for an hour; of whole seconds; one of them fresh; the furthest ahead
  expect(of(-3_600_000)).toBeNull();
  expect(of(-999)).toBe(0);
  expect(of(-20_000, -900)).toBe(0);
  expect(of(-20_000, -25_000)).toBe(-20_000);
  expect(of(30_000, -500, 29_000)).toBe(30_000);
  expect(of(61_001, -61_001)).toBeNull();
});

it('knows of each token whether it was admitted before a revocation, also one that commits late', async () => {
  const node = await holding(token('nobody', 'x'));
  const [before, while_, after] = ['before', 'while', 'after'].map((key) => token('ann', key, Date.now() + minute));
  if (before === undefined || while_ === undefined || after === undefined) throw new Error('three tokens');
  await revokedAmong(database.sql, [before]);
  await database.sql.begin(async (sql) => {
    await sql`insert into revocations (user_id, issued_before, reason) values ('ann', 1, 'operator')`;
    // later transactions end in between
    await database.sql`insert into revocations (user_id, issued_before, reason) values ('ben', 1, 'operator')`;
    await revokedAmong(database.sql, [while_]);
  });
  await revokedAmong(database.sql, [after, before]);
  await until('it is read', () => node.applied.some(({ user }) => user === 'ann'));
  const revocation = node.applied.find(({ user }) => user === 'ann') as Revocation;
  expect([before, while_, after].map(({ admitted }) => admitted && admittedAfter(revocation, admitted))).toEqual([
    false,
    false,
    true,
  ]);
  await node.stop();
});

it('names no more tokens than the youngest thousand', async () => {
  const many = Array.from({ length: 1001 }, (_, i) => token('ann', `k${i}`, Date.now() + 30_000 + i));
  await revocations.revokeAll('ann', 'user', undefined, { tokens: many, clock: 0 });
  expect([...(await revokedAmong(database.sql, many))]).toHaveLength(1000);
  expect(await revocations.isRevoked(many[0] as Identity)).toBe(false);
});

it('a token that takes back all others is spared, unless it was taken back itself', async () => {
  const [own, thief] = [token('ann', 'own'), token('ann', 'thief')];
  expect(await revocations.revokeAll('ann', 'user', { token: own, session: 's' })).toBe(true);
  expect([...(await revokedAmong(database.sql, [own, thief]))]).toEqual([1]);
  expect(await revocations.revokeAll('ann', 'user', { token: thief, session: 't' })).toBe(false);
  expect([...(await revokedAmong(database.sql, [own, thief]))]).toEqual([1]);
});

it('of two tokens that take back each other at once one is left', async () => {
  const tokens = [token('ann', 'x'), token('ann', 'y')];
  const done = await Promise.all(
    tokens.map((own) => revocations.revokeAll('ann', 'user', { token: own, session: 's' })),
  );
  expect(done.filter(Boolean)).toHaveLength(1);
  expect((await revokedAmong(database.sql, tokens)).size).toBe(1);
});

it('a revocation is kept until its token has expired', async () => {
  const node = await holding({ ...token('ann', 'short'), expires: Date.now() - 1 });
  await revocations.revokeSession('ann', 's', 'user');
  await node.stop();
  await revocations.revokeAll('ben', 'operator');
  await revocations.prune();
  expect(await database.sql`select user_id from revocations`).toEqual([{ user_id: 'ben' }]);
});

it('a revocation with a long transaction is read, and each only once', async () => {
  const node = await holding(token('nobody', 'x'));
  const slow = database.sql.begin(async (sql) => {
    await sql`insert into revocations (user_id, issued_before, reason) values ('slow', 1, 'operator')`;
    await sql`select pg_sleep(1.5)`;
  });
  for (const user of ['a', 'b', 'c']) await revocations.revokeAll(user, 'operator');
  await slow;
  await until('the slow one is read', () => node.applied.some(({ user }) => user === 'slow'));
  await revocations.revokeAll('last', 'operator');
  await until('the last one is read', () => node.applied.some(({ user }) => user === 'last'));
  expect(node.applied.map(({ user }) => user).sort()).toEqual(['a', 'b', 'c', 'last', 'slow']);
  await node.stop();
});

it('more revocations than one page are read, once each', async () => {
  const node = await holding(token('nobody', 'x'));
  await database.sql`
    insert into revocations (user_id, issued_before, reason)
    select 'u' || n, 1, 'operator' from generate_series(1, 2500) n`;
  await until('all are read', () => node.applied.length >= 2500);
  expect(new Set(node.applied.map(({ user }) => user)).size).toBe(2500);
  expect(node.applied).toHaveLength(2500);
  await node.stop();
});
