import { WebSocket } from 'ws';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connect, limits } from '../../src/client/index.ts';
import { Presence } from '../../src/client/presence.ts';
import type { Client, PresenceState, Socket, TokenSource } from '../../src/client/index.ts';
import { signToken } from '../../src/sessions/tokens.ts';
import { startServer, testSecret, tokenOf, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';

let server: TestServer;
const clients: Client[] = [];
let sockets = new Set<WebSocket>();

beforeAll(async () => {
  server = await startServer();
});
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});
afterAll(() => server?.stop());

class Tearable extends WebSocket implements Socket {
  constructor(url: string) {
    super(url);
    sockets.add(this);
  }
}

function enter(user: string, token: TokenSource = () => tokenOf(user, { name: user }), tearable = false): Client {
  const client = connect({ url: server.url, token, WebSocket: tearable ? Tearable : WebSocket, device: `of ${user}` });
  clients.push(client);
  return client;
}

/** The states that the listener received: true, false, or undefined for unknown. */
function listen(client: Client, ...users: string[]) {
  const received: [string, PresenceState | undefined][] = [];
  const stop = client.presence.watch(users, (user, state) => received.push([user, state]));
  return { stop, of: (name: string) => received.filter(([user]) => user === name).map(([, state]) => state?.online) };
}

it('watches users, those too with whom a room is shared only later', async () => {
  const ann = enter('w-ann');
  const { of } = listen(ann, 'w-ben', 'w-cid');
  const room = await ann.createRoom({ kind: 'group', name: 'w' });
  await ann.invite(room.id, 'w-ben');
  await until('the state is reported', () => of('w-ben').length === 1);
  enter('w-ben');
  const cid = enter('w-cid');
  await until('he is there', () => of('w-ben').length === 2);
  // Before that he would be reported as absent first.
  await until('the other is there too', () => cid.state.value.status === 'connected');
  expect(of('w-ben')).toEqual([false, true]);
  expect(of('w-cid')).toEqual([]);
  await ann.invite(room.id, 'w-cid');
  await until('he is seen now', () => of('w-cid').length === 1);
  expect(ann.presence.get('w-cid')).toEqual({ online: true });
  expect((await ann.call('session:list', {})).sessions).toMatchObject([{ device: 'of w-ann' }]);
});

it('watches again after the connection was torn, and stops when all listeners have', async () => {
  sockets = new Set();
  const ann = enter('t-ann', undefined, true);
  const room = await ann.createRoom({ kind: 'group', name: 't' });
  await ann.invite(room.id, 't-ben');
  const ben = enter('t-ben');
  await ben.call('room:list', {});
  const [one, two] = [listen(ann, 't-ben'), listen(ann, 't-ben')];
  await until('both know', () => one.of('t-ben').length === 1 && two.of('t-ben').length === 1);
  for (const socket of sockets) socket.terminate();
  await until('it is known again', () => one.of('t-ben').length === 3);
  expect(one.of('t-ben')).toEqual([true, undefined, true]);
  one.stop();
  ben.close();
  await until('the other listener is called', () => two.of('t-ben').at(-1) === false);
  expect(one.of('t-ben')).toHaveLength(3);
  two.stop();
  await until('nothing is watched', async () => (await server.metrics()).get('parley_presence_watched') === 0);
  expect(ann.presence.get('t-ben')).toBeUndefined();
});

const begin = () => {
  const answers: ((presence: Record<string, PresenceState>) => void)[] = [];
  const presence = new Presence((name) => {
    expect(name).toBe('presence:watch');
    return new Promise((resolve) => answers.push((known) => resolve({ presence: known } as never)));
  });
  presence.connected();
  const received: (boolean | undefined)[] = [];
  presence.watch(['ben'], (_, state) => received.push(state?.online));
  return { answers, presence, received };
};
const requested = (answers: readonly unknown[], count: number) =>
  until('the request is sent', () => answers.length === count);
const settled = () => new Promise((resolve) => setImmediate(resolve));

it('reports two equal answers once', async () => {
  const { answers, presence, received } = begin();
  await requested(answers, 1);
  presence.memberJoined();
  await requested(answers, 2);
  answers[0]?.({ ben: { online: false } });
  answers[1]?.({ ben: { online: false } });
  await settled();
  expect(received).toEqual([false]);
});

describe('an event that is read before the answer to the watch', () => {
  it('is newer', async () => {
    const { answers, presence, received } = begin();
    await requested(answers, 1);
    presence.event({ user: 'ben', online: true });
    answers[0]?.({ ben: { online: false } });
    await settled();
    expect(received).toEqual([true]);
    // An event from before the request is older.
    presence.disconnected();
    presence.connected();
    await requested(answers, 2);
    answers[1]?.({ ben: { online: false } });
    await settled();
    expect(received).toEqual([true, undefined, false]);
  });

  it('requests the state again if the event ends a watch', async () => {
    const { answers, presence, received } = begin();
    await requested(answers, 1);
    presence.event({ user: 'ben', online: false, hidden: true });
    answers[0]?.({ ben: { online: true } });
    await requested(answers, 2);
    answers[1]?.({ ben: { online: true } });
    await settled();
    expect([received, answers.length]).toEqual([[undefined, true], 2]);
  });
});

it('refuses more users than the server lets one connection watch', () => {
  const ann = enter('m-ann');
  const { stop } = listen(ann, ...Array.from({ length: limits.presenceWatched }, (_, i) => `u${i}`));
  expect(() => listen(ann, 'one-more')).toThrow(expect.objectContaining({ code: 'limit_reached' }) as Error);
  stop();
  listen(ann, 'one-more');
});

it('ends when its token is revoked, and continues with another one', async () => {
  const own = enter('r-ann');
  const old = await signToken(testSecret, { user: 'r-ann', name: 'Old', ttlSeconds: 600 });
  const fresh = await signToken(testSecret, { user: 'r-ann', name: 'Fresh', ttlSeconds: 600 });
  const tokens = [old];
  const [stuck, renewed, fixed] = [
    enter('r-ann', () => old),
    enter('r-ann', () => tokens.shift() ?? fresh),
    enter('r-ann', old),
  ];
  await Promise.all([stuck, renewed, fixed].map((client) => client.call('room:list', {})));
  const revoked = new Promise((resolve) => renewed.on('session:revoked', resolve));
  const { sessions } = await own.call('session:list', {});
  expect(sessions).toHaveLength(4);
  const me = await new Promise<string>((resolve) => {
    const next = enter('r-ann', () => old);
    next.on('ready', ({ session }) => resolve(session));
  });
  await own.call('session:revoke', { session: me });
  expect(await revoked).toMatchObject({ reason: 'user' });
  for (const client of [stuck, fixed]) {
    const state = await until('it has ended', () => client.state.value.status === 'closed' && client.state.value);
    expect(state.error).toMatchObject({ code: 'session_revoked' });
  }
  await until('the other one is back', () => renewed.state.value.status === 'connected' && renewed.user.value?.name);
  expect(own.state.value.status).toBe('connected');
});
