/**
 * Every command as every kind of person, in every kind of room: what it answers, and that outsiders learn nothing by it. A
 * command without its row fails, and so does a row without its command.
 *
 * One letter a person, in the order of `people`: `o` ok, `n` not_found, `m` not_member, `f` forbidden, `c` conflict,
 * `i` invalid, `u` unauthorized.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CommandName } from '../../src/protocol/commands.ts';
import { startServer, tokenOf, type TestServer } from '../support/server.ts';
import { connectStock, text, type StockClient } from '../support/stock-client.ts';
import { commandNames, formsOf, inputOf } from './inputs.ts';

const people = ['stranger', 'former', 'banned', 'guest', 'member', 'admin'] as const;
type Person = (typeof people)[number];
const outsiders: readonly Person[] = ['stranger', 'former', 'banned'];
const kinds = ['group', 'channel', 'direct'] as const;
type Kind = (typeof kinds)[number];

/** The outcome that each person gets: in a group, in a channel, and in a direct room, where `member` is one of the two. */
const matrix: Readonly<Record<CommandName, readonly [group: string, channel: string, direct: string]>> = {
  'message:send': ['nnnfoo', 'mmmfoo', 'no'],
  'message:get': ['nnnooo', 'mmmooo', 'no'],
  'message:edit': ['nnnffo', 'mmmffo', 'nf'],
  'message:delete': ['nnnffo', 'mmmffo', 'nf'],
  'message:versions': ['nnnffo', 'mmmffo', 'nf'],
  'reaction:add': ['nnnfoo', 'mmmfoo', 'no'],
  'reaction:remove': ['nnnfoo', 'mmmfoo', 'no'],
  'message:pin': ['nnnffo', 'mmmffo', 'no'],
  'message:unpin': ['nnnffo', 'mmmffo', 'no'],
  'room:pins': ['nnnooo', 'mmmooo', 'no'],
  mentions: ['oooooo', 'oooooo', 'oo'],
  'thread:history': ['nnnooo', 'mmmooo', 'no'],
  'thread:follow': ['nnnooo', 'mmmooo', 'no'],
  'thread:unfollow': ['nnnooo', 'mmmooo', 'no'],
  'thread:read': ['nnnnnn', 'mmmnnn', 'nn'],
  'thread:list': ['oooooo', 'oooooo', 'oo'],
  history: ['nnnooo', 'mmmooo', 'no'],
  sync: ['oooooo', 'oooooo', 'oo'],
  read: ['nnnooo', 'nnnooo', 'no'],
  delivered: ['mmmooo', 'mmmooo', 'mo'],
  'room:receipts': ['nnnooo', 'mmmooo', 'no'],
  unread: ['oooooo', 'oooooo', 'oo'],
  search: ['oooooo', 'oooooo', 'oo'],
  signal: ['mmmfoo', 'mmmfoo', 'mo'],
  'room:create': ['oooooo', 'oooooo', 'oo'],
  'room:join': ['nnnnnn', 'oofooo', 'nn'],
  'room:leave': ['nnnooo', 'mmmooo', 'no'],
  'room:list': ['oooooo', 'oooooo', 'oo'],
  'room:invite': ['nnnffo', 'mmmffo', 'nf'],
  'room:members': ['nnnooo', 'mmmooo', 'no'],
  'room:member': ['nnnooo', 'mmmooo', 'nn'],
  'room:get': ['nnnooo', 'oooooo', 'no'],
  'room:search': ['oooooo', 'oooooo', 'oo'],
  'room:update': ['nnnffo', 'mmmffo', 'nf'],
  'room:archive': ['nnnffo', 'mmmffo', 'nf'],
  'room:unarchive': ['nnnffo', 'mmmffo', 'nf'],
  'room:delete': ['nnnfff', 'mmmfff', 'nf'],
  'room:role': ['nnnfff', 'mmmfff', 'nf'],
  'room:transfer': ['nnnfff', 'mmmfff', 'nf'],
  'room:remove': ['nnnffo', 'mmmffo', 'nf'],
  'room:mute': ['nnnffo', 'mmmffo', 'nf'],
  'room:unmute': ['nnnffo', 'mmmffo', 'nf'],
  'room:ban': ['nnnffo', 'mmmffo', 'nf'],
  'room:unban': ['nnnffo', 'mmmffo', 'nf'],
  'room:bans': ['nnnffo', 'mmmffo', 'nf'],
  'invitation:create': ['nnnffo', 'mmmfoo', 'nf'],
  'invitation:list': ['oooooo', 'oooooo', 'oo'],
  'invitation:accept': ['nnnnnn', 'nnnnnn', 'nn'],
  'invitation:decline': ['nnnnnn', 'nnnnnn', 'nn'],
  'invitation:cancel': ['nnnffn', 'mmmfnn', 'nf'],
  'link:create': ['nnnffo', 'mmmffo', 'nf'],
  'link:list': ['nnnffo', 'mmmffo', 'nf'],
  'link:revoke': ['nnnffn', 'mmmffn', 'nf'],
  'link:join': ['nnnnnn', 'nnnnnn', 'nn'],
  'presence:get': ['oooooo', 'oooooo', 'oo'],
  'presence:watch': ['oooooo', 'oooooo', 'oo'],
  'presence:unwatch': ['oooooo', 'oooooo', 'oo'],
  'presence:state': ['oooooo', 'oooooo', 'oo'],
  'notification:list': ['oooooo', 'oooooo', 'oo'],
  'notification:unread': ['oooooo', 'oooooo', 'oo'],
  'notification:mark': ['oooooo', 'oooooo', 'oo'],
  'preferences:get': ['oooooo', 'oooooo', 'oo'],
  'preferences:set': ['oooooo', 'oooooo', 'oo'],
  // the server of this test has no key for pushes
  'device:register': ['nnnnnn', 'nnnnnn', 'nn'],
  'device:list': ['oooooo', 'oooooo', 'oo'],
  'device:remove': ['oooooo', 'oooooo', 'oo'],
  'session:list': ['oooooo', 'oooooo', 'oo'],
  'session:revoke': ['nnnnnn', 'nnnnnn', 'nn'],
  'auth:refresh': ['oooooo', 'oooooo', 'oo'],
  'user:block': ['oooooo', 'oooooo', 'oo'],
  'user:unblock': ['oooooo', 'oooooo', 'oo'],
  'user:blocks': ['oooooo', 'oooooo', 'oo'],
};

