/** The database goes back in time under live nodes. Every client ends with the content that is there then. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import postgres from 'postgres';
import { afterEach, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { connect, memoryStore, type Client, type Store } from '../../src/client/index.ts';
import type { CommandSchema } from '../../src/protocol/command-schema.ts';
import { commands } from '../../src/protocol/commands.ts';
import { openServer } from '../../src/storage/database.ts';
import { startCluster } from '../support/cluster.ts';
import { asAdministrator, createTestDatabase } from '../support/database.ts';
import { startServer, testSecret, tokenOf } from '../support/server.ts';
import { startOwnPostgres, startStandby } from '../support/services.ts';
import { runProgram, spawnServer } from '../support/spawn.ts';
import { connectStock, text, type StockClient } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

const ends: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

/** Saves the database now. @returns what puts it back as it was, under live connections. */
function dump(url: string): () => Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'parley-restore-'));
  ends.push(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'dump');
  execFileSync('pg_dump', ['-Fc', '-f', file, url]);
  const name = new URL(url).pathname.slice(1);
  return async () => {
    await asAdministrator((sql) => sql`drop database ${sql(name)} with (force)`);
    await asAdministrator((sql) => sql`create database ${sql(name)} template template0`);
    execFileSync('pg_restore', ['-d', url, file]);
  };
}

async function sdk(url: string, user: string, store: Store = memoryStore()): Promise<Client> {
  const client = connect({ url, token: () => tokenOf(user), WebSocket, store });
  ends.push(() => client.close());
  await until('it is connected', () => client.state.value.status === 'connected');
  return client;
}

const send = async (client: StockClient, from: number, to: number, word: string): Promise<void> => {
  for (let i = from; i <= to; i++) await client.ok('message:send', text('r', `${word}${i}`));
};

const bodies = (client: Client): unknown[] => client.room('r').messages.value.map(({ body }) => body);

const headIn = async (sql: postgres.Sql): Promise<string> => {
  const [row] = await sql<[{ seq: string } | undefined]>`select last_seq::text as seq from rooms where id = 'r'`;
  return row?.seq ?? '';
};

/** As docs/connecting.md says: one cursor, and `reset` means to begin again with `history`. */
async function pulled(client: StockClient, held: unknown[], cursor: number): Promise<unknown[]> {
  const page = (await client.ok('sync', { cursors: { r: cursor } })).rooms['r'];
  if (page?.reset !== true) return [...held, ...(page?.messages ?? []).map(({ body }) => body)];
  return (await client.ok('history', { room: 'r', limit: 100 })).messages.map(({ body }) => body);
}

