/** Notifications in the app, through a started server: who gets one, the list, the marks, and each reason by `explain`. */
import { expect, it } from 'vitest';
import { makeKey, request } from '../api/keys-routes.ts';
import { stage } from '../stage.ts';
import { tokenOf } from '../support/server.ts';
import { untilOutboxEmpty } from '../support/outbox.ts';
import { until } from '../support/until.ts';

const { server, sql, people, room, say, connect } = await stage({
  people: ['owner', 'ann', 'ben', 'stranger'],
  // the server shares the event loop of the test
  config: { PARLEY_MAX_EVENT_LOOP_DELAY_MS: '60000' },
});
const key = (await makeKey(sql, { scopes: ['notifications'] })).text;

interface Line {
  state: string;
  reason: string | null;
  kind: string | null;
  stored: boolean;
}

async function explained(user: string, of: string, seq: number): Promise<Line> {
  const path = `/notifications/explain?user=${user}&room=${of}&seq=${seq}`;
  return until('the commit is expanded', async () => {
    const { body } = await request(server.url, 'GET', path, { bearer: key });
    const [line] = body['notifications'] as Line[];
    return line?.state === 'waiting' && line.reason === null ? undefined : line;
  });
}

it('a mention notifies the user at once, and nobody else', async () => {
  const hall = await room();
  const seq = await say('owner', hall, 'hello @ann');
  const event = await people.ann.event('notification', (data) => data.room === hall);
  expect(event).toMatchObject({ room: hall, seq, kind: 'mention', lane: 'high', read: false });
  expect(await explained('ann', hall, seq)).toMatchObject({
    state: 'sent',
    reason: null,
    kind: 'mention',
    stored: true,
  });
  expect(await explained('ben', hall, seq)).toMatchObject({ state: 'dropped', reason: 'level', stored: false });
  expect(await explained('stranger', hall, seq)).toMatchObject({ state: 'dropped', reason: 'left', stored: false });
  const { notifications, more } = await people.ann.ok('notification:list', {});
  expect(notifications).toMatchObject([
    { id: event.id, room: hall, seq, read: false, message: { body: { text: 'hello @ann' } } },
  ]);
  expect(more).toBe(false);
  expect(await people.ann.ok('notification:unread', {})).toMatchObject({ unread: 1 });
  expect(await people.ann.ok('notification:mark', { ids: [event.id] })).toMatchObject({ unread: 0 });
  expect((await people.ann.ok('notification:list', { unread: true })).notifications).toEqual([]);
  expect((await people.ben.ok('notification:list', {})).notifications).toEqual([]);
});

it('the outbox keeps no row of a message whose recipients are stored', async () => {
  const hall = await room();
  await say('owner', hall, 'hello @ann');
  await people.ann.event('notification', (data) => data.room === hall);
  await untilOutboxEmpty(sql);
});

it('each message of a direct room notifies the other user, and `read` marks its notification', async () => {
  const { room: direct } = await people.owner.ok('room:create', { kind: 'direct', user: 'ben' });
  const seq = await say('owner', direct.id, 'hi');
  await people.ben.event('notification', (data) => data.room === direct.id && data.kind === 'direct');
  expect(await people.ben.ok('notification:unread', {})).toEqual({ unread: 1 });
  await people.ben.ok('read', { room: direct.id, seq });
  expect(await people.ben.ok('notification:unread', {})).toEqual({ unread: 0 });
  await until('the row is read', async () => (await explained('ben', direct.id, seq)).state === 'read');
});

it('a reply notifies the followers of its thread', async () => {
  const hall = await room();
  const root = await say('ann', hall, 'a question');
  const seq = await say('ben', hall, 'an answer', { replyTo: root });
  expect(await explained('ann', hall, seq)).toMatchObject({ state: 'sent', kind: 'thread' });
  expect(await explained('owner', hall, seq)).toMatchObject({ state: 'dropped', reason: 'level', stored: false });
  expect(await explained('ben', hall, seq)).toMatchObject({ state: 'dropped', reason: 'read', stored: false });
});

it('the level of a room decides, and then that of the user', async () => {
  const hall = await room();
  await people.ann.ok('preferences:set', { room: hall, preferences: { level: 'all' } });
  await people.ben.ok('preferences:set', { room: hall, preferences: { level: 'none' } });
  expect(await people.ann.ok('preferences:get', { room: hall })).toMatchObject({ preferences: { level: 'all' } });
  const seq = await say('owner', hall, 'news for @ben');
  expect(await explained('ann', hall, seq)).toMatchObject({ state: 'sent', kind: 'message' });
  expect(await explained('ben', hall, seq)).toMatchObject({ state: 'dropped', reason: 'muted', stored: true });
  await people.ann.ok('preferences:set', { room: hall, preferences: {} });
  await people.ann.ok('preferences:set', { preferences: { level: 'all' } });
  const next = await say('owner', hall, 'more news');
  expect(await explained('ann', hall, next)).toMatchObject({ state: 'sent', kind: 'message' });
  await people.ann.ok('preferences:set', { preferences: {} });
  expect((await people.stranger.error('preferences:set', { room: hall, preferences: {} })).code).toBe('not_found');
  const wrong = { room: hall, preferences: { quiet: [] } };
  expect((await people.ann.error('preferences:set', wrong)).code).toBe('invalid');
});

