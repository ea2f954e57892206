/** Each limit is reached and then passed by one. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { limits } from '../../src/protocol/limits.ts';
import { connectRaw, openRaw, refusedUpgrade } from '../support/raw-client.ts';
import { startServer, tokenOf, type TestServer } from '../support/server.ts';
import { connectStock, text, type StockClient } from '../support/stock-client.ts';

let server: TestServer;
let client: StockClient;
const maxFrameBytes = 32 * 1024;

beforeAll(async () => {
  server = await startServer({
    PARLEY_MAX_FRAME_BYTES: String(maxFrameBytes),
    PARLEY_MAX_ROOMS_PER_USER: '4',
    PARLEY_MAX_MEMBERS_PER_ROOM: '3',
  });
  client = await connectStock(server.url, await tokenOf('ann'));
  await client.ok('room:create', { kind: 'channel', name: 'Limits', id: 'limits' });
});
afterAll(async () => {
  client.close();
  await server.stop();
});

/** An event of so many bytes in all. */
function frameOf(bytes: number): string {
  return `421["x","${'y'.repeat(bytes - 11)}"]`;
}

function nested(levels: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < levels; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}

describe('the size of', () => {
  it('a body is bounded in bytes of UTF-8 JSON', async () => {
    for (const [unit, bytes] of [
      ['x', 1],
      ['é', 2],
      ['語', 3],
    ] as const) {
      const fits = unit.repeat(Math.floor((limits.bodyBytes - 2) / bytes));
      await client.ok('message:send', text('limits', fits));
      expect(await client.error('message:send', text('limits', `${fits}${unit}`))).toMatchObject({ code: 'too_large' });
    }
    const data = 'x'.repeat(limits.bodyBytes - 2);
    await client.ok('signal', { room: 'limits', name: 'big', data });
    expect(await client.error('signal', { room: 'limits', name: 'big', data: `${data}x` })).toMatchObject({
      code: 'too_large',
    });
  });

  it('a body is bounded in depth', async () => {
    await client.ok('message:send', text('limits', nested(limits.bodyDepth)));
    expect(await client.error('message:send', text('limits', nested(limits.bodyDepth + 1)))).toMatchObject({
      code: 'invalid',
      message: `body: nested deeper than ${limits.bodyDepth} levels.`,
    });
  });

  it('a frame is bounded', async () => {
    const raw = await connectRaw(server.url, await tokenOf('ben'));
    expect(frameOf(maxFrameBytes)).toHaveLength(maxFrameBytes);
    raw.send(frameOf(maxFrameBytes));
    expect(await raw.next('431')).toContain('unknown_command');
    raw.send(frameOf(maxFrameBytes + 1));
    expect(await raw.untilClosed()).toEqual({ code: 1009, reason: 'too_large' });
    expect(raw.frames.at(-1)).toContain('"code":"too_large"');
    const metrics = await server.metrics();
    expect(metrics.get('parley_connections_closed_total{reason="too_large"}')).toBe(1);
    // so much more that it is not even received
    const huge = await connectRaw(server.url, await tokenOf('ben'));
    huge.send(frameOf(maxFrameBytes * 4 + 1));
    expect((await huge.untilClosed()).code).toBe(1006);
  });

  it.each([
    ['room id', limits.roomIdLength, (n: number) => ['history', { room: 'r'.repeat(n) }]],
    [
      'room name',
      limits.roomNameLength,
      (n: number) => ['room:create', { kind: 'channel', name: 'n'.repeat(n), id: 'limits' }],
    ],
    ['user id', limits.userIdLength, (n: number) => ['room:members', { room: 'limits', after: 'u'.repeat(n) }]],
    ['signal name', limits.signalNameLength, (n: number) => ['signal', { room: 'limits', name: 's'.repeat(n) }]],
    ['page of history', limits.pageSize, (limit: number) => ['history', { room: 'limits', limit }]],
    ['page of rooms', limits.pageSize, (limit: number) => ['room:list', { limit }]],
    ['page of members', limits.pageSize, (limit: number) => ['room:members', { room: 'limits', limit }]],
    ['page of sync', limits.syncMessages, (limit: number) => ['sync', { cursors: {}, limit }]],
    ['page of sync in bytes', limits.syncBytes, (bytes: number) => ['sync', { cursors: {}, bytes }]],
    ['sync in rooms', limits.syncRooms, (n: number) => ['sync', { cursors: cursors(n) }]],
    ['token', 8192, (n: number) => ['auth:refresh', { token: 't'.repeat(n) }]],
  ] as const)('a %s is bounded', async (_, limit, make) => {
    const send = async (n: number) => {
      const [name, input] = make(n) as [string, unknown];
      return (await client.socket.timeout(15_000).emitWithAck(name, input)) as { error?: { code: string } };
    };
    expect((await send(limit)).error?.code).not.toBe('invalid');
    expect((await send(limit + 1)).error?.code).toBe('invalid');
  });
});

