/** A room besides its state: messages as a sequence, members, presence, and the stored state. */
import { WebSocket } from 'ws';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connect, memoryStore } from '../../src/client/index.ts';
import type { Client, Message, Room, Store } from '../../src/client/index.ts';
import { startServer, tokenOf } from '../support/server.ts';
import type { TestServer } from '../support/server.ts';
import { tearable } from '../support/tearable.ts';
import { until } from '../support/until.ts';
import { FakeServer, messageOf, summary } from './fake-server.ts';

let server: TestServer;
const clients: Client[] = [];
beforeAll(async () => {
  server = await startServer();
});
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});
afterAll(() => server?.stop());

function enter(user: string, options: { store?: Store; WebSocket?: typeof WebSocket } = {}): Client {
  const client = connect({ url: server.url, token: () => tokenOf(user, { name: user }), WebSocket, ...options });
  clients.push(client);
  return client;
}

const online = (room: Room): string[] =>
  Array.from(room.presence.value, ([user, state]) => `${user} ${state.online}`).sort();

/** Nobody listens there. */
class Unreachable extends WebSocket {
  constructor() {
    super('ws://127.0.0.1:1');
  }
}

it('shows the stored state, also after a failed first attempt to connect', async () => {
  const store = memoryStore();
  const ann = enter('k-ann', { store });
  const { id } = await ann.createRoom({ kind: 'channel', name: 'k' });
  await ann.room(id).send('one');
  await until('it is there', () => ann.room(id).messages.value.length === 1);
  ann.close();
  const answers: (() => void)[] = [];
  const requested = new Promise<void>((resolve) => void answers.push(resolve));
  const late = async (key: string): Promise<unknown> => {
    if (key.includes('/room/')) await requested;
    return store.get(key);
  };
  const offline = enter('k-ann', { store: { ...store, get: late }, WebSocket: Unreachable as never });
  const room = offline.room(id);
  await until('the first try has failed', () => offline.state.value.status === 'waiting');
  for (const answer of answers) answer();
  await until('the room is shown', () => room.messages.value.length === 1);
  expect(offline.state.value.status).not.toBe('connected');
});

describe('the messages of a room, iterated', () => {
  it('come once and in order, stored and new ones, over a lost connection', async () => {
    const { Constructor, tear } = tearable();
    const [ann, ben] = [enter('i-ann', { WebSocket: Constructor as never }), enter('i-ben')];
    const { id } = await ben.createRoom({ kind: 'channel', name: 'i' });
    await ann.joinRoom(id);
    for (const body of [1, 2, 3]) await ben.room(id).send(body);
    const received: unknown[] = [];
    const iterating = (async () => {
      for await (const { body } of ann.room(id).messages) received.push(body);
    })();
    await until('the stored messages are read', () => received.length === 3);
    tear();
    for (const body of [4, 5]) await ben.room(id).send(body);
    ann.wake();
    await until('the new messages are read', () => received.length === 5);
    expect(received).toEqual([1, 2, 3, 4, 5]);
    ann.release(id);
    await iterating;
  });

  it('start where they were left, from history if need be', async () => {
    const ann = enter('h-ann');
    const { id } = await ann.createRoom({ kind: 'channel', name: 'h' });
    await Promise.all(Array.from({ length: 230 }, (_, at) => ann.room(id).send(at + 1)));
    const bot = enter('h-ann').room(id);
    await until('the newest page is there', () => bot.state.value.status === 'ready');
    expect(bot.messages.value[0]?.seq).toBe(181);
    const received: number[] = [];
    for await (const { seq } of bot.messages.after(20)) {
      received.push(seq);
      if (seq === 230) break;
    }
    expect(received).toEqual(Array.from({ length: 210 }, (_, at) => at + 21));
  });

  it('throw when the room is gone', async () => {
    const [ann, ben] = [enter('g-ann'), enter('g-ben')];
    const { id } = await ann.createRoom({ kind: 'group', name: 'g' });
    await ann.invite(id, 'g-ben');
    await until('ben has it', () => ben.rooms.value.length === 1);
    const iterating = (async () => {
      for await (const message of ben.room(id).messages) void message;
    })();
    const thrown = expect(iterating).rejects.toMatchObject({ name: 'ParleyError', code: 'not_member' });
    await until('it is open', () => ben.room(id).state.value.status === 'ready');
    await ben.leaveRoom(id);
    await thrown;
  });

  it('reach subscribers after a change of the messages, and not after other changes of the room', async () => {
    const [ann, ben] = [enter('s-ann'), enter('s-ben')];
    const { id } = await ann.createRoom({ kind: 'channel', name: 's' });
    await ben.joinRoom(id);
    const room = ann.room(id);
    const received: number[] = [];
    await until('it is open', () => room.state.value.status === 'ready');
    const stop = room.messages.subscribe((messages: readonly Message[]) => received.push(messages.length));
    ben.room(id).typing();
    await until('ben types', () => room.state.value.typing.length === 1);
    expect(received).toEqual([]);
    await ben.room(id).send('x');
    await until('the listener is called', () => received.length === 1);
    stop();
    await ben.room(id).send('y');
    await until('it is held', () => room.messages.value.length === 2);
    expect(received).toEqual([1]);
  });
});

