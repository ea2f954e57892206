import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../../support/until.ts';
import { listen, startBackends, type Backends, type Listener } from './backends.ts';

let backends: Backends;
let ann: Listener;
let ben: Listener;
let cid: Listener;
let dan: Listener;
let all: Listener[];

/** Resolves when all earlier events have arrived everywhere: the messages of the emitter keep their order. */
async function fence(): Promise<void> {
  const name = `fence-${crypto.randomUUID()}`;
  backends.emitter.emit(name);
  await Promise.all(all.map((listener) => listener.received(name)));
}

beforeAll(async () => {
  backends = await startBackends();
  const [one, two] = backends.nodes;
  ann = await listen(one.url, 'ann');
  await ann.stock.ok('room:create', { kind: 'channel', id: 'hall', name: 'Hall' });
  await ann.stock.ok('room:create', { kind: 'channel', id: 'side', name: 'Side' });
  for (const user of ['ben', 'cid']) await ann.stock.ok('room:invite', { room: 'hall', user });
  await ann.stock.ok('room:invite', { room: 'side', user: 'ben' });
  ben = await listen(two.url, 'ben', 'msgpack');
  cid = await listen(one.url, 'cid', 'polling');
  dan = await listen(two.url, 'dan');
  all = [ann, ben, cid, dan];
});
afterAll(async () => {
  for (const { socket } of all) socket.disconnect();
  await backends.stop();
});

describe('the emitter', () => {
  it('reaches a room on both nodes, in every form, with all its arguments', async () => {
    const date = new Date(1_700_000_000_000);
    backends.emitter.to('hall').emit('order', { id: 7, at: date, big: 2 ** 40, text: 'a\ud800b' }, [1, null], 'x');
    for (const listener of [ann, ben, cid]) {
      const [first, ...rest] = await listener.received('order');
      expect(first).toMatchObject({ id: 7, at: '2023-11-14T22:13:20.000Z', big: 2 ** 40 });
      expect((first as { text: string }).text.isWellFormed()).toBe(true);
      expect(rest).toEqual([[1, null], 'x']);
    }
    await fence();
    expect(dan.count('order')).toBe(0);
  });

  it('carries bytes to every form', async () => {
    backends.emitter.to('hall').emit('bytes', { part: Buffer.from([1, 2, 255]) }, Buffer.from('tail'));
    for (const listener of [ann, ben, cid]) {
      const [first, end] = (await listener.received('bytes')) as [{ part: Uint8Array }, Uint8Array];
      expect([...new Uint8Array(first.part)]).toEqual([1, 2, 255]);
      expect(Buffer.from(end).toString()).toBe('tail');
    }
  });

  it('reaches everybody without a room, users by name, and one connection by its id', async () => {
    backends.emitter.emit('news', 1);
    for (const listener of all) expect(await listener.received('news')).toEqual([1]);
    backends.emitter.to('user:ben').emit('to-ben', 2);
    expect(await ben.received('to-ben')).toEqual([2]);
    backends.emitter.to(cid.session).emit('to-cid', 3);
    expect(await cid.received('to-cid')).toEqual([3]);
    await fence();
    expect(all.map((l) => l.count('to-ben') + l.count('to-cid'))).toEqual([0, 1, 1, 0]);
  });

  it('reaches each connection once, in however many of the rooms it is', async () => {
    backends.emitter.to(['hall', 'side', 'user:ann', ann.session]).emit('once');
    await fence();
    expect(all.map((listener) => listener.count('once'))).toEqual([1, 1, 1, 0]);
  });

  it('leaves out rooms, users and connections', async () => {
    backends.emitter.to('hall').except('side').emit('not-side');
    backends.emitter.to('hall').except(ann.session).emit('not-ann');
    backends.emitter.except(['user:ben', 'user:dan']).emit('not-two');
    backends.emitter.to('hall').except('user:ann').except(cid.session).emit('ben-only');
    await fence();
    expect(all.map((listener) => listener.count('not-side'))).toEqual([0, 0, 1, 0]);
    expect(all.map((listener) => listener.count('not-ann'))).toEqual([0, 1, 1, 0]);
    expect(all.map((listener) => listener.count('not-two'))).toEqual([1, 0, 1, 0]);
    expect(all.map((listener) => listener.count('ben-only'))).toEqual([0, 1, 0, 0]);
  });

  it('reaches connections that are not slow with volatile events too', async () => {
    backends.emitter.to('hall').volatile.emit('wink');
    backends.emitter.to('user:dan').volatile.emit('wink');
    for (const listener of all) await listener.received('wink');
  });

  it('keeps the order of what it emits to one room', async () => {
    for (let i = 0; i < 200; i++) backends.emitter.to('hall').emit('count', i);
    await fence();
    for (const listener of [ann, ben, cid]) {
      const seen = listener.came.filter(([name]) => name === 'count').map(([, i]) => i);
      expect(seen).toEqual(Array.from({ length: 200 }, (_, i) => i));
    }
  });

  it('does not reach a user that left the room', async () => {
    const eve = await listen(backends.nodes[0].url, 'eve');
    await eve.stock.ok('room:join', { room: 'hall' });
    backends.emitter.to('hall').emit('with-eve');
    await eve.received('with-eve');
    await eve.stock.ok('room:leave', { room: 'hall' });
    backends.emitter.to('hall').emit('without-eve');
    backends.emitter.to('user:eve').emit('end');
    await eve.received('end');
    expect(eve.count('without-eve')).toBe(0);
    eve.stock.close();
  });

  it('ignores other namespaces', async () => {
    backends.emitter.of('/admin').emit('admin-news');
    backends.emitter.of('/admin').to('hall').emit('admin-news');
    await fence();
    expect(all.map((listener) => listener.count('admin-news'))).toEqual([0, 0, 0, 0]);
  });
});

