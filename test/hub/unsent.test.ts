/** Clients that ask for much and read nothing: what waits for them is bounded, and nobody else pays for it. */
import { request } from 'node:http';
import { afterEach, expect, it } from 'vitest';
import { connectRaw, type RawClient } from '../support/raw-client.ts';
import { startServer, tokenOf, type TestServer } from '../support/server.ts';
import { connectStock } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

let server: TestServer;
const raws: RawClient[] = [];
afterEach(async () => {
  for (const { ws } of raws.splice(0)) ws.terminate();
  await server.stop();
});

const mega = 1024 ** 2;
const sync = (id: number): string => `42${id}["sync",{"cursors":{"big":0},"limit":1000}]`;

/** A room of three megabytes with these users in it. Made by SQL: the node knows no head of it, so all is read. */
async function start(env: Record<string, string>, users: readonly string[]): Promise<void> {
  server = await startServer({
    PARLEY_SOFT_BUFFERED_BYTES: '64k',
    PARLEY_COMMANDS_PER_SECOND: '100000',
    PARLEY_COMMAND_BURST: '100000',
    ...env,
  });
  const { sql } = server.database;
  await sql`insert into users (id) select unnest(${users}::text[])`;
  await sql`
    insert into rooms (id, kind, name, created_by, member_count, last_seq, last_rev)
    values ('big', 'group', 'big', ${users[0] ?? ''}, ${users.length}, 200, 200)`;
  await sql`insert into members (room_id, user_id, role) select 'big', unnest(${users}::text[]), 'member'`;
  await sql`
    insert into messages (room_id, seq, id, rev, sender_id, body, created_at)
    select 'big', i, gen_random_uuid(), i, ${users[0] ?? ''}, jsonb_build_object('text', repeat('x', 15000)), now()
    from generate_series(1, 200) i`;
}

/** A connection that sends and never reads. */
async function unread(user: string, localAddress?: string): Promise<RawClient> {
  const raw = await connectRaw(server.url, await tokenOf(user), localAddress === undefined ? {} : { localAddress });
  raw.ws.pause();
  raws.push(raw);
  return raw;
}

const metric = async (series: string): Promise<number> => (await server.metrics()).get(series) ?? 0;
const refused = (limit: string): Promise<number> => metric(`parley_answers_refused_total{limit="${limit}"}`);
const unsent = (): Promise<number> => metric('parley_unsent_bytes');

/**
 * Each client sends one read at a time until the condition holds. A sweep closes the largest buffers soon after a limit is
 * passed, on a busy machine before the next read. Another connection replaces a closed one.
 * @returns the most unsent bytes meanwhile
 */
async function readUntil(
  clients: RawClient[],
  condition: () => Promise<boolean>,
  again?: (at: number) => Promise<RawClient>,
): Promise<number> {
  let most = 0;
  let id = 0;
  await until(
    'the limit is met',
    async () => {
      for (const [at, { ws }] of clients.entries()) {
        if (ws.readyState === ws.OPEN) ws.send(sync(id++));
        else if (again !== undefined) clients[at] = await again(at);
      }
      most = Math.max(most, await unsent());
      return condition();
    },
    45_000,
  );
  return most;
}

it('a connection gets no large answer while the last one is unsent, and gets it when it has read', async () => {
  await start({ PARLEY_MAX_BUFFERED_BYTES: '8m', PARLEY_MAX_UNSENT_BYTES_PER_USER: '64m' }, ['eve']);
  const eve = await unread('eve');
  // one answer may begin with 64 KiB unsent, and those that run at once begin together
  const most = await readUntil([eve], async () => (await refused('connection')) > 20);
  expect(most).toBeLessThan(6 * mega);
  expect(eve.closed()).toBeUndefined();
  eve.ws.resume();
  const refusal = await eve.next('43');
  expect(refusal).toBeDefined();
  await until('all has been read', async () => (await unsent()) === 0);
  expect(eve.frames.find((frame) => frame.includes('"code":"overloaded"'))).toContain('"retryAfter":100');
  eve.send(sync(90_001));
  expect(await eve.next('4390001[')).toContain('"ok":true');
}, 60_000);

it('a user over the limit gets no large answer on any connection; others do', async () => {
  await start({ PARLEY_MAX_BUFFERED_BYTES: '3m', PARLEY_MAX_UNSENT_BYTES_PER_USER: '3m' }, ['eve', 'ann']);
  const eves = await Promise.all(Array.from({ length: 12 }, () => unread('eve')));
  const most = await readUntil(
    eves,
    async () => (await refused('user')) > 20 && (await metric('parley_slow_consumers_total{step="user"}')) > 0,
    () => unread('eve'),
  );
  // another limit may close a buffer first, so the reads go on until this limit has closed one; four reads run at once
  expect(most).toBeLessThan(3 * mega + 5 * mega);
  const fresh = await connectRaw(server.url, await tokenOf('eve'));
  raws.push(fresh);
  const ann = await connectStock(server.url, await tokenOf('ann'));
  expect((await ann.ok('sync', { cursors: { big: 0 } })).rooms['big']?.messages.length).toBeGreaterThan(0);
  await until('the largest buffers are closed', async () => (await unsent()) <= 3 * mega);
  expect(await metric('parley_connections_closed_total{reason="slow_consumer"}')).toBeGreaterThan(0);
  ann.close();
}, 60_000);

