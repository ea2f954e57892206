/** Reads of users share few connections to Postgres: a user with many reads does not delay the others. */
import type postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commands, type CommandName } from '../../src/protocol/commands.ts';
import { total } from '../support/metrics.ts';
import { untilOutboxEmpty } from '../support/outbox.ts';
import { startServer, tokenOf, type TestServer } from '../support/server.ts';
import { connectStock, text, type StockClient } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

/** Statements of this database that wait for a lock. Other test files have databases of their own on the same server. */
async function waitingIn(sql: postgres.ISql): Promise<number> {
  const [row] = await sql<{ n: number }[]>`
    select count(*)::int as n from pg_locks
    where not granted and database = (select oid from pg_database where datname = current_database())`;
  return row?.n ?? 0;
}

it('a user with one read is served before the second read of a user with eight; what waits too long is refused', async () => {
  const server = await startServer({ PARLEY_DATABASE_READ_POOL_SIZE: '1', PARLEY_DATABASE_READ_WAIT_MS: '3000' });
  const [ann, ben] = [
    await connectStock(server.url, await tokenOf('ann')),
    await connectStock(server.url, await tokenOf('ben')),
  ];
  await ann.ok('room:create', { kind: 'channel', name: 'R', id: 'r' });
  await ben.ok('room:join', { room: 'r' });
  await ann.ok('message:send', text('r', { text: 'x' }));
  const { sql } = server.database;
  await untilOutboxEmpty(sql);
  const order: string[] = [];
  // different pages: equal reads that wait are one read
  const request = (name: string, client: typeof ann, limit = 1): Promise<unknown> =>
    client.ok('history', { room: 'r', limit }).then(() => order.push(name));
  let requested: Promise<unknown>[] = [];
  await sql.begin(async (tx) => {
    await tx`lock table messages in access exclusive mode`;
    requested = Array.from({ length: 8 }, (_, n) => request('ann', ann, n + 1));
    await until('the first one waits in Postgres', async () => {
      return (await waitingIn(tx)) > 0;
    });
    requested.push(request('ben', ben));
    await until('all have been taken', async () => (await ben.ok('session:list', {})).complete);
  });
  await Promise.all(requested);
  expect(order.indexOf('ben')).toBeLessThan(2);

  const refusals: Promise<unknown>[] = [];
  await sql.begin(async (tx) => {
    await tx`lock table messages in access exclusive mode`;
    requested = [request('ann', ann)];
    refusals.push(ben.error('history', { room: 'r' }), ben.error('history', { room: 'r' }));
    expect(await Promise.all(refusals)).toMatchObject([{ code: 'overloaded' }, { code: 'overloaded' }]);
  });
  await Promise.all(requested);
  expect(total(await server.metrics(), 'parley_turns_refused_total')).toBeGreaterThan(0);
  for (const client of [ann, ben]) client.close();
  await server.stop();
});

it('a user has one page of sync in Postgres at a time, and leaves the other connections to others', async () => {
  const server = await startServer({ PARLEY_TAIL_MESSAGES: '0' });
  const [ann, ben] = [
    await connectStock(server.url, await tokenOf('ann')),
    await connectStock(server.url, await tokenOf('ben')),
  ];
  await ann.ok('room:create', { kind: 'channel', name: 'R', id: 'r' });
  await ben.ok('room:join', { room: 'r' });
  await ann.ok('message:send', text('r', { text: 'x' }));
  await untilOutboxEmpty(server.database.sql);
  const order: string[] = [];
  const request = (name: string, client: typeof ann): Promise<unknown> =>
    client.ok('sync', { cursors: { r: 0 } }).then(() => order.push(name));
  const requested: Promise<unknown>[] = [];
  await server.database.sql.begin(async (tx) => {
    await tx`lock table messages in access exclusive mode`;
    const waiting = (n: number): Promise<unknown> =>
      until(`${n} wait in Postgres`, async () => {
        return (await waitingIn(tx)) === n;
      });
    for (let n = 0; n < 4; n++) requested.push(request('ann', ann));
    await waiting(1);
    requested.push(request('ben', ben));
    await waiting(2);
  });
  await Promise.all(requested);
  expect(order.toSorted()).toEqual(['ann', 'ann', 'ann', 'ann', 'ben']);
  expect(order.indexOf('ben')).toBeLessThan(2);
  for (const client of [ann, ben]) client.close();
  await server.stop();
});

