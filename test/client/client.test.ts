import { afterEach, describe, expect, it } from 'vitest';
import type { Client, Room } from '../../src/client/index.ts';
import { openThread } from '../../src/client/threads.ts';
import { until } from '../support/until.ts';
import { failure, FakeServer, messageOf, summary } from './fake-server.ts';

let server: FakeServer;
afterEach(() => server.stop());

const status = (client: Client): string => client.state.value.status;
const connected = (client: Client) => until('the client is connected', () => status(client) === 'connected');
const seqs = (room: Room): number[] => room.state.value.messages.map(({ seq }) => seq);
const ready = (room: Room) => until('the room is ready', () => room.state.value.status === 'ready');
const listed = (client: Client): string[] => client.rooms.value.map(({ id, seq }) => `${id} ${seq}`).sort();
const fail = (what: string) => (): never => {
  throw new Error(what);
};
const page = (room: string, from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, at) => messageOf(room, from + at));

describe('the connection', () => {
  it('requests a token on each connect, and reconnects after a cut', async () => {
    server = await FakeServer.start();
    let tokens = 0;
    const client = server.connect(() => `token ${(tokens += 1)}`);
    await connected(client);
    (await server.session(0)).cut();
    expect((await server.session(1)).token).toBe('token 2');
    await connected(client);
    expect(client.user.value).toEqual({ id: 'me', name: 'Me' });
  });

  it('notices a dead link by the missing pings', async () => {
    server = await FakeServer.start({ pingInterval: 100, pingTimeout: 100 });
    const client = server.connect();
    await connected(client);
    const states: string[] = [];
    client.state.subscribe((state) => states.push(state.status));
    await server.session(1);
    expect(states.slice(0, 2)).toEqual(['waiting', 'connecting']);
  });

  it('stays while pings come', async () => {
    server = await FakeServer.start({ pingInterval: 100, pingTimeout: 100 });
    const client = server.connect();
    const session = await server.session(0);
    for (let pings = 0; pings < 6; pings += 1) {
      session.raw('2');
      // Only a wait can prove it: the client closes after a time without pings.
      await new Promise((resolve) => setTimeout(resolve, 80));
    }
    expect(server.sessions).toHaveLength(1);
    expect(status(client)).toBe('connected');
  });

  it('closes after a final refusal', async () => {
    server = await FakeServer.start({ refuse: () => ({ code: 'unauthorized', retryable: false }) });
    const client = server.connect(() => 'bad');
    await until('it is closed', () => status(client) === 'closed');
    expect(client.state.value).toMatchObject({ error: { code: 'unauthorized' } });
    await expect(client.call('room:list', {})).rejects.toMatchObject({ code: 'unauthorized' });
  });

  it('tries an expired token once more with a new one', async () => {
    const expired = { code: 'token_expired', retryable: false };
    server = await FakeServer.start({ refuse: (token) => (token === 'old' ? expired : undefined) });
    const tokens = ['old', 'new'];
    const client = server.connect(() => tokens.shift() ?? 'new');
    await connected(client);
    expect(server.sessions[0]?.token).toBe('new');
  });

  it("waits for the server's retryAfter", async () => {
    const overloaded = { code: 'overloaded', retryable: true, retryAfter: 60_000 };
    server = await FakeServer.start({ refuse: () => overloaded });
    const client = server.connect();
    const state = await until('it waits', () => client.state.value.status === 'waiting' && client.state.value);
    expect(state.until - Date.now()).toBeGreaterThan(50_000);
    server.options.refuse = () => undefined;
    client.wake();
    await connected(client);
  });

  it('leaves a draining server at its assigned moment', async () => {
    server = await FakeServer.start();
    const client = server.connect();
    await connected(client);
    (await server.session(0)).event('drain', { after: 50 });
    await server.session(1);
    await connected(client);
  });

  it('renews its token before it expires', async () => {
    server = await FakeServer.start({ expiresIn: 300 });
    server.handlers['auth:refresh'] = () => ({ expires: Date.now() + 3_600_000 });
    let tokens = 0;
    await connected(server.connect(() => `token ${(tokens += 1)}`));
    await until('it was refreshed', () => server.inputs('auth:refresh').length === 1);
    expect(server.inputs('auth:refresh')).toEqual([{ token: 'token 2' }]);
    expect(server.sessions).toHaveLength(1);
  });

  it('lets a command wait for it, and fail with an error of the catalogue', async () => {
    server = await FakeServer.start();
    server.handlers['room:join'] = () => failure('not_found', { retryable: false });
    const client = server.connect();
    await expect(client.joinRoom('nowhere')).rejects.toMatchObject({ name: 'ParleyError', code: 'not_found' });
    await expect(client.call('read', { room: 'r', seq: 1 }, { timeoutMs: 50 })).rejects.toMatchObject({
      code: 'unavailable',
      retryable: true,
    });
  });
});