it.each(['one node alone', 'two nodes with Redis'])(
  'clients of all forms end with the content of the room after a restore (%s)',
  async (form) => {
    let urls: string[];
    let database;
    if (form === 'one node alone') {
      database = await createTestDatabase();
      const shared = database;
      ends.push(() => shared.drop());
      const server = await startServer({ PARLEY_DRAIN_MS: '0' }, database);
      ends.push(() => server.stop());
      urls = [server.url, server.url];
    } else {
      const cluster = await startCluster(2);
      ends.push(() => cluster.stop());
      database = cluster.database;
      urls = cluster.nodes.map(({ url }) => url);
    }
    const [here = '', there = ''] = urls;
    const ann = await connectStock(here, await tokenOf('ann'), { reconnection: true });
    ends.push(() => ann.close());
    await ann.ok('room:create', { kind: 'channel', id: 'r', name: 'R' });
    const stock = await connectStock(there, await tokenOf('ben'), { reconnection: true });
    ends.push(() => stock.close());
    const polling = await connectStock(here, await tokenOf('cat'), { reconnection: true, transports: ['polling'] });
    ends.push(() => polling.close());
    for (const client of [stock, polling]) await client.ok('room:join', { room: 'r' });
    const live = await sdk(there, 'dan');
    const store = memoryStore();
    const offline = await sdk(here, 'eve', store);
    for (const client of [live, offline]) {
      await client.joinRoom('r');
      client.room('r');
    }
    await send(ann, 1, 20, 'kept');
    const restore = dump(database.url);
    await send(ann, 21, 35, 'lost');
    await until('the SDKs have all', () => [live, offline].every((one) => bodies(one).length === 35));
    offline.close();
    const before = ann.received('ready')[0]?.epoch;
    await restore();
    // nobody runs a command: the nodes notice
    for (const client of [ann, stock, polling]) {
      const again = await client.event('ready', ({ epoch }) => epoch !== before);
      expect(again.rooms.map(({ id, rev }) => [id, rev])).toEqual([['r', 20]]);
    }
    const from = [stock, polling].map((client) => client.received('message').length);
    await send(ann, 21, 50, 'new');
    const room = Array.from({ length: 20 }, (_, i) => `kept${i + 1}`);
    for (let i = 21; i <= 50; i++) room.push(`new${i}`);
    for (const [i, client] of [stock, polling].entries()) {
      await until('all new ones come live', () => client.received('message').length === (from[i] ?? 0) + 30);
      expect(await pulled(client, [], 35)).toEqual(room);
    }
    await until('the live SDK has the room', () => bodies(live).length === 50);
    expect(bodies(live)).toEqual(room);
    // its cursor is 35, and the head has passed it again
    const back = await sdk(there, 'eve', store);
    back.room('r');
    await until('the SDK that comes back has the room', () => bodies(back).at(-1) === 'new50');
    expect(bodies(back)).toEqual(room);
  },
  90_000,
);

it('a standby that lacks the last messages takes over: clients end with what it has', async () => {
  const primary = await startOwnPostgres();
  ends.push(() => primary.stop());
  const standby = await startStandby(primary.url);
  ends.push(() => standby.stop());
  const [first, second] = [new URL(primary.url), new URL(standby.url)];
  const url = `postgres://postgres:${first.password}@${first.host},${second.host}/postgres`;
  const server = await spawnServer({ DATABASE_URL: url, PARLEY_JWT_SECRET: testSecret, PARLEY_DRAIN_MS: '0' });
  ends.push(async () => {
    server.kill('SIGTERM');
    await server.exit();
  });
  const ann = await connectStock(server.url, await tokenOf('ann'), { reconnection: true });
  ends.push(() => ann.close());
  await ann.ok('room:create', { kind: 'channel', id: 'r', name: 'R' });
  const live = await sdk(server.url, 'dan');
  await live.joinRoom('r');
  live.room('r');
  await send(ann, 1, 10, 'kept');
  const there = await openServer({ url: primary.url, poolSize: 1 });
  await until('the standby has them', async () => {
    const [row] = await there.sql<[{ done: boolean }]>`
      select replay_lsn >= pg_current_wal_lsn() as done from pg_stat_replication`;
    return row.done;
  });
  // it receives nothing more of the primary
  // openServer takes no standby
  const left = postgres(standby.url, { max: 1 });
  await left`alter system set primary_conninfo = ''`;
  await left`select pg_reload_conf()`;
  await until('the standby follows nobody', async () => {
    const rows = await there.sql`select from pg_stat_replication`;
    return rows.length === 0;
  });
  await send(ann, 11, 20, 'lost');
  expect(await headIn(there.sql)).toBe('20');
  await there.close();
  const before = ann.received('ready')[0]?.epoch;
  await primary.kill('SIGKILL');
  await left`select pg_promote()`;
  expect(await headIn(left)).toBe('10');
  const again = await ann.event('ready', ({ epoch }) => epoch !== before);
  expect(again.rooms.map(({ id, rev }) => [id, rev])).toEqual([['r', 10]]);
  await send(ann, 11, 15, 'new');
  await until('the SDK has what is there', () => bodies(live).at(-1) === 'new15');
  expect(bodies(live)).toEqual([
    ...Array.from({ length: 10 }, (_, i) => `kept${i + 1}`),
    ...Array.from({ length: 5 }, (_, i) => `new${i + 11}`),
  ]);
  await left.end();
}, 90_000);