describe('users take turns for one connection that reads', () => {
  let server: TestServer;
  let ann: StockClient;
  let ben: StockClient;
  beforeAll(async () => {
    server = await startServer({
      PARLEY_DATABASE_READ_POOL_SIZE: '1',
      PARLEY_COMMANDS_PER_SECOND: '100000',
      PARLEY_COMMAND_BURST: '100000',
    });
    ann = await connectStock(server.url, await tokenOf('ann'));
    ben = await connectStock(server.url, await tokenOf('ben'));
    await ann.ok('room:create', { kind: 'group', name: 'R', id: 'r' });
    await ann.ok('room:invite', { room: 'r', user: 'ben', role: 'admin' });
    await ann.ok('message:send', text('r', { text: 'x' }));
    await untilOutboxEmpty(server.database.sql);
  });
  afterAll(async () => {
    for (const client of [ann, ben]) client.close();
    await server.stop();
  });

  const room = 'r';
  /** Commands that read, each with a table that it reads. `sync` reads as `history` does, and `search` has separate turns. */
  const reads = [
    ['history', { room }, 'messages'],
    ['message:get', { room, seq: 1 }, 'messages'],
    ['message:versions', { room, seq: 1 }, 'message_versions'],
    ['thread:history', { room, root: 1 }, 'threads'],
    ['thread:list', {}, 'thread_follows'],
    ['mentions', {}, 'mentions'],
    ['unread', {}, 'members'],
    ['room:pins', { room }, 'messages'],
    ['room:list', {}, 'rooms'],
    ['room:member', { room, user: 'ben' }, 'members'],
    ['room:search', { query: 'x' }, 'rooms'],
    ['room:get', { room }, 'rooms'],
    ['room:members', { room }, 'members'],
    ['room:receipts', { room }, 'members'],
    ['room:bans', { room }, 'bans'],
    ['invitation:list', {}, 'invitations'],
    ['invitation:list', { room }, 'invitations'],
    ['link:list', { room }, 'join_links'],
    ['user:blocks', {}, 'blocks'],
    ['notification:list', {}, 'notifications'],
    ['notification:unread', {}, 'notifications'],
    ['preferences:get', {}, 'preferences'],
    ['preferences:get', { room }, 'preferences'],
    ['device:list', {}, 'devices'],
  ] as const satisfies readonly (readonly [CommandName, object, string])[];

  it.each(reads)('%s %j', async (name, input, table) => {
    const order: string[] = [];
    const request = async (who: string, client: StockClient, n = 0): Promise<void> => {
      // different pages: equal reads of `history` that wait are one read
      const different = name === 'history' ? { limit: n + 1 } : {};
      expect(await client.socket.emitWithAck(name, { ...input, ...different })).toMatchObject({ ok: true });
      order.push(who);
    };
    const requested: Promise<void>[] = [];
    await server.database.sql.begin(async (tx) => {
      await tx`lock table ${tx(table)} in access exclusive mode`;
      for (let n = 0; n < 8; n++) requested.push(request('ann', ann, n));
      // needs no table, and is answered when the node has taken what came before
      await ann.ok('presence:unwatch', {});
      requested.push(request('ben', ben));
      await ben.ok('presence:unwatch', {});
      const alike = await tx<{ waiting: number }[]>`
        select count(*)::int as waiting from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock' group by query`;
      expect(Math.max(0, ...alike.map(({ waiting }) => waiting))).toBeLessThan(2);
    });
    await Promise.all(requested);
    expect(order.indexOf('ben')).toBeLessThan(2);
  });

  it('for each command that only reads', () => {
    const elsewhere = new Set(['sync', 'search', 'presence:get', 'session:list']);
    const reading = Object.keys(commands).filter((name) =>
      /(^|:)(get|list|history|members|receipts|search|bans|blocks|pins|versions|mentions|unread)$/.test(name),
    );
    expect(reading.filter((name) => !elsewhere.has(name) && !reads.some(([one]) => one === name))).toEqual([]);
  });
});
