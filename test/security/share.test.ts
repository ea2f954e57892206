/**
 * One user with a hundred connections at full effort, on each kind of command. A neighbour in another process sends twenty
 * messages a second. The server refuses none of these, and stays under its limit of memory. The test prints the waits of the
 * neighbour. SHARE_MS is the time of each kind, for a longer run.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { testSecret, tokenOf } from '../support/server.ts';
import { spawnServer, type SpawnedServer } from '../support/spawn.ts';
import { connectStock } from '../support/stock-client.ts';
import { CrowdOfOne, type Ask } from './crowd-of-one.ts';
import type { Fared } from './neighbour.ts';

const eachMs = Number(process.env['SHARE_MS'] ?? 1000);
const memoryLimit = 512 * 1024 ** 2;
const id = (): string => crypto.randomUUID();

let database: TestDatabase;
let server: SpawnedServer;
let neighbour: ChildProcess;

const resident = async (): Promise<number> => (await server.metrics()).get('process_resident_memory_bytes') ?? 0;

/** The waits and errors of the neighbour since the last report. */
async function fared(): Promise<Fared> {
  const answer = once(neighbour, 'message') as Promise<[Fared]>;
  neighbour.send('report');
  return (await answer)[0];
}

beforeAll(async () => {
  database = await createTestDatabase();
  server = await spawnServer({
    DATABASE_URL: database.url,
    PARLEY_JWT_SECRET: testSecret,
    PARLEY_HOST: '127.0.0.1',
    PARLEY_DRAIN_MS: '0',
    PARLEY_LOG_LEVEL: 'error',
    PARLEY_MAX_MEMORY_BYTES: String(memoryLimit),
    // the crowd comes from one address, sixteen times
    PARLEY_CONNECTS_PER_SECOND_PER_ADDRESS: '1000',
  });
  const ann = await connectStock(server.url, await tokenOf('ann'));
  await ann.ok('room:create', { kind: 'group', name: 'Quiet', id: 'quiet' });
  await ann.ok('room:create', { kind: 'channel', name: 'Open', id: 'open' });
  ann.close();
  const eves = Object.keys(kinds).map((_, n) => `eve-${n}`);
  const { sql } = database;
  await sql`insert into users (id) select unnest(${eves}::text[])`;
  for (const [room, messages] of [
    ['own', 0],
    ['full', 1000],
  ] as const) {
    await sql`
      insert into rooms (id, kind, name, created_by, member_count, last_seq, last_rev)
      values (${room}, 'group', ${room}, 'ann', ${eves.length}, ${messages}, ${messages})`;
    await sql`insert into members (room_id, user_id, role) select ${room}, unnest(${eves}::text[]), 'admin'`;
  }
  await sql`
    insert into messages (room_id, seq, id, rev, sender_id, body, created_at)
    select 'full', i, gen_random_uuid(), i, 'eve-0', jsonb_build_object('text', repeat('lorem ipsum ', 200)), now()
    from generate_series(1, 1000) i`;
  neighbour = fork(new URL('neighbour.ts', import.meta.url).pathname, [server.url, await tokenOf('ann'), 'quiet'], {
    execArgv: ['--import', 'tsx'],
  });
  await once(neighbour, 'message');
  await fared();
  await new Promise((resolve) => setTimeout(resolve, eachMs));
  console.log(`quiet: neighbour ${JSON.stringify(await fared())}`);
}, 60_000);

afterAll(async () => {
  neighbour.disconnect();
  await once(neighbour, 'exit');
  server.kill('SIGTERM');
  await server.exit();
  await database.drop();
});

const kinds: Readonly<Record<string, { readonly ask: Ask; readonly reads?: false }>> = {
  'sends messages': { ask: () => ['message:send', { room: 'own', id: id(), body: { text: 'x'.repeat(500) } }] },
  'sends the largest messages': {
    ask: () => ['message:send', { room: 'own', id: id(), body: { text: 'x'.repeat(16_000) } }],
  },
  'syncs, and reads the answers': { ask: () => ['sync', { cursors: { full: 0 }, limit: 1000 }] },
  'syncs, and reads nothing': { ask: () => ['sync', { cursors: { full: 0 }, limit: 1000 }], reads: false },
  'reads history': { ask: (n) => ['history', { room: 'full', before: 1000 - (n % 800) }] },
  searches: { ask: (n) => ['search', { query: `lorem ${n}` }] },
  'counts what is unread': { ask: () => ['unread', {}] },
  'lists rooms': { ask: () => ['room:list', { scope: 'open' }] },
  'signals to a channel': { ask: () => ['signal', { room: 'own', name: 'typing' }] },
  'comes and goes': { ask: (n) => [n % 2 === 0 ? 'room:join' : 'room:leave', { room: 'open' }] },
  'creates rooms': { ask: () => ['room:create', { kind: 'channel', name: 'More' }] },
  'invites people': { ask: (n) => ['invitation:create', { room: 'own', user: `guest-${n}` }] },
  'knocks at a private room': { ask: () => ['room:join', { room: 'quiet' }] },
  'edits and reacts': {
    ask: (n) =>
      n % 2 === 0
        ? ['message:edit', { room: 'full', seq: 1 + (n % 1000), body: { text: 'edited' } }]
        : ['reaction:add', { room: 'full', seq: 1 + (n % 1000), emoji: '👍' }],
  },
  'revokes sessions that nobody has': { ask: () => ['session:revoke', { session: '~nobody' }] },
  'sends what is no command': { ask: () => ['nonsense', { data: 'x'.repeat(30_000) }] },
};

describe('while one user on a hundred connections', () => {
  it.each(Object.entries(kinds).map(([kind, how], n) => [kind, how, n] as const))(
    '%s, no send of a neighbour is refused',
    async (kind, { ask, reads }, n) => {
      // a user of its own, whose rates nobody has used up yet
      const crowd = new CrowdOfOne(server.url, await tokenOf(`eve-${n}`), 100);
      await crowd.connect();
      await fared();
      let most = 0;
      const watch = setInterval(() => {
        void resident().then((bytes) => (most = Math.max(most, bytes)));
      }, 200);
      await crowd.attack(ask, eachMs, reads ?? true);
      clearInterval(watch);
      const { refused, sent, ...times } = await fared();
      most = Math.max(most, await resident());
      crowd.end();
      const { requested, outcomes } = crowd;
      console.log(
        `${kind}: ${requested} asked; neighbour ${JSON.stringify({ sent, ...times })}, ${most >> 20} MB, ${JSON.stringify(outcomes)}`,
      );
      expect(requested).toBeGreaterThan(100);
      expect(sent).toBeGreaterThan(0);
      expect(refused).toEqual({});
      expect(most).toBeLessThan(memoryLimit);
    },
    eachMs + 60_000,
  );
});