it('begins a new epoch at the start, if the database was restored while all nodes were down', async () => {
  const database = await createTestDatabase();
  ends.push(() => database.drop());
  const first = await startServer({ PARLEY_DRAIN_MS: '0' }, database);
  const ann = await connectStock(first.url, await tokenOf('ann'));
  await ann.ok('room:create', { kind: 'channel', id: 'r', name: 'R' });
  await send(ann, 1, 2, 'kept');
  const restore = dump(database.url);
  await send(ann, 3, 4, 'lost');
  const before = ann.received('ready')[0]?.epoch ?? '';
  ann.close();
  await first.stop();
  await restore();
  const second = await startServer({ PARLEY_DRAIN_MS: '0' }, database);
  ends.push(() => second.stop());
  const again = await connectStock(second.url, await tokenOf('ann'));
  ends.push(() => again.close());
  expect(again.received('ready')[0]?.epoch).not.toBe(before);
  await send(again, 3, 6, 'new');
  const { rooms } = await again.ok('sync', { cursors: { r: 4 }, epoch: before });
  expect(rooms['r']).toEqual({ messages: [], rev: 6, more: false, reset: true });
  expect(await again.ok('history', { room: 'r', after: 4, limit: 10, epoch: before })).toMatchObject({
    messages: [],
    reset: true,
  });
}, 60_000);

it('doctor finds a copy whose epoch is of before, and `parley restored` begins one that a running node takes up', async () => {
  const server = await startServer({ PARLEY_DRAIN_MS: '0' });
  ends.push(() => server.stop());
  const ann = await connectStock(server.url, await tokenOf('ann'));
  ends.push(() => ann.close());
  const before = ann.received('ready')[0]?.epoch ?? '';
  const folder = mkdtempSync(join(tmpdir(), 'parley-restored-'));
  ends.push(() => rmSync(folder, { recursive: true, force: true }));
  const parley = (url: string, ...args: string[]) =>
    runProgram(
      args,
      { DATABASE_URL: url, PARLEY_JWT_SECRET: testSecret, PARLEY_DATA_DIR: join(folder, 'data') },
      folder,
    );

  // the copy of a database is another one: no node of it began an epoch
  const file = join(folder, 'dump');
  execFileSync('pg_dump', ['-Fc', '-f', file, server.database.url]);
  const copy = await createTestDatabase({ empty: true });
  ends.push(() => copy.drop());
  execFileSync('pg_restore', ['-d', copy.url, file]);
  expect((await parley(copy.url, 'doctor')).stdout).toContain('the database was restored, copied or promoted');
  expect((await parley(copy.url, 'restored')).stdout).toMatch(new RegExp(`Began epoch \\S+, in place of ${before}`));
  expect((await parley(copy.url, 'doctor')).stdout).not.toContain('the database was restored, copied or promoted');

  // an operator may say so also where a node serves
  const { code, stdout } = await parley(server.database.url, 'restored');
  expect(code).toBe(0);
  const again = await ann.event('ready', ({ epoch }) => epoch !== before);
  expect(stdout).toContain(`Began epoch ${again.epoch}`);
}, 60_000);

