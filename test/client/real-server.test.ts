import { WebSocket } from 'ws';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connect } from '../../src/client/index.ts';
import type { Client, Room, SocketConstructor } from '../../src/client/index.ts';
import { startServer, tokenOf } from '../support/server.ts';
import type { TestServer } from '../support/server.ts';
import { tearable } from '../support/tearable.ts';
import { until } from '../support/until.ts';

let server: TestServer;
const clients: Client[] = [];

beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  for (const client of clients) client.close();
  await server?.stop();
});

function enter(user: string, Constructor: SocketConstructor = WebSocket): Client {
  const client = connect({ url: server.url, token: () => tokenOf(user, { name: user }), WebSocket: Constructor });
  clients.push(client);
  return client;
}

const bodies = (room: Room): unknown[] => room.state.value.messages.map(({ body }) => body);
const marks = (room: Room): unknown[] | undefined => room.state.value.messages[0]?.reactions;
const seqs = (room: Room): number[] => room.state.value.messages.map(({ seq }) => seq);

it('ends with the same room on both sides however often the connection breaks', async () => {
  const { Constructor, tear, count } = tearable();
  const ann = enter('tear-ann', Constructor);
  const ben = enter('tear-ben');
  const { id } = await ann.createRoom({ kind: 'channel', name: 'torn' });
  await ben.joinRoom(id);
  const [hers, his] = [ann.room(id), ben.room(id)];
  const sent: Promise<unknown>[] = [];
  for (let round = 0; round < 40; round += 1) {
    sent.push(hers.send(`ann ${round}`), his.send(`ben ${round}`));
    // In the middle of what is on its way.
    if (round % 8 === 3) tear();
    if (ann.state.value.status !== 'connected') ann.wake();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await Promise.all(sent);
  await until('both hold all', () => bodies(hers).length === 80 && bodies(his).length === 80);
  expect(bodies(hers)).toEqual(bodies(his));
  expect(seqs(hers)).toEqual(Array.from({ length: 80 }, (_, at) => at + 1));
  for (const name of ['ann', 'ben']) {
    const own = bodies(his).filter((body) => String(body).startsWith(name));
    expect(own).toEqual(Array.from({ length: 40 }, (_, at) => `${name} ${at}`));
  }
  expect(hers.state.value.outgoing).toEqual([]);
  expect(count()).toBeGreaterThan(3);
});

it('lists rooms with unread counts, newest messages and peers', async () => {
  const [ann, ben] = [enter('list-ann'), enter('list-ben')];
  await ben.call('room:list', {});
  const direct = await ann.createRoom({ kind: 'direct', user: 'list-ben' });
  await ann.room(direct.id).send({ text: 'one' });
  await ann.room(direct.id).send({ text: 'two' });
  const entry = await until('ben has the event', () => ben.rooms.value.find(({ unread }) => unread === 2));
  expect(entry).toMatchObject({
    id: direct.id,
    kind: 'direct',
    peer: { id: 'list-ann' },
    last: { body: { text: 'two' } },
  });
  // A fresh device gets the newest messages without opening a room.
  const tablet = enter('list-ben');
  await until('the preview is there', () => tablet.rooms.value[0]?.last?.seq === 2);
  tablet.room(direct.id).markRead(2);
  await until('the mark reaches the other device', () => ben.rooms.value[0]?.unread === 0);
});

it('loses and regains a room with its membership', async () => {
  const [ann, ben] = [enter('member-ann'), enter('member-ben')];
  const { id } = await ann.createRoom({ kind: 'group', name: 'closed' });
  await expect(ben.joinRoom(id)).rejects.toMatchObject({ name: 'ParleyError' });
  expect((await ann.invite(id, 'member-ben'))?.role).toBe('member');
  await until('ben has it', () => ben.rooms.value.some((room) => room.id === id));
  const room = ben.room(id);
  await until('it is open', () => room.state.value.status === 'ready');
  expect((await ben.members(id)).map(({ user }) => user)).toEqual(['member-ann', 'member-ben']);
  await ben.leaveRoom(id);
  expect(room.state.value.status).toBe('gone');
  // A group is not to be seen from outside.
  await expect(room.send('too late')).rejects.toMatchObject({ code: 'not_found' });
  expect(room.state.value.outgoing).toMatchObject([{ state: 'failed' }]);
  expect(ben.rooms.value).toEqual([]);
});

it('edits, deletes and reacts, and knows its own marks on every device', async () => {
  const [ann, ben, tablet] = [enter('change-ann'), enter('change-ben'), enter('change-ben')];
  const { id } = await ann.createRoom({ kind: 'channel', name: 'changes' });
  await ben.joinRoom(id);
  const [hers, his, his2] = [ann.room(id), ben.room(id), tablet.room(id)];
  await hers.send('one');
  await hers.send('two');
  await Promise.all([hers.react(1, '👍'), his.react(1, '👍')]);
  await his.react(1, '❤');
  await hers.edit(1, 'uno');
  await hers.delete(2);
  await expect(his.edit(1, 'not mine')).rejects.toMatchObject({ code: 'forbidden' });
  await expect(his.react(2, '👍')).rejects.toMatchObject({ code: 'not_found' });
  await expect(his.react(1, 'no emoji')).rejects.toMatchObject({ code: 'invalid' });
  await until('all have all', () => [hers, his, his2].every((room) => room.cursor === 7));
  expect(bodies(his)).toEqual(['uno', null]);
  expect(his.state.value.messages).toEqual(his2.state.value.messages);
  expect(marks(his)).toEqual([
    { emoji: '👍', count: 2, mine: true },
    { emoji: '❤️', count: 1, mine: true },
  ]);
  expect(marks(hers)).toEqual([
    { emoji: '👍', count: 2, mine: true },
    { emoji: '❤️', count: 1, mine: false },
  ]);
  await his.unreact(1, '👍');
  await until('the mark is gone everywhere', () => [hers, his, his2].every((room) => room.cursor === 8));
  expect(marks(his2)).toEqual([
    { emoji: '👍', count: 1, mine: false },
    { emoji: '❤️', count: 1, mine: true },
  ]);
});

it('lists the newest message as it is now, also after changes while the client was offline', async () => {
  const { Constructor, tear } = tearable();
  const [ann, ben] = [enter('preview-ann'), enter('preview-ben', Constructor)];
  await ben.call('room:list', {});
  const { id } = await ann.createRoom({ kind: 'direct', user: 'preview-ben' });
  const room = ann.room(id);
  await room.send('first');
  await room.send('newest');
  await room.react(1, '👍');
  const last = (client: Client): unknown => {
    const entry = client.rooms.value.find((one) => one.id === id);
    return entry?.last === undefined ? undefined : [entry.last.seq, entry.last.body, entry.rev];
  };
  await until('ben has it', () => String(last(ben)) === '2,newest,3');
  const fresh = enter('preview-ben');
  await until('a fresh device has it', () => String(last(fresh)) === '2,newest,3');
  fresh.close();
  await room.edit(2, 'edited');
  await until('ben has the edit', () => String(last(ben)) === '2,edited,4');
  tear();
  await until('ben is offline', () => ben.state.value.status === 'waiting');
  await room.delete(2);
  await room.react(1, '🎉');
  ben.wake();
  await until('ben sees that it was deleted', () => String(last(ben)) === '2,,6');
  expect(ben.rooms.value[0]?.last).toMatchObject({ body: null, deletedAt: expect.any(Number) as number });
});