it('a user who shows the room is not notified, and one who is active elsewhere is', async () => {
  const hall = await room();
  await people.ann.ok('presence:state', { state: 'active', room: hall });
  await people.ben.ok('presence:state', { state: 'active' });
  const seq = await say('owner', hall, 'hello @ann and @ben');
  expect(await explained('ann', hall, seq)).toMatchObject({ state: 'dropped', reason: 'active', stored: true });
  expect(await explained('ben', hall, seq)).toMatchObject({ state: 'sent' });
  await people.ann.ok('presence:state', { state: 'background' });
  const next = await say('owner', hall, 'hello again @ann');
  expect(await explained('ann', hall, next)).toMatchObject({ state: 'sent' });
});

it('an active connection that ends is no longer active', async () => {
  const hall = await room();
  const tab = await connect('ann');
  await tab.ok('presence:state', { state: 'active', room: hall });
  tab.close();
  await until('the message notifies', async () => {
    const seq = await say('owner', hall, 'hello @ann');
    return (await explained('ann', hall, seq)).state === 'sent';
  });
});

it('a user asks about own notifications alone, and learns of no other room', async () => {
  const hall = await room();
  const seq = await say('owner', hall, 'hello @ann');
  await explained('ann', hall, seq);
  const answerTo = async (by: string, user: string, of: string): Promise<unknown> => {
    const path = `/notifications/explain?user=${user}&room=${of}&seq=${seq}`;
    const { status, body } = await request(server.url, 'GET', path, { bearer: await tokenOf(by) });
    return status === 200 ? body['notifications'] : status;
  };
  expect(await answerTo('ann', 'ann', hall)).toMatchObject([
    { state: 'sent' },
    { channel: 'push', state: 'dropped', reason: 'no_device' },
  ]);
  expect(await answerTo('ann', 'ben', hall)).toBe(403);
  expect(await answerTo('stranger', 'stranger', hall)).toBe(404);
  expect(await answerTo('stranger', 'stranger', 'no-such-room')).toBe(404);
});

it('a snoozed notification waits, and comes when the snooze is over', async () => {
  const hall = await room();
  await people.ann.ok('preferences:set', { preferences: { snoozeUntil: Date.now() + 3_600_000 } });
  const seq = await say('owner', hall, 'hello @ann');
  expect(await explained('ann', hall, seq)).toMatchObject({ state: 'waiting', reason: 'snoozed' });
  await people.ann.ok('preferences:set', { preferences: { snoozeUntil: Date.now() + 1000 } });
  expect(await people.ann.event('notification', (data) => data.room === hall)).toMatchObject({ seq });
  expect(await explained('ann', hall, seq)).toMatchObject({ state: 'sent', reason: null });
  await people.ann.ok('preferences:set', { preferences: {} });
});

it('a notification that waits is dropped when its message, its membership or its use ends', async () => {
  const hall = await room();
  const ends = Date.now() + 3_600_000;
  const sleeper = async (user: string): Promise<void> => {
    await (await connect(user)).ok('preferences:set', { preferences: { snoozeUntil: ends } });
  };
  for (const user of ['cat', 'dan', 'eve', 'fay', 'gil']) {
    await sleeper(user);
    await people.owner.ok('room:invite', { room: hall, user, role: 'member' });
  }
  const kept = await say('owner', hall, 'to @cat @dan @eve @fay');
  const gone = await say('owner', hall, 'to @gil');
  for (const user of ['cat', 'dan', 'eve', 'fay']) {
    expect(await explained(user, hall, kept)).toMatchObject({ state: 'waiting', reason: 'snoozed' });
  }
  await people.owner.ok('message:delete', { room: hall, seq: gone });
  await (await connect('cat')).ok('room:leave', { room: hall });
  await people.owner.ok('room:ban', { room: hall, user: 'dan' });
  await (await connect('eve')).ok('user:block', { user: 'owner' });
  await (await connect('fay')).ok('read', { room: hall, seq: kept });
  const last: [user: string, seq: number, reason: string][] = [
    ['cat', kept, 'left'],
    ['dan', kept, 'left'],
    ['eve', kept, 'blocked'],
    ['fay', kept, 'read'],
    ['gil', gone, 'deleted'],
  ];
  for (const [user, seq, reason] of last) {
    await (await connect(user)).ok('preferences:set', { preferences: {} });
    const line = await until(`${user} is settled`, async () => {
      const found = await explained(user, hall, seq);
      return found.state === 'waiting' ? undefined : found;
    });
    expect([user, line]).toMatchObject([user, { state: 'dropped', reason }]);
  }
});

it('a new mention of an edit notifies, and a mention that was there does not again', async () => {
  const hall = await room();
  const seq = await say('owner', hall, 'hello @ann');
  await explained('ann', hall, seq);
  await people.owner.ok('message:edit', { room: hall, seq, body: { text: 'hello @ann and @ben' } });
  await people.ben.event('notification', (data) => data.room === hall && data.seq === seq);
  expect(people.ann.received('notification').filter((data) => data.room === hall)).toHaveLength(1);
});

it('a thousand offline members get one row each, and the outbox is empty', async () => {
  const hall = await room();
  await sql`insert into users (id) select 'crowd' || n from generate_series(1, 1000) n`;
  await sql`insert into members (room_id, user_id, role) select ${hall}, 'crowd' || n, 'member' from generate_series(1, 1000) n`;
  await sql`update rooms set member_count = member_count + 1000 where id = ${hall}`;
  const seq = await say('owner', hall, 'hello @room');
  await until('all rows are stored', async () => {
    const [row] = await sql<[{ rows: number; users: number }]>`
      select count(*)::integer as rows, count(distinct user_id)::integer as users from notifications
      where room_id = ${hall} and seq = ${seq} and user_id like 'crowd%' and state = 'sent'`;
    return row.rows === 1000 && row.users === 1000;
  });
  await untilOutboxEmpty(sql);
});