describe('the list of rooms', () => {
  it('loads all pages, also after a refusal of one, before everything else begins', async () => {
    server = await FakeServer.start({ more: true });
    server.rooms = [summary('a', 1)];
    server.handlers['history'] = () => ({ messages: page('b', 1, 2), before: 1, after: 2, more: false, rev: 2 });
    server.handlers['message:send'] = () => ({ seq: 3, rev: 3, at: 3 });
    const answers = [
      failure('overloaded', { retryAfter: 1 }),
      { rooms: [summary('b', 2)], after: 'b', more: true },
      failure('unavailable'),
      { rooms: [summary('c', 3)], after: 'c', more: false },
    ];
    server.handlers['room:list'] = () => answers.shift();
    const client = server.connect();
    const room = client.room('b');
    const sent = room.send('x');
    await ready(room);
    expect(await sent).toMatchObject({ seq: 3 });
    expect(listed(client)).toEqual(['a 1', 'b 2', 'c 3']);
    expect(server.inputs('room:list').map((input) => (input as { after: string }).after)).toEqual(['a', 'a', 'b', 'b']);
    expect(server.sessions).toHaveLength(1);
  });

  it('stays while it loads again, and keeps events that come meanwhile', async () => {
    server = await FakeServer.start({ more: true });
    server.rooms = [summary('a', 1)];
    server.handlers['history'] = () => ({ messages: [], before: null, after: null, more: false, rev: 0 });
    server.handlers['sync'] = () => ({ rooms: {}, more: false });
    server.handlers['room:list'] = () => {
      return { rooms: [summary('b', 2), summary('left', 9)], after: 'left', more: false };
    };
    const client = server.connect();
    await until('it is whole', () => listed(client).length === 3);
    const lists: string[][] = [];
    client.rooms.subscribe(() => lists.push(listed(client)));
    const joined = client.room('joined');
    server.handlers['room:list'] = (_, session) => {
      session.event('message', messageOf('a', 2));
      session.event('message', messageOf('b', 3));
      const mine = { room: 'joined', user: 'me', name: 'Me', role: 'member', change: 'joined', by: 'me' };
      session.event('member', { ...mine, summary: summary('joined', 0) });
      return { rooms: [summary('b', 2)], after: 'b', more: false };
    };
    (await server.session(0)).cut();
    await until('it is whole again', () => listed(client).length === 3 && listed(client).includes('joined 0'));
    expect(listed(client)).toEqual(['a 2', 'b 3', 'joined 0']);
    expect(client.rooms.value.map(({ id, unread }) => `${id} ${unread}`).sort()).toEqual(['a 1', 'b 1', 'joined 0']);
    for (const rooms of lists) expect(rooms.some((room) => room.startsWith('b '))).toBe(true);
    await ready(joined);
  });

  it('goes back with a server that was restored', async () => {
    server = await FakeServer.start({ more: true });
    server.rooms = [summary('a', 5)];
    server.handlers['room:list'] = () => ({ rooms: [summary('b', 5)], after: 'b', more: false });
    const client = server.connect();
    await until('it is whole', () => listed(client).length === 2);
    server.rooms = [summary('a', 4)];
    server.handlers['room:list'] = () => ({ rooms: [summary('b', 4)], after: 'b', more: false });
    (await server.session(0)).cut();
    await until('it has gone back', () => listed(client).join() === 'a 4,b 4');
  });
});