describe('free rooms', () => {
  it('are joined and left by backend services, and addressed like others', async () => {
    const { emitter } = backends;
    emitter.in('user:ann').socketsJoin(['/orders/17', '#vip']);
    emitter.in('hall').socketsJoin('#hall guests');
    emitter.to('/orders/17').emit('order-17');
    emitter.to('#hall guests').except('#vip').emit('guests');
    await fence();
    expect(all.map((listener) => listener.count('order-17'))).toEqual([1, 0, 0, 0]);
    expect(all.map((listener) => listener.count('guests'))).toEqual([0, 1, 1, 0]);
    emitter.in('user:ann').socketsLeave('/orders/17');
    emitter.to('/orders/17').emit('order-17');
    await fence();
    expect(ann.count('order-17')).toBe(1);
  });

  it('are no way into a room of members', async () => {
    const before = await backends.counted('parley_door_refused_total{reason="room_membership"}');
    backends.emitter.in('user:dan').socketsJoin(['#ok', 'hall']);
    backends.emitter.in('user:dan').socketsJoin('user:ann');
    backends.emitter.in('user:dan').socketsJoin(ann.session);
    backends.emitter.in('user:ann').socketsLeave('hall');
    await fence();
    expect(await backends.counted('parley_door_refused_total{reason="room_membership"}')).toBe(before + 8);
    backends.emitter.to(['hall', '#ok', 'user:ann', ann.session]).emit('inside');
    await fence();
    expect(all.map((listener) => listener.count('inside'))).toEqual([1, 1, 1, 0]);
  });

  it('end with the connection', async () => {
    const one = await listen(backends.nodes[0].url, 'fay');
    backends.emitter.in(one.session).socketsJoin('#gone');
    backends.emitter.to('#gone').emit('there');
    await one.received('there');
    one.stock.close();
    await until('it has left', async () => (await backends.nodes[0].metrics()).get('parley_connections') === 2);
    const metrics = await backends.nodes[0].metrics();
    backends.emitter.to('#gone').emit('nobody');
    await fence();
    const messages = 'parley_door_messages_total{request="emit"}';
    expect((await backends.nodes[0].metrics()).get(messages)).toBe((metrics.get(messages) ?? 0) + 1);
  });

  it('are not for users: no user can make a room that is named like a connection or a user', async () => {
    for (const id of [dan.session, 'user:dan']) {
      expect(await ann.stock.error('room:create', { kind: 'channel', id, name: 'x' })).toMatchObject({
        code: 'invalid',
      });
    }
  });
});

describe('disconnectSockets', () => {
  it('says DISCONNECT and leaves the connection to the client', async () => {
    const one = await listen(backends.nodes[1].url, 'gus');
    const reason = new Promise((resolve) => one.socket.once('disconnect', resolve));
    backends.emitter.in('user:gus').disconnectSockets();
    expect(await reason).toBe('io server disconnect');
  });

  it('closes the connection too with `true`', async () => {
    const users = ['hal', 'ida', 'jon'];
    const kinds = ['json', 'msgpack', 'polling'] as const;
    const others = await Promise.all(users.map((user, i) => listen(backends.nodes[0].url, user, kinds[i])));
    const reasons = others.map(({ socket }) => new Promise((resolve) => socket.once('disconnect', resolve)));
    backends.emitter.in(users.map((user) => `user:${user}`)).disconnectSockets(true);
    expect(await Promise.all(reasons)).toEqual(users.map(() => 'io server disconnect'));
    await until('they are counted', async () => {
      const metrics = await backends.nodes[0].metrics();
      // the one that polls may go by itself first
      return (metrics.get('parley_connections_closed_total{reason="backend"}') ?? 0) >= 2;
    });
  });
});