const letters: Readonly<Record<string, string>> = {
  ok: 'o',
  not_found: 'n',
  not_member: 'm',
  forbidden: 'f',
  conflict: 'c',
  invalid: 'i',
  unauthorized: 'u',
};

let server: TestServer;
const clients = new Map<string, StockClient>();
const client = (name: string): StockClient => {
  const one = clients.get(name);
  if (one === undefined) throw new Error(`nobody is called ${name}`);
  return one;
};

beforeAll(async () => {
  server = await startServer({
    PARLEY_COMMANDS_PER_SECOND: '100000',
    PARLEY_COMMAND_BURST: '100000',
    PARLEY_SIGNALS_PER_SECOND: '100000',
  });
  for (const name of [...people, 'owner', 'target', 'newcomer'])
    clients.set(name, await connectStock(server.url, await tokenOf(name)));
}, 60_000);
afterAll(async () => {
  for (const one of clients.values()) one.close();
  await server.stop();
});

/** A room with everybody in their place, and something of each kind to be read in it. */
async function scene(kind: Kind, id: string): Promise<string> {
  const owner = client('owner');
  if (kind === 'direct') {
    const { room } = await owner.ok('room:create', { kind, user: 'member' });
    // back, where another row's command has left it
    await client('member').ok('room:create', { kind, user: 'owner' });
    const { seq } = await owner.ok('message:send', text(room.id, { text: 'SECRET' }));
    if (seq === 1) await owner.ok('message:send', { ...text(room.id, { text: 'SECRET reply' }), replyTo: 1 });
    return room.id;
  }
  await owner.ok('room:create', { kind, name: 'SECRET name', id });
  const roles = {
    admin: 'admin',
    guest: 'guest',
    member: 'member',
    former: 'member',
    banned: 'member',
    target: 'member',
  };
  for (const [user, role] of Object.entries(roles))
    await owner.ok('room:invite', { room: id, user, role: role as 'admin' | 'member' | 'guest' });
  await owner.ok('message:send', text(id, { text: 'SECRET' }));
  await owner.ok('message:edit', { room: id, seq: 1, body: { text: 'SECRET too' } });
  await owner.ok('message:send', { ...text(id, { text: 'SECRET reply' }), replyTo: 1 });
  await owner.ok('message:pin', { room: id, seq: 1 });
  await client('former').ok('room:leave', { room: id });
  await owner.ok('room:ban', { room: id, user: 'banned', reason: 'SECRET reason' });
  return id;
}