describe('a listener', () => {
  it('that throws stops neither the client nor the others, and its error is seen', async () => {
    const held = process.listeners('uncaughtException');
    const thrown: unknown[] = [];
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => thrown.push(error.message));
    try {
      server = await FakeServer.start();
      server.rooms = [summary('r', 1)];
      const client = server.connect();
      const received: string[] = [];
      const stops = [
        client.rooms.subscribe(fail('rooms')),
        client.rooms.subscribe(() => received.push('rooms')),
        client.on('message', fail('message')),
        client.on('message', () => received.push('message')),
        client.presence.watch(['other'], fail('presence')),
        client.presence.watch(['other'], () => received.push('presence')),
      ];
      await connected(client);
      const session = await server.session(0);
      session.event('presence', { user: 'other', online: true });
      session.event('message', messageOf('r', 2));
      await until('all listeners are called', () => thrown.length === 4);
      expect(thrown.sort()).toEqual(['message', 'presence', 'rooms', 'rooms']);
      expect(received).toEqual(['rooms', 'presence', 'rooms', 'message']);
      expect(client.rooms.value[0]?.unread).toBe(1);
      // The state is known, so that the listener is called at once.
      stops.push(client.presence.watch(['other'], fail('known')));
      await until('the known state is reported too', () => thrown.includes('known'));
      for (const stop of stops) stop();
    } finally {
      process.removeAllListeners('uncaughtException');
      for (const listener of held) process.on('uncaughtException', listener);
    }
  });

  it('that was given twice is called twice, until each is ended', async () => {
    server = await FakeServer.start();
    const client = server.connect();
    await connected(client);
    let calls = 0;
    const count = (): unknown => (calls += 1);
    const [stop, stopOther] = [client.on('signal', count), client.on('signal', count)];
    const signal = async (): Promise<number> => {
      const received = new Promise((resolve) => client.on('signal', resolve));
      calls = 0;
      (await server.session(0)).event('signal', { room: 'r', from: 'other', name: 'wave' });
      await received;
      return calls;
    };
    expect(await signal()).toBe(2);
    stop();
    stop();
    expect(await signal()).toBe(1);
    stopOther();
    expect(await signal()).toBe(0);
  });
});

