import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { io, type Socket } from 'socket.io-client';
import { requestTypes } from '../../../src/interop/socketio-redis/messages.ts';
import { until } from '../../support/until.ts';
import { listen, startBackends, startRealServer, type Backends, type Listener, type RealServer } from './backends.ts';

let backends: Backends;
let real: RealServer;
let own: Socket;
let ann: Listener;
let ben: Listener;
let cid: Listener;

interface Remote {
  id: string;
  rooms: Set<string>;
  data: unknown;
  handshake: Record<string, unknown>;
}

/** @returns the error of an `emitWithAck` with a short timeout. */
const hurry = (): Promise<unknown> =>
  real.io
    .timeout(300)
    .to('user:cid')
    .emitWithAck('hurry')
    .catch((error: unknown) => error);
const unexpected = (packet: string) => backends.counted(`parley_stray_packets_total{packet="${packet}"}`);

const ids = (sockets: readonly { id: string }[]): string[] => sockets.map(({ id }) => id);

beforeAll(async () => {
  backends = await startBackends({ PARLEY_SOCKETIO_ROOMS_PER_CONNECTION: '3', PARLEY_SOCKETIO_MAX_LISTED: '3' });
  real = await startRealServer(backends.key);
  own = io(real.url, { transports: ['websocket'], forceNew: true });
  await until('the real server has its client', () => own.connected);
  const [one, two] = backends.nodes;
  ann = await listen(one.url, 'ann');
  await ann.stock.ok('room:create', { kind: 'channel', id: 'hall', name: 'Hall' });
  for (const user of ['ben', 'cid']) await ann.stock.ok('room:invite', { room: 'hall', user });
  ben = await listen(two.url, 'ben', 'msgpack');
  cid = await listen(one.url, 'cid', 'polling');
});
afterAll(async () => {
  for (const { socket } of [ann, ben, cid]) socket.disconnect();
  own.disconnect();
  await real.stop();
  await backends.stop();
});

