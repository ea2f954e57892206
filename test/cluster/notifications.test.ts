/** Exactly one notification for each recipient, through the death of a node, a Redis without its data and a Postgres that restarts. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Redis } from 'ioredis';
import { createClient } from '../../src/storage/client.ts';
import type { postgres } from '../../src/storage/sql.ts';
import { startOwnPostgres, startOwnRedis, type OwnService } from '../support/services.ts';
import { testSecret, tokenOf } from '../support/server.ts';
import { spawnServer, type SpawnedServer } from '../support/spawn.ts';
import { connectStock, text, type StockClient } from '../support/stock-client.ts';
import { untilOutboxEmpty } from '../support/outbox.ts';
import { until } from '../support/until.ts';

const members = 20;
let postgresService: OwnService;
let redis: OwnService;
let sql: postgres.Sql;
let stays: SpawnedServer;
const clients: StockClient[] = [];

const start = (name: string): Promise<SpawnedServer> =>
  spawnServer({
    DATABASE_URL: postgresService.url,
    REDIS_URL: redis.url,
    PARLEY_JWT_SECRET: testSecret,
    PARLEY_HOST: '127.0.0.1',
    PARLEY_NODE: name,
    PARLEY_COMMANDS_PER_SECOND: '100000',
    PARLEY_COMMAND_BURST: '100000',
    PARLEY_API_TIERS: 'off',
    PARLEY_DRAIN_MS: '0',
  });

async function connect(server: SpawnedServer, user: string): Promise<StockClient> {
  const client = await connectStock(server.url, await tokenOf(user));
  clients.push(client);
  return client;
}

async function makeRoom(owner: StockClient, room: string): Promise<void> {
  await owner.ok('room:create', { kind: 'group', name: room, id: room });
  await sql`insert into users (id) select 'member' || n from generate_series(1, ${members}) n on conflict do nothing`;
  await sql`insert into members (room_id, user_id, role) select ${room}, 'member' || n, 'member' from generate_series(1, ${members}) n`;
  await sql`update rooms set member_count = member_count + ${members} where id = ${room}`;
}

/** Each stored message of the room has one row for each member, and the outbox is empty. */
async function untilAllNotified(room: string, limitMs = 30_000): Promise<number> {
  await untilOutboxEmpty(sql, limitMs);
  const [counts] = await sql<[{ messages: number; rows: number; keys: number }]>`
    select (select last_seq from rooms where id = ${room})::integer as messages, count(*)::integer as rows,
      count(distinct (seq, user_id, channel, device))::integer as keys
    from notifications where room_id = ${room}`;
  expect(counts).toEqual({
    messages: counts.messages,
    rows: counts.messages * members,
    keys: counts.messages * members,
  });
  return counts.messages;
}

beforeAll(async () => {
  [postgresService, redis] = await Promise.all([startOwnPostgres(), startOwnRedis()]);
  stays = await start('stays');
  sql = createClient(postgresService.url, { max: 2 });
}, 120_000);
afterAll(async () => {
  for (const client of clients) client.close();
  stays.kill('SIGKILL');
  await stays.exit();
  await sql.end({ timeout: 5 });
  await redis.stop();
  await postgresService.stop();
}, 60_000);

it('a node that is killed between its commits and their expansion', { timeout: 120_000 }, async () => {
  const doomed = await start('doomed');
  const owner = await connect(doomed, 'owner');
  await makeRoom(owner, 'killed');
  const sends = Array.from({ length: 50 }, (_, n) => owner.ok('message:send', text('killed', { text: `@room ${n}` })));
  const ended = Promise.allSettled(sends);
  // the first ack comes before the node has gathered for an expansion
  await Promise.any(sends);
  doomed.kill('SIGKILL');
  await doomed.exit();
  await ended;
  expect(await untilAllNotified('killed')).toBeGreaterThan(0);
});

it('a Redis that loses its data while notifications wait', { timeout: 120_000 }, async () => {
  const owner = await connect(stays, 'owner');
  const ann = await connect(stays, 'ann');
  await owner.ok('room:create', { kind: 'group', name: 'Flushed', id: 'flushed' });
  await owner.ok('room:invite', { room: 'flushed', user: 'ann', role: 'member' });
  await ann.ok('preferences:set', { preferences: { snoozeUntil: Date.now() + 3_600_000 } });
  const seqs: number[] = [];
  for (let n = 0; n < 5; n++) {
    seqs.push((await owner.ok('message:send', text('flushed', { text: `@ann ${n}` }))).seq);
  }
  await until('the rows wait', async () => (await sql`select from notifications where state = 'waiting'`).length === 5);
  const client = new Redis(redis.url);
  await client.flushall();
  client.disconnect();
  await ann.ok('preferences:set', { preferences: { snoozeUntil: Date.now() + 1000 } });
  await until(
    'each is delivered',
    async () => {
      const rows = await sql`select from notifications where room_id = 'flushed' and state = 'sent'`;
      return rows.length === 5;
    },
    60_000,
  );
  const { notifications } = await ann.ok('notification:list', {});
  expect(
    notifications
      .filter(({ room }) => room === 'flushed')
      .map(({ seq }) => seq)
      .toSorted((a, b) => a - b),
  ).toEqual(seqs);
  // presence may know no connection until nodes write it again, so the event may be missing, and never comes twice
  const shown = ann.received('notification').map(({ seq }) => seq);
  expect(new Set(shown).size).toBe(shown.length);
});

it('a Postgres that restarts while messages are sent', { timeout: 120_000 }, async () => {
  const owner = await connect(stays, 'owner');
  await makeRoom(owner, 'restarted');
  const send = (n: number): Promise<unknown> => owner.ok('message:send', text('restarted', { text: `@room ${n}` }));
  await Promise.all(Array.from({ length: 20 }, (_, n) => send(n)));
  await postgresService.kill('SIGKILL');
  await postgresService.start();
  await until('the server stores again', async () => {
    try {
      await send(100);
      return true;
    } catch {
      return false;
    }
  });
  expect(await untilAllNotified('restarted', 60_000)).toBeGreaterThan(20);
});