it('an address over the limit gets no large answer for any user; other addresses do', async () => {
  const limit = {
    PARLEY_MAX_BUFFERED_BYTES: '3m',
    PARLEY_MAX_UNSENT_BYTES_PER_USER: '4m',
    PARLEY_MAX_UNSENT_BYTES_PER_ADDRESS: '4m',
  };
  const users = Array.from({ length: 20 }, (_, i) => `eve-${i}`);
  await start(limit, [...users, 'ann']);
  const eves = await Promise.all(users.map((user) => unread(user, '127.0.0.2')));
  const again = (at: number): Promise<RawClient> => unread(users[at] ?? '', '127.0.0.2');
  await readUntil(eves, async () => (await refused('address')) > 0, again);
  const ann = await connectRaw(server.url, await tokenOf('ann'));
  raws.push(ann);
  ann.send(sync(7));
  expect(await ann.next('437[')).toContain('"ok":true');
  await readUntil(eves, async () => (await metric('parley_slow_consumers_total{step="address"}')) > 0, again);
  await until('the rest is below the limit', async () => (await unsent()) <= 4 * mega);
}, 60_000);

it('an answer to an HTTP poll that its client does not take is counted, and ends with the request', async () => {
  const wide = { PARLEY_SOFT_BUFFERED_BYTES: '16m', PARLEY_MAX_BUFFERED_BYTES: '16m' };
  await start(wide, ['eve']);
  const query = '/socket.io/?EIO=4&transport=polling';
  const opened = await (await fetch(server.url + query)).text();
  const { sid } = JSON.parse(opened.slice(1)) as { sid: string };
  const post = (body: string): Promise<Response> => fetch(`${server.url}${query}&sid=${sid}`, { method: 'POST', body });
  const get = async (): Promise<string> => (await fetch(`${server.url}${query}&sid=${sid}`)).text();
  await post(`40${JSON.stringify({ token: await tokenOf('eve') })}`);
  for (let text = ''; !text.includes('["ready"');) text = await get();
  await post([1, 2, 3, 4, 5, 6, 7, 8].map(sync).join('\x1e'));
  await until('eight answers wait', async () => (await unsent()) > 7.5 * mega);
  // takes the head of the answer and reads no more of it
  const reading = request(`${server.url}${query}&sid=${sid}`);
  reading.on('error', () => {}).on('response', (response) => response.pause());
  reading.end();
  await new Promise((resolve) => reading.once('response', resolve));
  await until('the socket has taken what it can', async () => (await unsent()) < 7.5 * mega);
  // more than the socket takes
  expect(await unsent()).toBeGreaterThan(64 * 1024);
  reading.destroy();
  await until('the session ended', async () => (await metric('parley_connections')) === 0);
  expect(await unsent()).toBe(0);
}, 60_000);

it('an answer to an HTTP poll that its client takes slowly comes whole', async () => {
  await start({ PARLEY_SOFT_BUFFERED_BYTES: '16m', PARLEY_MAX_BUFFERED_BYTES: '16m' }, ['eve']);
  const eve = await connectStock(server.url, await tokenOf('eve'), { transports: ['polling'] });
  const pages = await Promise.all([1, 2, 3, 4, 5, 6].map(() => eve.ok('sync', { cursors: { big: 0 } })));
  for (const { rooms } of pages) expect(rooms['big']?.messages.map(({ seq }) => seq).slice(0, 3)).toEqual([1, 2, 3]);
  await until('nothing waits', async () => (await unsent()) === 0);
  eve.close();
  await until('it has left', async () => (await metric('parley_connections')) === 0);
}, 60_000);

it('reads of one user run and wait up to the limit, and one more is refused', async () => {
  await start({ PARLEY_READS_AT_ONCE_PER_USER: '1' }, ['eve']);
  const eves = await Promise.all([1, 2].map(async () => connectRaw(server.url, await tokenOf('eve'))));
  raws.push(...eves);
  // one runs and eight wait; each connection may have eight on their way
  await server.database.sql.begin(async (sql) => {
    await sql`lock table messages in access exclusive mode`;
    eves[0]?.send(...[1, 2, 3, 4, 5].map(sync));
    eves[1]?.send(...[1, 2, 3, 4].map(sync));
    const overShare = 'parley_turns_refused_total{place="answers",limit="user"}';
    expect(await metric(overShare)).toBe(0);
    eves[1]?.send(sync(5));
    const { error } = (JSON.parse((await eves[1]?.next('435['))?.slice(3) ?? '') as [{ error: object }])[0];
    expect(error).toMatchObject({ code: 'overloaded', retryAfter: 100 });
    expect(await metric(overShare)).toBe(1);
  });
  for (const n of [1, 2, 3, 4, 5]) expect(await eves[0]?.next(`43${n}[`)).toContain('"ok"');
}, 60_000);

it('while memory is short the largest buffers are closed, and no work is refused', async () => {
  const limit = process.memoryUsage.rss() + 400 * mega;
  await start({ PARLEY_MAX_MEMORY_BYTES: String(limit) }, ['eve', 'ann']);
  const ann = await connectStock(server.url, await tokenOf('ann'));
  const eves = [await unread('eve')];
  // on a busy machine the ping timeout may close the connection, which reads no ping either, before this limit does
  const again = (): Promise<RawClient> => unread('eve');
  await readUntil(eves, async () => (await refused('connection')) > 3, again);
  // nine tenths of the limit are passed, the limit is not
  const held: Buffer[] = [];
  const closes = async (): Promise<boolean> => {
    // again where a collection has made room meanwhile
    held.push(Buffer.alloc(Math.max(0, Math.floor(0.94 * limit) - process.memoryUsage.rss()), 1));
    return (await metric('parley_slow_consumers_total{step="memory"}')) > 0;
  };
  await readUntil(eves, closes, again);
  for (const { ws } of eves) ws.terminate();
  await until('it is gone', async () => (await unsent()) === 0);
  expect(await metric('parley_admitted_share{limit="none"}')).toBe(1);
  await ann.ok('room:list', {});
  expect(held.length).toBeGreaterThan(0);
  ann.close();
}, 60_000);