it('keeps the members and their presence up to date while there is a listener', async () => {
  const [ann, ben] = [enter('m-ann'), enter('m-ben')];
  const { id } = await ann.createRoom({ kind: 'group', name: 'm' });
  const room = ann.room(id);
  expect(room.members.value).toEqual([]);
  const stops = [room.members.subscribe(() => undefined), room.presence.subscribe(() => undefined)];
  const members = () => room.members.value.map(({ user, role, read }) => `${user} ${role} ${read}`);
  await until('ann is there', () => online(room).length === 1);
  await ann.invite(id, 'm-ben');
  await until('ben is there', () => online(room).length === 2);
  expect(members()).toEqual(['m-ann owner 0', 'm-ben member 0']);
  expect(online(room)).toEqual(['m-ann true', 'm-ben true']);
  await room.send('x');
  await until('ben has it', () => ben.room(id).messages.value.length === 1);
  ben.room(id).markRead();
  await until('his mark is there', () => members()[1] === 'm-ben member 1');
  await ben.leaveRoom(id);
  await until('he has gone', () => members().length === 1 && online(room).length === 1);
  for (const stop of stops) stop();
  expect(online(room)).toEqual([]);
});

it('shows a stored room, catches up from its cursor, and sends the unsent messages', async () => {
  const store = memoryStore();
  const [first, ben] = [enter('k-ann', { store }), enter('k-ben')];
  const { id } = await ben.createRoom({ kind: 'channel', name: 'k' });
  await first.joinRoom(id);
  for (const body of ['one', 'two']) await ben.room(id).send(body);
  await until('she has them', () => first.room(id).messages.value.length === 2);
  first.close();
  await ben.room(id).send('three');
  await ben.room(id).delete(1);
  const commands: string[] = [];
  class Watched extends WebSocket {
    override send(data: string): void {
      commands.push(/"([a-z:]+)"/.exec(data)?.[1] ?? '');
      super.send(data);
    }
  }
  const second = enter('k-ann', { store, WebSocket: Watched as never });
  const room = second.room(id);
  const shown: string[] = [];
  room.messages.subscribe(({ length }) => shown.push(`${length} ${second.state.value.status}`));
  void room.send('four');
  await until('it is up to date', () => room.cursor === 5 && room.state.value.outgoing.length === 0);
  expect(room.messages.value.map(({ body }) => body)).toEqual([null, 'two', 'three', 'four']);
  expect(shown[0]).toBe('2 connecting');
  expect(commands).toContain('sync');
  expect(commands).not.toContain('history');
});

it('keeps nothing of a room after a removal', async () => {
  const store = memoryStore();
  const ann = enter('o-ann', { store });
  const { id } = await ann.createRoom({ kind: 'channel', name: 'o' });
  await ann.room(id).send('secret');
  ann.close();
  await until('it is kept', async () => JSON.stringify(await store.list('')).includes('secret'));
  const again = enter('o-ann', { store });
  again.room(id);
  await again.leaveRoom(id);
  again.close();
  await until('it is not any more', async () => !JSON.stringify(await store.list('')).includes('secret'));
});

it('sends nothing of one user as another', async () => {
  const store = memoryStore();
  const fake = await FakeServer.start();
  try {
    const waiting = fake.connect('opaque', { store, user: 'somebody' });
    await expect(waiting.call('room:list', {})).rejects.toMatchObject({ code: 'forbidden' });
    expect(waiting.state.value).toMatchObject({ status: 'closed', error: { code: 'forbidden' } });
    // Nobody knows whose an opaque token is before the server says so: the store is not used.
    const unknown = fake.connect('opaque', { store });
    void unknown.room('r').send('x');
    await until('it is connected', () => unknown.state.value.status === 'connected');
    expect(await store.list('')).toEqual([]);
  } finally {
    await fake.stop();
  }
});

it('holds no more of an endless room than its bound', async () => {
  const fake = await FakeServer.start();
  try {
    fake.rooms = [summary('r', 1)];
    fake.handlers['history'] = () => ({ messages: [messageOf('r', 1)], before: 1, after: 1, more: false, rev: 1 });
    const room = fake.connect().room('r');
    await until('it is ready', () => room.state.value.status === 'ready');
    const session = await fake.session(0);
    for (let seq = 2; seq <= 5001; seq += 1) session.event('message', messageOf('r', seq));
    await until('all have come', () => room.cursor === 5001);
    expect(room.messages.value).toHaveLength(4000);
    expect(room.messages.value[0]?.seq).toBe(1002);
    expect(room.state.value.hasOlder).toBe(true);
  } finally {
    await fake.stop();
  }
});
