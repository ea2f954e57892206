import { describe, expect, it } from 'vitest';
import { ReadMarks } from '../../src/receipts/read-marks.ts';
import { unread } from '../../src/receipts/receipts.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { MemoryFanout } from '../../src/fanout/memory.ts';
import { limits } from '../../src/protocol/limits.ts';
import { stage } from '../stage.ts';
import { createWriter, makeRoom, send, silentLog } from '../support/messaging.ts';
import { text, type StockClient } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

const { server, people, connect } = await stage({ people: ['ann', 'ben'] });
const { ann, ben } = people;
const phone = await connect('ann');

async function roomOf(id: string, messages: number): Promise<void> {
  await ann.ok('room:create', { kind: 'group', name: id, id });
  await ann.ok('room:invite', { room: id, user: 'ben' });
  for (let n = 1; n <= messages; n++) await ann.ok('message:send', text(id, n));
}

describe('delivered marks', () => {
  it('are published to the room, never go back, and are in the receipts beside the read marks', async () => {
    await roomOf('delivered', 5);
    await ben.ok('delivered', { room: 'delivered', seq: 4 });
    expect(await ann.event('delivered', ({ room }) => room === 'delivered')).toEqual({
      room: 'delivered',
      user: 'ben',
      seq: 4,
    });
    await ben.ok('read', { room: 'delivered', seq: 1 });
    await ben.ok('delivered', { room: 'delivered', seq: 2 });
    await ben.ok('delivered', { room: 'delivered', seq: 99 });
    await ann.event('delivered', ({ room, seq }) => room === 'delivered' && seq === 5);
    expect(await ann.ok('room:receipts', { room: 'delivered', after: 'ann' })).toEqual({
      receipts: [{ user: 'ben', read: 1, delivered: 5 }],
      after: 'ben',
      more: false,
    });
    expect(await ann.ok('room:receipts', { room: 'delivered', limit: 1 })).toMatchObject({ after: 'ann', more: true });
  });

  it('are what is read at least', async () => {
    await roomOf('implied', 3);
    await ben.ok('read', { room: 'implied', seq: 3 });
    const { receipts } = await ben.ok('room:receipts', { room: 'implied' });
    expect(receipts.find(({ user }) => user === 'ben')).toEqual({ user: 'ben', read: 3, delivered: 3 });
    await ben.ok('delivered', { room: 'implied', seq: 3 });
    await ben.ok('message:send', text('implied', 'fence'));
    await ben.event('read', ({ room, seq }) => room === 'implied' && seq === 4);
    expect(ann.received('delivered').filter(({ room }) => room === 'implied')).toEqual([]);
  });

  it(`are neither stored nor published in rooms of more than ${limits.readReceiptMembers} members`, async () => {
    const { sql } = server.database;
    await roomOf('many', 2);
    await sql`update rooms set member_count = ${limits.readReceiptMembers + 1} where id = 'many'`;
    await ben.ok('delivered', { room: 'many', seq: 2 });
    await ben.ok('message:send', text('many', 'fence'));
    // written with the same batch
    await ben.event('read', ({ room, seq }) => room === 'many' && seq === 3);
    expect(ann.received('delivered').filter(({ room }) => room === 'many')).toEqual([]);
    const [row] = await sql`select last_delivered_seq as seq from members where room_id = 'many' and user_id = 'ben'`;
    expect(row).toEqual({ seq: 0 });
  });

  it('need membership', async () => {
    await ann.ok('room:create', { kind: 'group', name: 'C', id: 'closed' });
    expect(await ben.error('delivered', { room: 'closed', seq: 1 })).toMatchObject({ code: 'not_member' });
    expect(await ben.error('room:receipts', { room: 'closed' })).toMatchObject({ code: 'not_found' });
    expect(await ben.error('room:receipts', { room: 'nowhere' })).toMatchObject({ code: 'not_found' });
  });

  it('that nobody waits for are let go at the limit', async () => {
    const { sql } = server.database;
    const received: string[] = [];
    const fanout = new MemoryFanout((envelopes) => void received.push(...envelopes.map((e) => JSON.stringify(e))));
    const metrics = new Metrics();
    const marks = new ReadMarks({ sql, fanout, metrics, log: silentLog, maxGathered: 2, gatherMs: 60_000 });
    const rooms = await Promise.all(['g1', 'g2', 'g3'].map((room) => makeRoom(sql, room, 'ann', 'ben')));
    const { writer } = createWriter(sql);
    for (const room of rooms) await writer.send(send(room, 'ann'));
    await writer.stop();
    for (const room of rooms) marks.delivered('ben', room, 1);
    await marks.flush();
    expect(received.length).toBe(2);
    expect(await metrics.marksDropped.get()).toMatchObject({ values: [{ value: 1 }] });
  });

  it('without a waiting client are written part by part, however many, and do not displace waiting clients', async () => {
    const { sql } = server.database;
    let received = 0;
    const fanout = new MemoryFanout((envelopes) => void (received += envelopes.length));
    const marks = new ReadMarks({ sql, fanout, metrics: new Metrics(), log: silentLog, gatherMs: 60_000 });
    const room = await makeRoom(sql, 'busy-marks', 'ann', 'ben');
    const { writer } = createWriter(sql);
    await writer.send(send(room, 'ann'));
    await writer.stop();
    // of people who are not in it, but for the last
    for (let n = 0; n < 25_000; n++) marks.delivered(`passer-by-${n}`, room, 1);
    marks.delivered('ben', room, 1);
    const written = marks.flush();
    expect(await marks.set('ann', room, 1)).toEqual({ seq: 1 });
    await written;
    expect(received).toBe(2);
  });
});