describe('a real Socket.IO server on the same Redis', () => {
  it('emits to its own clients and to those of Parley at once', async () => {
    const received = new Promise((resolve) => own.once('everywhere', resolve));
    real.io.emit('everywhere', { a: 1 });
    expect(await received).toEqual({ a: 1 });
    for (const listener of [ann, ben, cid]) expect(await listener.received('everywhere')).toEqual([{ a: 1 }]);
    real.io.to('hall').except('user:ann').emit('hall', Buffer.from('x'));
    for (const listener of [ben, cid]) await listener.received('hall');
    real.io.to('user:ann').emit('end');
    await ann.received('end');
    expect(ann.count('hall')).toBe(0);
  });

  it('fetches connections of Parley with their ids, rooms and users, and without secrets', async () => {
    const sockets = (await real.io.in('hall').fetchSockets()) as unknown as Remote[];
    const byId = new Map(sockets.map((socket) => [socket.id, socket]));
    expect(new Set(byId.keys())).toEqual(new Set([ann.session, ben.session, cid.session]));
    const remote = byId.get(ben.session);
    expect([...(remote?.rooms ?? [])].sort()).toEqual(['hall', 'user:ben', ben.session].sort());
    expect(remote?.data).toEqual({ user: { id: 'ben', name: null } });
    expect(remote?.handshake).toMatchObject({ address: '127.0.0.1', headers: {}, query: {}, auth: {} });
    expect(Math.abs(Number(remote?.handshake['issued']) - Date.now())).toBeLessThan(600_000);
    expect(JSON.stringify(sockets.map(({ handshake, data }) => [handshake, data]))).not.toContain('eyJ');
    expect((await real.io.fetchSockets()).length).toBe(4);
    expect((await real.io.in('user:ann').except('hall').fetchSockets()).length).toBe(0);
  });

  it('emits to clients of Parley and gets their acks', async () => {
    ann.socket.on('question', (_n: number, ack: (value: unknown) => void) => ack({ from: 'ann' }));
    ben.socket.on('question', (_n: number, ack: (value: unknown) => void) => ack(Buffer.from('ben')));
    cid.socket.on('question', (_n: number, ack: (value: unknown) => void) => ack('cid\ud800'));
    const answers = (await real.io.timeout(10_000).to('hall').emitWithAck('question', 1)) as unknown[];
    expect(answers.length).toBe(3);
    expect(answers).toContainEqual({ from: 'ann' });
    expect(answers).toContainEqual(Buffer.from('ben'));
    expect(answers).toContainEqual('cid\ufffd');
  });

  it('gets the acks of the other clients if one does not ack in time', async () => {
    ann.socket.on('quiet', (ack: (value: unknown) => void) => ack('ann'));
    const failed: unknown = await real.io
      .timeout(300)
      .to('hall')
      .emitWithAck('quiet')
      .then(
        () => undefined,
        (error: unknown) => error,
      );
    expect((failed as { responses: unknown[] }).responses).toEqual(['ann']);
  });

  it('ignores an ack after its timeout, and the rate of the connection does not count it', async () => {
    const acks: ((value: unknown) => void)[] = [];
    cid.socket.on('hurry', (ack: (value: unknown) => void) => acks.push(ack));
    const first = hurry();
    await until('the first event has arrived', () => acks.length === 1);
    // begun later and given up, so that the first one has been on the node too
    const failures = await Promise.all([first, hurry()]);
    for (const failed of failures) expect((failed as { responses: unknown[] }).responses).toEqual([]);
    acks[0]?.(Buffer.from('late'));
    await until('it is counted', async () => (await unexpected('late_ack')) === 1);
    expect(await unexpected('ack')).toBe(0);
  });

  it('joins connections to free rooms up to the limit, and makes them leave', async () => {
    real.io.in('user:ann').socketsJoin(['#1', '#2', '#3', '#4']);
    const refused = 'parley_door_refused_total{reason="rooms_per_connection"}';
    await until('the fourth is refused', async () => (await backends.counted(refused)) === 1);
    expect((await real.io.in('#3').fetchSockets()).map(({ id }) => id)).toEqual([ann.session]);
    expect(await real.io.in('#4').fetchSockets()).toEqual([]);
    const [remote] = await real.io.in('#3').fetchSockets();
    remote?.leave('#3');
    await until('it has left', async () => (await real.io.in('#3').fetchSockets()).length === 0);
    remote?.emit('just-you', 1);
    expect(await ann.received('just-you')).toEqual([1]);
  });

  it('finds no listener for serverSideEmit in Parley', async () => {
    const refused = 'parley_door_refused_total{reason="server_side_emit"}';
    real.io.serverSideEmit('hello', 1);
    await until('it is counted', async () => (await backends.counted(refused)) === 2);
  });

  it('disconnects a connection of Parley', async () => {
    const other = await listen(backends.nodes[1].url, 'dan');
    const reason = new Promise((resolve) => other.socket.once('disconnect', resolve));
    const [remote] = await real.io.in('user:dan').fetchSockets();
    remote?.disconnect(true);
    expect(await reason).toBe('io server disconnect');
    await until('it is gone', async () => (await real.io.in('user:dan').fetchSockets()).length === 0);
  });

  it('lists rooms of Parley with its own', async () => {
    const { adapter } = real.io.of('/') as unknown as { adapter: { allRooms(): Promise<Set<string>> } };
    expect(await adapter.allRooms()).toContain('hall');
  });

  it('gets a list of one node up to its limit of entries, and no list over it', async () => {
    const { adapter } = real.io.of('/') as unknown as { adapter: { allRooms(): Promise<Set<string>> } };
    const refused = (): Promise<number> => backends.counted('parley_door_refused_total{reason="limit"}');
    const [{ url }] = backends.nodes;
    // on this node are ann and cid, who are in `hall`, and ann in two free rooms
    const dan = await listen(url, 'dan');
    const three = [ann.session, cid.session, dan.session];
    expect(ids(await real.io.fetchSockets())).toEqual(expect.arrayContaining(three));
    expect([...(await adapter.allRooms())]).toEqual(expect.arrayContaining(['hall', '#1', '#2']));
    expect(await refused()).toBe(0);

    const eve = await listen(url, 'eve');
    real.io.in('user:eve').socketsJoin('#4');
    // a request for fewer entries still works
    await until('it has joined', async () => (await real.io.in('#4').fetchSockets()).length === 1);
    await Promise.all([
      expect(real.io.fetchSockets()).rejects.toThrow('timeout'),
      expect(adapter.allRooms()).rejects.toThrow('timeout'),
    ]);
    expect(await refused()).toBe(2);
    // the request of an older server
    const old = JSON.stringify({ type: requestTypes.sockets, requestId: 'old', rooms: [] });
    await backends.redis.publish(`${backends.key}-request#/#`, old);
    await until('it is counted', async () => (await refused()) === 3);
    for (const { socket } of [dan, eve]) socket.disconnect();
  });
});