/** Input that is not the smallest. */
function moreOf(command: CommandName, person: string): object | Promise<object> {
  switch (command as string) {
    case 'room:update':
      return { name: 'SECRET name' };
    case 'room:invite':
    case 'invitation:create':
    case 'invitation:cancel':
      return { user: 'newcomer' };
    case 'room:unban':
      return { user: 'nobody-banned' };
    case 'room:create':
      return { name: 'Another' };
    case 'auth:refresh':
      return tokenOf(person).then((token) => ({ token }));
    case 'search':
      return { query: 'SECRET' };
    default:
      return {};
  }
}

interface Ack {
  readonly ok: boolean;
  readonly error?: { readonly code: string };
}

/** Waits for a node that holds the session, for three seconds if none does. The command of one person changes nothing for others. */
const slow: ReadonlySet<CommandName> = new Set(['session:revoke']);

/** One after the other, since the answer to one may depend on the commands before it; slow commands all at once. */
async function all<T, R>(command: CommandName, items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  if (slow.has(command)) return Promise.all(items.map(work));
  const results: R[] = [];
  for (const item of items) results.push(await work(item));
  return results;
}

async function rowOf(command: CommandName, kind: Kind): Promise<{ row: string; leaks: string[] }> {
  const room = await scene(kind, `${kind}-${command.replace(':', '-')}`);
  const [form = {}] = formsOf(command);
  let row = '';
  const leaks: string[] = [];
  const present = people.filter((person) => kind !== 'direct' || ['stranger', 'member'].includes(person));
  const acks = await all(command, present, async (person) => {
    const input = inputOf(command, form, { room, user: 'target' }, await moreOf(command, person));
    return (await client(person).socket.timeout(15_000).emitWithAck(command, input)) as Ack;
  });
  for (const [at, person] of present.entries()) {
    const ack = acks[at] ?? { ok: false };
    const code = ack.ok ? 'ok' : (ack.error?.code ?? '');
    row += letters[code] ?? `<${code}>`;
    const reported = JSON.stringify(ack);
    // the name of a channel is for everybody; presence is for users that share a room
    const secrets = kind === 'channel' ? reported.replaceAll('"name":"SECRET name"', '') : reported;
    const reveals = /SECRET|"online"/.test(secrets) && !(kind === 'direct' && person === 'member');
    if (outsiders.includes(person) && reveals) leaks.push(`${person}: ${JSON.stringify(ack).slice(0, 200)}`);
  }
  // or they would share a room with the others from here on
  for (const person of outsiders) {
    if (command === 'room:join' && row[people.indexOf(person)] === 'o') await client(person).ok('room:leave', { room });
  }
  return { row, leaks };
}

it('every command has its row, and every row its command', () => {
  expect(Object.keys(matrix).toSorted()).toEqual([...commandNames].toSorted());
});

describe.each(commandNames)('%s', (command) => {
  it('answers each person as its row says, and reveals nothing to outsiders', async () => {
    const rows = await all(command, kinds, (kind) => rowOf(command, kind));
    expect(rows.map(({ leaks }) => leaks)).toEqual(kinds.map(() => []));
    expect(rows.map(({ row }) => row)).toEqual(matrix[command]);
  });
});