describe('a room', () => {
  it('merges what arrives while its history is read', async () => {
    server = await FakeServer.start();
    server.rooms = [summary('r', 2)];
    server.handlers['history'] = (_, session) => {
      for (const seq of [2, 3, 4]) session.event('message', messageOf('r', seq));
      return { messages: page('r', 1, 3), before: 1, after: 3, more: false, rev: 3 };
    };
    const room = server.connect().room('r');
    await ready(room);
    expect(seqs(room)).toEqual([1, 2, 3, 4]);
    expect(server.inputs('sync')).toEqual([]);
  });

  it('closes a gap by one sync from its cursor and shows nothing out of order meanwhile', async () => {
    server = await FakeServer.start();
    server.rooms = [summary('r', 1)];
    server.handlers['history'] = () => ({ messages: page('r', 1, 1), before: 1, after: 1, more: false, rev: 1 });
    server.handlers['sync'] = () => ({ rooms: { r: { messages: page('r', 2, 4), rev: 4, more: false } }, more: false });
    const client = server.connect();
    const room = client.room('r');
    await ready(room);
    const shown: number[][] = [];
    room.state.subscribe((state) => shown.push(state.messages.map(({ seq }) => seq)));
    const session = await server.session(0);
    for (const seq of [3, 4, 5]) session.event('message', messageOf('r', seq));
    await until('it is whole', () => seqs(room).length === 5);
    expect(server.inputs('sync')).toEqual([{ cursors: { r: 1 } }]);
    for (const list of shown) expect(list).toEqual(list.map((_, at) => at + 1));
  });

  it('comes back with one sync for all rooms that moved, page after page', async () => {
    server = await FakeServer.start();
    server.rooms = [summary('a', 1), summary('b', 1), summary('still', 1)];
    server.handlers['history'] = ({ room }: { room: string }) => {
      return { messages: page(room, 1, 1), before: 1, after: 1, more: false, rev: 1 };
    };
    const client = server.connect();
    const [a, b, still] = ['a', 'b', 'still'].map((id) => client.room(id)) as [Room, Room, Room];
    await Promise.all([a, b, still].map(ready));
    server.handlers['sync'] = ({ cursors }: { cursors: Record<string, number> }) => {
      const rooms = Object.entries(cursors).map(([id, rev]) => {
        return [id, { messages: page(id, rev + 1, rev + 1), rev: rev + 1, more: rev + 1 < 3 }] as const;
      });
      return { rooms: Object.fromEntries(rooms), more: rooms.some(([, { more }]) => more) };
    };
    server.rooms = [summary('a', 3), summary('b', 2), summary('still', 1)];
    server.commands.length = 0;
    (await server.session(0)).cut();
    await until('a is whole', () => seqs(a).length === 3);
    expect(server.inputs('sync')[0]).toEqual({ cursors: { a: 1, b: 1 } });
    expect(seqs(b).slice(0, 2)).toEqual([1, 2]);
    expect(seqs(still)).toEqual([1]);
    expect(server.inputs('history')).toEqual([]);
  });

  it('starts over when its cursor is not of this room any more', async () => {
    server = await FakeServer.start();
    server.rooms = [summary('r', 5)];
    server.handlers['history'] = () => ({ messages: page('r', 1, 5), before: 1, after: 5, more: false, rev: 5 });
    const room = server.connect().room('r');
    await ready(room);
    server.handlers['history'] = () => ({ messages: page('r', 1, 2), before: 1, after: 2, more: false, rev: 2 });
    server.handlers['sync'] = () => ({ rooms: { r: { messages: [], rev: 2, more: false, reset: true } }, more: false });
    server.rooms = [summary('r', 2)];
    (await server.session(0)).cut();
    await until('it has started over', () => seqs(room).length === 2);
    expect(room.state.value.status).toBe('ready');
  });

  it('is gone when the sync leaves it out, and back when joined again', async () => {
    server = await FakeServer.start();
    server.rooms = [summary('r', 1)];
    server.handlers['history'] = () => ({ messages: page('r', 1, 1), before: 1, after: 1, more: false, rev: 1 });
    server.handlers['sync'] = () => ({ rooms: {}, more: false });
    server.handlers['room:join'] = () => ({ room: summary('r', 1) });
    const client = server.connect();
    const room = client.room('r');
    await ready(room);
    (await server.session(0)).event('message', messageOf('r', 3));
    await until('it is gone', () => room.state.value.status === 'gone');
    await client.joinRoom('r');
    await ready(room);
  });

  it('shows an own message once, whether its event or its ack comes first', async () => {
    for (const first of ['event', 'ack']) {
      server = await FakeServer.start();
      server.rooms = [summary('r', 0)];
      server.handlers['history'] = () => ({ messages: [], before: null, after: null, more: false, rev: 0 });
      server.handlers['message:send'] = ({ id, body }: { id: string; body: string }, session) => {
        const stored = { ...messageOf('r', 1), id, body, from: 'me' };
        const signal = (): void => session.event('message', stored);
        if (first === 'event') signal();
        else setTimeout(signal, 30);
        return { seq: 1, rev: 1, at: 1 };
      };
      const room = server.connect().room('r');
      await ready(room);
      const counts = new Set<number>();
      const sent = room.send('hello');
      room.state.subscribe(({ messages, outgoing }) => counts.add(messages.length + outgoing.length));
      expect(await sent).toEqual({ seq: 1, rev: 1, at: 1 });
      await until('it is stored', () => room.state.value.messages.length === 1);
      expect(room.state.value.outgoing).toEqual([]);
      expect([...counts]).toEqual([1]);
      await server.stop();
    }
  });

  it('finds an own message whose event was lost', async () => {
    server = await FakeServer.start();
    server.rooms = [summary('r', 0)];
    server.handlers['history'] = () => ({ messages: [], before: null, after: null, more: false, rev: 0 });
    server.handlers['message:send'] = () => ({ seq: 1, rev: 1, at: 1 });
    server.handlers['sync'] = () => ({ rooms: { r: { messages: page('r', 1, 1), rev: 1, more: false } }, more: false });
    const room = server.connect().room('r');
    await ready(room);
    await room.send('hello');
    await until('it is there', () => seqs(room).length === 1);
    expect(room.state.value.outgoing).toEqual([]);
  });

  it('gathers read marks and counts unread by them', async () => {
    server = await FakeServer.start();
    server.rooms = [summary('r', 9, 9, 4)];
    server.handlers['history'] = () => ({ messages: page('r', 1, 9), before: 1, after: 9, more: false, rev: 9 });
    server.handlers['read'] = ({ seq }: { seq: number }) => ({ seq });
    server.handlers['sync'] = () => ({ rooms: {}, more: false });
    const client = server.connect();
    const room = client.room('r');
    await ready(room);
    expect(client.rooms.value[0]?.unread).toBe(5);
    for (const seq of [5, 7, 6, 8]) room.markRead(seq);
    expect(client.rooms.value[0]?.unread).toBe(1);
    await until('the mark is sent', () => server.inputs('read').length > 0);
    expect(server.inputs('read')).toEqual([{ room: 'r', seq: 8 }]);
    (await server.session(0)).event('read', { room: 'r', user: 'me', seq: 9 });
    await until('another device read it', () => client.rooms.value[0]?.unread === 0);
  });

  it('sends its read mark when it is released', async () => {
    server = await FakeServer.start();
    server.rooms = [summary('r', 3, 3, 0)];
    server.handlers['history'] = () => ({ messages: page('r', 1, 3), before: 1, after: 3, more: false, rev: 3 });
    server.handlers['read'] = ({ seq }: { seq: number }) => ({ seq });
    const client = server.connect();
    await ready(client.room('r'));
    client.room('r').markRead();
    client.release('r');
    await until('the mark is sent', () => server.inputs('read').length > 0);
    expect(server.inputs('read')).toEqual([{ room: 'r', seq: 3 }]);
  });

  it('throttles its own typing signals, and shows those of others until their message', async () => {
    server = await FakeServer.start();
    server.rooms = [summary('r', 0)];
    server.handlers['history'] = () => ({ messages: [], before: null, after: null, more: false, rev: 0 });
    server.handlers['signal'] = () => ({});
    const room = server.connect().room('r');
    await ready(room);
    for (let key = 0; key < 20; key += 1) room.typing();
    room.typingEnded();
    await until('both signals are sent', () => server.inputs('signal').length === 2);
    const session = await server.session(0);
    session.event('signal', { room: 'r', from: 'me', name: 'typing', data: { on: true } });
    session.event('signal', { room: 'r', from: 'other', name: 'typing', data: { on: true } });
    await until('the typing is shown', () => room.state.value.typing.length > 0);
    expect(room.state.value.typing).toEqual(['other']);
    session.event('message', messageOf('r', 1));
    await until('it has ended', () => room.state.value.typing.length === 0);
  });
});