it('notices a room that stands below what was delivered, though nothing else shows it', async () => {
  const server = await startServer({ PARLEY_DRAIN_MS: '0', PARLEY_HEADS_POLL_MS: '200' });
  ends.push(() => server.stop());
  const ann = await connectStock(server.url, await tokenOf('ann'));
  ends.push(() => ann.close());
  await ann.ok('room:create', { kind: 'channel', id: 'r', name: 'R' });
  await send(ann, 1, 10, 'kept');
  const before = ann.received('ready')[0]?.epoch;
  const { sql } = server.database;
  await sql.begin(async (tx) => {
    await tx`delete from messages where room_id = 'r' and seq > 5`;
    await tx`update rooms set last_seq = 5, last_rev = 5 where id = 'r'`;
  });
  const again = await ann.event('ready', ({ epoch }) => epoch !== before);
  expect(again.rooms[0]?.rev).toBe(5);
  await send(ann, 6, 7, 'new');
  await until('the new ones come', () => ann.received('message').length === 12);
  expect((await server.metrics()).get('parley_epochs_renewed_total{sign="heads"}')).toBe(1);
}, 60_000);

it('a seq of the old history hits no message of the new one', async () => {
  const server = await startServer({ PARLEY_DRAIN_MS: '0', PARLEY_HEADS_POLL_MS: '200' });
  ends.push(() => server.stop());
  const ann = await connectStock(server.url, await tokenOf('ann'));
  const ben = await connectStock(server.url, await tokenOf('ben'));
  for (const client of [ann, ben]) ends.push(() => client.close());
  await ann.ok('room:create', { kind: 'group', id: 'r', name: 'R' });
  await ann.ok('room:invite', { room: 'r', user: 'ben', role: 'admin' });
  await send(ann, 1, 10, 'kept');
  const before = ann.received('ready')[0]?.epoch;
  const { sql } = server.database;
  await sql.begin(async (tx) => {
    await tx`delete from messages where room_id = 'r' and seq > 5`;
    await tx`update rooms set last_seq = 5, last_rev = 5 where id = 'r'`;
  });
  for (const client of [ann, ben]) await client.event('ready', ({ epoch }) => epoch !== before);
  await ben.ok('history', { room: 'r' });
  await send(ben, 6, 8, 'new');

  // ann means kept7, which is no more
  const named = { room: 'r', seq: 7 };
  const root = { room: 'r', root: 7 };
  const refused = [
    await ann.error('message:edit', { ...named, body: { text: 'wrong' } }),
    await ann.error('message:delete', named),
    await ann.error('message:versions', named),
    await ann.error('message:pin', named),
    await ann.error('message:unpin', named),
    await ann.error('reaction:add', { ...named, emoji: '👍' }),
    await ann.error('reaction:remove', { ...named, emoji: '👍' }),
    await ann.error('thread:follow', root),
    await ann.error('thread:unfollow', root),
    await ann.error('thread:read', { ...root, seq: 7 }),
    await ann.error('thread:history', root),
    await ann.error('message:send', { ...text('r', 'an answer'), replyTo: 7 }),
  ];
  for (const answer of refused) {
    expect(answer.code).toBe('not_found');
    expect(answer.message).toContain('load the room first');
  }
  expect(await ann.ok('history', { room: 'r', before: 8 })).toMatchObject({ messages: [], reset: true });
  expect(await ann.ok('history', { room: 'r', after: 6 })).toMatchObject({ messages: [], reset: true });
  // neither does a message without a seq wait, nor another room
  await ann.ok('message:send', text('r', 'no answer'));
  const [stored] = await sql`select body, rev, pinned_at, deleted_at from messages where room_id = 'r' and seq = 7`;
  expect(stored).toEqual({ body: '"new7"', rev: 7, pinned_at: null, deleted_at: null });

  await ann.ok('history', { room: 'r' });
  await ann.ok('reaction:add', { ...named, emoji: '👍' });
  expect((await ann.ok('history', { room: 'r', before: 8 })).messages).toHaveLength(7);
}, 60_000);

it('every command that names a message or a mark is one of those that mind the history', () => {
  const fields = ['seq', 'root', 'replyTo'];
  for (const [name, { input, message, mark }] of Object.entries<CommandSchema>(commands)) {
    const { shape = {} } = input as { shape?: Record<string, unknown> };
    const names = fields.some((field) => field in shape);
    expect([name, message !== undefined || mark !== undefined]).toEqual([name, names]);
  }
});
