/** Tokens that are taken back, on the tables. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { RevocationWatch } from '../../src/auth/revocation-watch.ts';
import { Revocations, revokedAmong, type Revocation } from '../../src/auth/revocations.ts';
import type { Identity } from '../../src/auth/tokens.ts';
import { whenApplied } from '../../src/storage/confirmations.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { silentLog } from '../support/messaging.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
let revocations: Revocations;

beforeAll(async () => {
  database = await createTestDatabase();
  revocations = new Revocations(database.sql, () => {}, whenApplied(database.sql));
});
afterAll(() => database.drop());
beforeEach(() => database.sql`truncate revocations`);

const minute = 60_000;
function token(user: string, key: string, issuedAt = Date.now() - minute): Identity {
  return { user, name: null, tier: null, expires: Date.now() + 10 * minute, issuedAt, key };
}

/** Takes every session that is asked for, with the token, as the node that holds it does. */
async function holding(held: Identity): Promise<{ stop(): Promise<void>; applied: Revocation[] }> {
  const applied: Revocation[] = [];
  const watch = new RevocationWatch({
    revocations,
    log: silentLog,
    apply: async (revocation) => {
      applied.push(revocation);
      if (revocation.session !== null && revocation.token === null) await revocations.claim(revocation.id, held);
    },
  });
  await watch.start();
  return { stop: () => watch.stop(), applied };
}

it('a session that a node holds loses its token, and nobody else does', async () => {
  const held = token('ann', 'held');
  const node = await holding(held);
  expect(await revocations.revokeSession('ann', 's1', 'user')).toBe(true);
  const asked = [held, token('ann', 'other'), token('ben', 'held')];
  expect([...(await revokedAmong(database.sql, asked))]).toEqual([0]);
  await until('it comes again, with its token', () => node.applied.length === 2);
  expect(node.applied.map(({ session, token: key }) => [session, key])).toEqual([
    ['s1', null],
    ['s1', 'held'],
  ]);
  await node.stop();
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

it('a revocation whose transaction took long is heard, and each only once', async () => {
  const node = await holding(token('nobody', 'x'));
  const slow = database.sql.begin(async (sql) => {
    await sql`insert into revocations (user_id, issued_before, reason) values ('slow', 1, 'operator')`;
    await sql`select pg_sleep(1.5)`;
  });
  for (const user of ['a', 'b', 'c']) await revocations.revokeAll(user, 'operator');
  await slow;
  await until('the slow one is heard', () => node.applied.some(({ user }) => user === 'slow'));
  await revocations.revokeAll('last', 'operator');
  await until('the last one is heard', () => node.applied.some(({ user }) => user === 'last'));
  expect(node.applied.map(({ user }) => user).sort()).toEqual(['a', 'b', 'c', 'last', 'slow']);
  await node.stop();
});

it('more revocations than one page are heard, once each', async () => {
  const node = await holding(token('nobody', 'x'));
  await database.sql`
    insert into revocations (user_id, issued_before, reason)
    select 'u' || n, 1, 'operator' from generate_series(1, 2500) n`;
  await until('all are heard', () => node.applied.length >= 2500);
  expect(new Set(node.applied.map(({ user }) => user)).size).toBe(2500);
  expect(node.applied).toHaveLength(2500);
  await node.stop();
});