it('sends a refused read mark of a thread again with the next connection', async () => {
  server = await FakeServer.start();
  server.rooms = [summary('r', 2)];
  server.handlers['history'] = () => ({ messages: page('r', 1, 2), before: 1, after: 2, more: false, rev: 2 });
  const [root = null, ...messages] = page('r', 1, 2);
  server.handlers['thread:history'] = () => ({ root, messages, more: false, rev: 2 });
  server.handlers['thread:read'] = () => failure('unavailable');
  const client = server.connect();
  const thread = openThread(client, 'r', 1);
  await until('it is ready', () => thread.state.value.status === 'ready');
  thread.markRead();
  await until('it was refused', () => server.inputs('thread:read').length === 1);
  server.handlers['thread:read'] = ({ seq }: { seq: number }) => ({ seq });
  (await server.session(0)).cut();
  await until('the mark is sent', () => server.inputs('thread:read').length === 2);
  expect(server.inputs('thread:read').at(-1)).toEqual({ room: 'r', root: 1, seq: 2 });
  thread.close();
});

it('refuses wrong commands, inputs and events when it is compiled', async () => {
  server = await FakeServer.start();
  const client = server.connect();
  const never = (): void => {
    // @ts-expect-error -- there is no such command
    void client.call('room:destroy', { room: 'r' });
    // @ts-expect-error -- `limit` is a number
    void client.call('history', { room: 'r', limit: '5' });
    // @ts-expect-error -- there is no such event
    client.on('nonsense', () => undefined);
    client.on('message', ({ seq }) => seq.toFixed());
    // @ts-expect-error -- a message has no such field
    client.on('message', ({ sequence }) => sequence);
  };
  expect(never).toBeTypeOf('function');
});