function cursors(n: number): Record<string, number> {
  return Object.fromEntries(Array.from({ length: n }, (_, i) => [`room-${i}`, 0]));
}

describe('the number of', () => {
  it('rooms of a user is bounded, for making and joining, and apart from these for being added', async () => {
    const user = await connectStock(server.url, await tokenOf('many-rooms'));
    for (const id of ['m1', 'm2', 'm3', 'm4']) await user.ok('room:create', { kind: 'group', name: id, id });
    const full = { code: 'limit_reached', retryable: false };
    expect(await user.error('room:create', { kind: 'group', name: 'm5', id: 'm5' })).toMatchObject(full);
    expect(await user.error('room:join', { room: 'limits' })).toMatchObject(full);
    expect(await user.ok('room:create', { kind: 'group', name: 'm4', id: 'm4' })).toMatchObject({ created: false });
    await user.ok('room:leave', { room: 'm1' });
    await user.ok('room:create', { kind: 'group', name: 'm5', id: 'm5' });
    for (const id of ['x1', 'x2', 'x3', 'x4', 'x5']) {
      await server.database.sql`select create_room(${id}, 'group', ${id}, 'somebody', null, 100)`;
      await server.database.sql`select admit(${id}, 'many-rooms', 'member', 10, 4, 'added') as outcome`;
    }
    expect(await client.error('room:invite', { room: 'limits', user: 'many-rooms' })).toMatchObject(full);
    user.close();
  });

  it('members of a room is bounded', async () => {
    await client.ok('room:create', { kind: 'channel', name: 'Full', id: 'full' });
    for (const user of ['f1', 'f2']) await client.ok('room:invite', { room: 'full', user });
    expect(await client.error('room:invite', { room: 'full', user: 'f3' })).toMatchObject({ code: 'limit_reached' });
    await client.ok('room:invite', { room: 'full', user: 'f2', role: 'admin' });
  });
});

describe('connections', () => {
  let small: TestServer;
  beforeAll(async () => {
    small = await startServer({
      PARLEY_MAX_CONNECTIONS: '3',
      PARLEY_MAX_CONNECTIONS_PER_ADDRESS: '2',
      PARLEY_COMMANDS_PER_SECOND: '1',
      PARLEY_COMMAND_BURST: '10',
    });
  });
  afterAll(() => small.stop());

  it('of one address and in all are bounded, and a place is free again after a close', async () => {
    const held = [await openRaw(small.url), await openRaw(small.url)];
    const refused = await refusedUpgrade(small.url);
    expect(refused).toMatchObject({ status: 429, body: { code: 'rate_limited', retryable: true, retryAfter: 5000 } });
    expect(refused.headers['retry-after']).toBe('5');
    // 127.0.0.2 is another address of this machine
    const elsewhere = await openRaw(small.url, { localAddress: '127.0.0.2' });
    expect(await refusedUpgrade(small.url, { localAddress: '127.0.0.3' })).toMatchObject({
      status: 503,
      body: { code: 'overloaded', retryable: true, retryAfter: 5000 },
      headers: { 'retry-after': '5' },
    });
    const metrics = await small.metrics();
    expect(metrics.get('parley_handshakes_refused_total{reason="address"}')).toBe(1);
    expect(metrics.get('parley_handshakes_refused_total{reason="connections"}')).toBe(1);
    await held[0]?.close();
    const next = await openRaw(small.url);
    for (const raw of [next, elsewhere, ...held]) await raw.close();
  });

  it('may run so many commands a second', async () => {
    const token = await tokenOf('fast');
    const raw = await connectRaw(small.url, token);
    raw.send(...Array.from({ length: 11 }, (_, i) => i + 1).map((n) => `42${n}["auth:refresh",{"token":"${token}"}]`));
    const answers = await Promise.all(Array.from({ length: 11 }, (_, i) => i + 1).map((n) => raw.next(`43${n}[`)));
    expect(answers.slice(0, 10).every((answer) => answer.includes('"ok":true'))).toBe(true);
    const { error } = (JSON.parse((answers[10] ?? '').replace(/^43\d+/, '')) as [{ error: object }])[0];
    expect(error).toMatchObject({ code: 'rate_limited', retryable: true, retryAfter: 1000 });
    await raw.close();
  });
});

describe('commands that wait', () => {
  it('are bounded for a connection', async () => {
    const narrow = await startServer({ PARLEY_MAX_PENDING_COMMANDS: '2' });
    const raw = await connectRaw(narrow.url, await tokenOf('ann'));
    // a lock on the table holds every answer back until it is released
    await narrow.database.sql.begin(async (tx) => {
      await tx`lock table rooms in access exclusive mode`;
      raw.send(...[1, 2, 3].map((n) => `42${n}["room:list",{}]`));
      expect(await raw.next('433[')).toContain('"code":"overloaded"');
      expect(raw.frames).toEqual([]);
    });
    expect(await raw.next('431[')).toContain('"ok":true');
    expect(await raw.next('432[')).toContain('"ok":true');
    await raw.close();
    await narrow.stop();
  });
});