describe('sending', () => {
  it("moves the sender's read mark and sends it to their devices, not to the room", async () => {
    await roomOf('sending', 0);
    await ben.ok('message:send', text('sending', 'x'));
    await ann.ok('message:send', text('sending', 'y'));
    expect(await phone.event('read', ({ room }) => room === 'sending')).toEqual({
      room: 'sending',
      user: 'ann',
      seq: 2,
    });
    expect(ben.received('read').filter(({ room, user }) => room === 'sending' && user === 'ann')).toEqual([]);
  });
});

const of = async (client: StockClient, room: string) =>
  (await client.ok('unread', {})).rooms.find((one) => one.room === room);

describe('unread', () => {
  it('counts, in all rooms at once, what is beyond the read mark', async () => {
    await roomOf('counted', 3);
    await roomOf('empty', 0);
    expect(await of(ben, 'counted')).toEqual({
      room: 'counted',
      unread: 3,
      mentions: 0,
      read: 0,
      seq: 3,
      at: expect.any(Number) as number,
    });
    expect(await of(ben, 'empty')).toEqual({ room: 'empty', unread: 0, mentions: 0, read: 0, seq: 0, at: null });
    await ben.ok('read', { room: 'counted', seq: 2 });
    expect(await of(ben, 'counted')).toMatchObject({ unread: 1, read: 2 });
    await until('the own ones are read', async () => (await of(ann, 'counted'))?.unread === 0);
  });

  it('stops at its limit', async () => {
    const { sql } = server.database;
    await roomOf('full', 1);
    await sql`update rooms set last_seq = ${limits.unreadCount} where id = 'full'`;
    expect((await of(ben, 'full'))?.unread).toBe(limits.unreadCount);
    await sql`update rooms set last_seq = ${limits.unreadCount + 1} where id = 'full'`;
    expect((await of(ben, 'full'))?.unread).toBe(limits.unreadCount);
  });

  it('comes in pages, each one statement', async () => {
    const { sql } = server.database;
    await sql`insert into users (id) values ('cid')`;
    for (const room of ['p1', 'p2', 'p3']) await makeRoom(sql, room, 'cid');
    const page = await unread(sql, 'cid', {}, 2);
    expect([page.rooms.map(({ room }) => room), page.after, page.more]).toEqual([['p1', 'p2'], 'p2', true]);
    const next = await unread(sql, 'cid', { after: 'p2' }, 2);
    expect([next.rooms.map(({ room }) => room), next.after, next.more]).toEqual([['p3'], 'p3', false]);
    expect(await unread(sql, 'cid', { after: 'p3' }, 2)).toEqual({ rooms: [], after: null, more: false });
  });

  it('counts mentions where they are noted', async () => {
    const { sql } = server.database;
    await roomOf('mentioned', 4);
    await sql`insert into mentions select 'mentioned', n, u, now() from
      (values (1, 'ben'), (2, '*'), (3, 'ann'), (4, 'ben'), (4, '*')) as v (n, u)`;
    // the last one calls everybody and names him: that is one
    expect(await of(ben, 'mentioned')).toMatchObject({ unread: 4, mentions: 3 });
    await ben.ok('read', { room: 'mentioned', seq: 2 });
    expect(await of(ben, 'mentioned')).toMatchObject({ unread: 2, mentions: 1 });
  });
});
