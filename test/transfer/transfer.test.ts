import { randomUUID } from 'node:crypto';
import type postgres from 'postgres';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { MemoryFanout } from '../../src/fanout/memory.ts';
import { roomChanges } from '../../src/rooms/settings-changes.ts';
import { Rooms } from '../../src/rooms/rooms.ts';
import { exportRooms } from '../../src/transfer/export.ts';
import { importLines, ImportError } from '../../src/transfer/import.ts';
import { maxLineBytes } from '../../src/transfer/lines.ts';
import { splitLines } from '../../src/transfer/split-lines.ts';
import { rightsOf } from '../../src/protocol/permissions.ts';
import { whenApplied } from '../../src/storage/confirmations.ts';
import { invalidationsOfChanges } from '../../src/storage/cache/invalidations.ts';
import { memoryCache } from '../support/cache.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { assertDense, createWriter, makeRoom, send } from '../support/messaging.ts';

let source: TestDatabase;
let target: TestDatabase;
beforeAll(async () => {
  source = await createTestDatabase();
  target = await createTestDatabase();
});
afterAll(async () => {
  await source.drop();
  await target.drop();
});

async function exported(sql: postgres.Sql, room?: string, since?: number): Promise<string[]> {
  let text = '';
  await exportRooms(sql, { room, since }, (part) => {
    text += part;
    return Promise.resolve();
  });
  return text.trimEnd().split('\n');
}

const kindsOf = (lines: readonly string[]): string[] =>
  lines.map((line) => (JSON.parse(line) as { type: string }).type);

const block = (user: string, blocked: string): string => JSON.stringify({ type: 'block', user, blocked, at: 1 });

/** Everything but the moment of the export. */
const bodyOf = (lines: string[]): string[] => lines.slice(1);

async function* chunks(lines: readonly string[], size = 1000): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(`${lines.join('\n')}\n`);
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
}

const imported = (sql: postgres.Sql, lines: readonly string[]) => importLines(sql, chunks(lines));

async function change(sql: postgres.Sql, room: string, ...changes: unknown[][]): Promise<void> {
  const batch = JSON.stringify([[room, changes.map((one, n) => [n, ...one])]]);
  const rows = await sql<{ outcome: string }[]>`
    select outcome from change_messages(${[room]}::text[], ${batch}::text::jsonb, '{}', 0, 50, 100)`;
  expect(rows.map(({ outcome }) => outcome)).toEqual(changes.map(() => 'changed'));
}

/** Sends, edits, deletions and reactions. */
async function busyRoom(sql: postgres.Sql, room: string, messages: number): Promise<void> {
  await makeRoom(sql, room, 'ann', 'ben', 'cid');
  await sql`update users set name = 'Ann "A" ä' where id = 'ann'`;
  const { writer } = createWriter(sql);
  for (let n = 1; n <= messages; n++) {
    const more = n % 5 === 0 ? { replyTo: 1 } : {};
    const sent = writer.send(
      send(room, n % 2 === 0 ? 'ann' : 'ben', { text: `message ${n}`, n: [n, null, 1e21] }, more),
    );
    // what is answered must be stored
    if (n === 1) await sent;
  }
  await writer.stop();
  await change(
    sql,
    room,
    ['edit', 3, 'ben', { text: 'edited' }],
    ['edit', 3, 'ann', 'a text'],
    ['add', 2, 'cid', '👍'],
    ['add', 2, 'ben', '👍'],
    ['add', 2, 'ben', '❤️'],
    ['add', 4, 'ben', '🎉'],
    ['delete', 4, 'ann', null],
    ['remove', 2, 'cid', '👍'],
  );
  await sql`select * from mark_read('[{"r":"busy","u":"ben","s":3}]')`;
}

const revs = (list: { root: number; replies: number }[]) => list.map(({ root, replies }) => [root, replies]);
const threadsOf = (list: readonly { seq: number; thread: number | null }[]) =>
  list.map(({ seq, thread }) => [seq, thread]);

/** A room with everything that stands beside its messages. */
async function richRoom(sql: postgres.Sql, room: string): Promise<void> {
  await makeRoom(sql, room, 'ann', 'ben', 'cid', 'eve');
  const { writer } = createWriter(sql);
  const say = (sender: string, more: object = {}) => writer.send(send(room, sender, { text: 'x' }, more));
  await say('ann');
  await say('ben', { replyTo: 1 });
  await say('cid', { replyTo: 2 });
  await say('ann', { mentions: { names: [['ben'], ['cid']], everybody: true } });
  await say('ben', { replyTo: 4, mentions: { names: [['ann']], everybody: false } });
  await say('cid', { replyTo: 3 });
  await say('ann', { replyTo: 1 });
  await say('ben');
  await writer.stop();
  await change(sql, room, ['delete', 7, 'ann', null], ['edit', 4, 'ann', { text: 'edited' }]);
  await sql`select * from note_changes(array[1], ${`[[0,"delete","${room}",7,"ann",[],false]]`}::text::jsonb)`;
  await sql`select * from pin_message(${room}, 5, 'ann', true, 50, '{}', ${rightsOf('pin')}::text::jsonb)`;
  const rights = (action: Parameters<typeof rightsOf>[0]) => sql`${rightsOf(action)}::text::jsonb`;
  await sql`
    insert into thread_follows (room_id, root, user_id, read_seq, followed_at)
    values (${room}, 1, 'eve', 3, date_trunc('milliseconds', now()))`;
  await sql`delete from thread_follows where room_id = ${room} and root = 1 and user_id = 'cid'`;
  await sql`select * from ban_user(${room}, 'ann', 'dan', 'for a reason', 100, ${rights('ban')})`;
  await sql`insert into kept_mutes values (${room}, 'fay', 'infinity'), (${room}, 'gil', '2100-01-01')`;
  await sql`select invite_user(${room}, 'ann', 'hal', 'guest', interval '1 day', 100, 100, ${rights('invite')})`;
  await sql`select make_link(${room}, 'ann', 'one', ${'\\x' + '5a'.repeat(32)}::text::bytea, 'member', null, 5, 50, ${rights('link')})`;
  await sql`select make_link(${room}, 'ann', 'two', ${'\\x' + 'a5'.repeat(32)}::text::bytea, 'guest', '2100-01-01', null, 50, ${rights('link')})`;
  await sql`select mute_member(${room}, 'ann', 'cid', 'infinity', ${rights('mute')})`;
  await sql`
    update rooms set topic = 'what it is about', archived_at = date_trunc('milliseconds', now()), retention_days = 99,
      slow_mode_s = 7, senders = 'admins', edit_window_s = 0 where id = ${room}`;
}

/** The rows of `richRoom`, by table, to the millisecond. */
async function stateOf(sql: postgres.Sql) {
  const ms = (column: string) => sql`date_trunc('milliseconds', ${sql(column)}) as ${sql(column)}`;
  return {
    rooms: await sql`
      select kind, name, topic, ${ms('archived_at')}, retention_days, slow_mode_s, senders, edit_window_s, last_seq, last_rev, member_count
      from rooms where id = 'rich'`,
    members: await sql`
      select user_id, role, muted_until::text, last_read_seq from members where room_id = 'rich' order by user_id`,
    roots: await sql<
      { seq: number; thread: number | null }[]
    >`select seq, thread, pinned_by, ${ms('pinned_at')} from messages where room_id = 'rich' order by seq`,
    threads: await sql<{ root: number; replies: number }[]>`
      select root, replies, ${ms('last_reply_at')}, array_to_string(repliers, ',') as repliers from threads where room_id = 'rich' order by root`,
    follows: await sql<{ root: number; user_id: string }[]>`
      select root, user_id, read_seq from thread_follows where room_id = 'rich' order by root, user_id`,
    mentions: await sql`select seq, user_id, ${ms('at')} from mentions where room_id = 'rich' order by seq, user_id`,
    bans: await sql`select user_id, banned_by, reason, ${ms('at')} from bans where room_id = 'rich'`,
    mutes: await sql`select user_id, muted_until::text from kept_mutes where room_id = 'rich' order by user_id`,
    invitations:
      await sql`select user_id, role, invited_by, ${ms('expires_at')} from invitations where room_id = 'rich'`,
    links: await sql`
      select id, encode(token_hash, 'hex') as hash, role, made_by, ${ms('expires_at')}, max_uses, uses from join_links
      where room_id = 'rich' order by id`,
  };
}

describe('an export', () => {
  it('is read back as it was, any number of times', async () => {
    await busyRoom(source.sql, 'busy', 1201);
    await makeRoom(source.sql, 'empty', 'ann');
    const lines = await exported(source.sql);
    expect(await imported(target.sql, lines)).toEqual({ rooms: 2, messages: 1201 });
    expect(bodyOf(await exported(target.sql))).toEqual(bodyOf(lines));
    expect(await imported(target.sql, lines)).toEqual({ rooms: 2, messages: 0 });
    expect(bodyOf(await exported(target.sql))).toEqual(bodyOf(lines));
    const [room] = await target.sql`select member_count, purged_rev from rooms where id = 'busy'`;
    expect(room).toEqual({ member_count: 3, purged_rev: 0 });
  });

  it('has threads, mentions, pins, settings, bans, mutes, invitations and links', async () => {
    const { sql } = source;
    await richRoom(sql, 'rich');
    const lines = await exported(sql, 'rich');
    const kinds = new Set(lines.map((line) => (JSON.parse(line) as { type: string }).type));
    for (const kind of ['mention', 'follow', 'ban', 'mute', 'invitation', 'link']) expect(kinds).toContain(kind);
    const fresh = await createTestDatabase();
    expect(await imported(fresh.sql, lines)).toEqual({ rooms: 1, messages: 8 });
    expect(await stateOf(fresh.sql)).toEqual(await stateOf(sql));
    expect(bodyOf(await exported(fresh.sql))).toEqual(bodyOf(lines));
    expect(await imported(fresh.sql, lines)).toEqual({ rooms: 1, messages: 0 });
    expect(await stateOf(fresh.sql)).toEqual(await stateOf(sql));
    await fresh.drop();
  });

  it('that is read again does not bring back what was lifted, revoked or let go here', async () => {
    const lines = await exported(source.sql, 'rich');
    const fresh = await createTestDatabase();
    await imported(fresh.sql, lines);
    for (const table of ['bans', 'kept_mutes', 'invitations', 'join_links', 'thread_follows']) {
      await fresh.sql`delete from ${fresh.sql(table)} where room_id = 'rich'`;
    }
    await fresh.sql`update rooms set topic = 'another' where id = 'rich'`;
    const { writer } = createWriter(source.sql);
    await source.sql`update rooms set archived_at = null where id = 'rich'`;
    await writer.send(send('rich', 'ann', 'a new answer', { replyTo: 8 }));
    await writer.stop();
    const later = await exported(source.sql, 'rich');
    expect(await imported(fresh.sql, later)).toEqual({ rooms: 1, messages: 1 });
    const { bans, mutes, invitations, links, threads, follows } = await stateOf(fresh.sql);
    expect({ bans, mutes, invitations, links }).toEqual({ bans: [], mutes: [], invitations: [], links: [] });
    expect(follows.map(({ root, user_id: user }) => [root, user])).toEqual([
      [8, 'ann'],
      [8, 'ben'],
    ]);
    expect(revs(threads)).toEqual(revs((await stateOf(source.sql)).threads));
    const [room] = await fresh.sql`select topic from rooms where id = 'rich'`;
    expect(room).toEqual({ topic: 'another' });
    await fresh.drop();
  });

  it('of all rooms has departures and blocks, and an import on an empty server keeps what they do', async () => {
    const [from, to] = [await createTestDatabase(), await createTestDatabase()];
    const rights = (action: Parameters<typeof rightsOf>[0]) => from.sql`${rightsOf(action)}::text::jsonb`;
    await makeRoom(from.sql, 'left', 'ann', 'ben', 'cid', 'dan', 'eve');
    await from.sql`update rooms set slow_mode_s = 3600 where id = 'left'`;
    await from.sql`update members set role = 'guest' where room_id = 'left' and user_id = 'cid'`;
    const { writer } = createWriter(from.sql);
    await writer.send(send('left', 'ben', 'the last for an hour'));
    await writer.stop();
    await from.sql`select mute_member('left', 'ann', 'dan', 'infinity', ${rights('mute')})`;
    for (const user of ['ben', 'cid', 'dan']) await from.sql`select remove_member('left', ${user})`;
    await from.sql`select remove_from_room('left', 'ann', 'eve', ${rights('remove')})`;
    await from.sql`insert into blocks values ('ben', 'ann', '2026-01-01'), ('never-here', 'ann', '2026-01-02')`;

    const lines = await exported(from.sql);
    expect(lines.slice(1, 3).map((line) => JSON.parse(line) as unknown)).toEqual([
      { type: 'block', user: 'ben', blocked: 'ann', at: Date.UTC(2026, 0, 1) },
      { type: 'block', user: 'never-here', blocked: 'ann', at: Date.UTC(2026, 0, 2) },
    ]);
    expect(await imported(to.sql, lines)).toEqual({ rooms: 1, messages: 1 });
    expect(bodyOf(await exported(to.sql))).toEqual(bodyOf(lines));
    expect(await imported(to.sql, lines)).toEqual({ rooms: 1, messages: 0 });
    expect(bodyOf(await exported(to.sql))).toEqual(bodyOf(lines));
    // one room alone says nothing of whom its members block
    expect(kindsOf(await exported(from.sql, 'left'))).not.toContain('block');

    // a user who left is not added without consent, a guest comes back as one, and slow mode and mutes go on
    const add = (user: string) => to.sql`
      select add_member('left', 'ann', ${user}, 'member', 100, 100, ${rightsOf('add')}::text::jsonb) as outcome`;
    expect([await add('ben'), await add('eve')]).toEqual([[{ outcome: 'not_asked' }], [{ outcome: 'joined' }]]);
    for (const user of ['ben', 'cid', 'dan']) {
      await to.sql`select admit('left', ${user}, returning_role('left', ${user}, 'member'), 100, 100)`;
    }
    expect(
      await to.sql`
        select user_id, role, muted_until::text, last_sent_at is not null as sent from members
        where room_id = 'left' and user_id in ('ben', 'cid', 'dan') order by user_id`,
    ).toEqual([
      { user_id: 'ben', role: 'member', muted_until: null, sent: true },
      { user_id: 'cid', role: 'guest', muted_until: null, sent: false },
      { user_id: 'dan', role: 'member', muted_until: 'infinity', sent: false },
    ]);
    await from.drop();
    await to.drop();
  });

  it('keeps the user who mentioned everybody in the message of another', async () => {
    const [from, to] = [await createTestDatabase(), await createTestDatabase()];
    await makeRoom(from.sql, 'called', 'ann', 'ben');
    const { writer } = createWriter(from.sql);
    await writer.send(send('called', 'ben', 'x'));
    await writer.stop();
    await change(from.sql, 'called', ['edit', 1, 'ann', { text: '@room' }]);
    await from.sql`select * from note_changes(array[1], '[[0,"edit","called",1,"ann",[],true]]'::jsonb)`;
    await imported(to.sql, await exported(from.sql));
    expect(await to.sql`select user_id, called_by from mentions`).toEqual([{ user_id: '*', called_by: 'ann' }]);
    await from.drop();
    await to.drop();
  });

  it('of format 2, without departures and blocks, is read as before', async () => {
    const fresh = await createTestDatabase();
    const old = (await exported(source.sql, 'rich')).flatMap((text) => {
      const line = JSON.parse(text) as Record<string, unknown>;
      if (line['type'] === 'departure') return [];
      delete line['departures'];
      delete line['blocks'];
      return [JSON.stringify(line['type'] === 'export' ? { ...line, format: 2 } : line)];
    });
    expect(await imported(fresh.sql, old)).toEqual({ rooms: 1, messages: 9 });
    await fresh.drop();
  });

  it('of format 1 has none of these, but its threads are made again', async () => {
    const lines = await exported(source.sql, 'rich');
    const old = lines.flatMap((text) => {
      const line = JSON.parse(text) as Record<string, unknown>;
      const type = line['type'] as string;
      if (['mention', 'follow', 'ban', 'mute', 'invitation', 'link'].includes(type)) return [];
      const later = ['topic', 'archivedAt', 'slowMode', 'senders', 'editWindow', 'thread', 'pinnedAt', 'pinnedBy'];
      later.push('muted', 'mentions', 'follows', 'bans', 'mutes', 'invitations', 'links', 'departures', 'blocks');
      for (const field of later) delete line[field];
      return [JSON.stringify(type === 'export' ? { ...line, format: 1 } : line)];
    });
    const fresh = await createTestDatabase();
    expect(await imported(fresh.sql, old)).toEqual({ rooms: 1, messages: 9 });
    const [there, here] = [await stateOf(source.sql), await stateOf(fresh.sql)];
    expect(here.threads).toEqual(there.threads);
    expect(threadsOf(here.roots)).toEqual(threadsOf(there.roots));
    expect(new Set(here.follows.map(({ root, user_id: user }) => `${root} ${user}`))).toEqual(
      new Set(['1 ann', '1 ben', '1 cid', '4 ann', '4 ben', '8 ann', '8 ben']),
    );
    expect(here.bans).toEqual([]);
    await fresh.drop();
  });

  it('brings a room up to date that was read before, and resets the cursors of its members', async () => {
    const { writer } = createWriter(source.sql);
    await writer.send(send('busy', 'cid', 'later'));
    await writer.stop();
    await change(
      source.sql,
      'busy',
      ['edit', 7, 'ben', 'late edit'],
      ['delete', 2, 'ann', null],
      ['add', 9, 'cid', '👍'],
    );
    const lines = await exported(source.sql, 'busy');
    expect(await imported(target.sql, lines)).toEqual({ rooms: 1, messages: 4 });
    const again = await exported(target.sql, 'busy');
    expect(again.filter((line) => !line.includes('"type":"room"')).slice(1)).toEqual(
      lines.filter((line) => !line.includes('"type":"room"')).slice(1),
    );
    const [before] = await source.sql<{ last_rev: number }[]>`select last_rev from rooms where id = 'busy'`;
    const [after] = await target.sql`select last_rev, purged_rev from rooms where id = 'busy'`;
    // two of its three batches had something new
    expect(after).toEqual({ last_rev: (before?.last_rev ?? 0) + 2, purged_rev: (before?.last_rev ?? 0) + 2 });
  });

  it('does not undo what is newer here', async () => {
    const lines = await exported(source.sql, 'busy');
    await change(target.sql, 'busy', ['edit', 11, 'ben', 'newer'], ['add', 9, 'ann', '🎉'], ['remove', 9, 'cid', '👍']);
    const before = await exported(target.sql, 'busy');
    expect(await imported(target.sql, lines)).toMatchObject({ messages: 0 });
    expect(bodyOf(await exported(target.sql, 'busy'))).toEqual(bodyOf(before));
  });

  it('may begin at a moment; then the room begins there', async () => {
    const { sql } = source;
    await busyRoom(sql, 'since', 20);
    await sql`update messages set created_at = created_at - interval '1 day' where room_id = 'since' and seq <= 12`;
    const lines = await exported(sql, 'since', Date.now() - 3_600_000);
    expect(lines.filter((line) => line.includes('"type":"message"')).length).toBe(8);
    const empty = await createTestDatabase();
    expect(await imported(empty.sql, lines)).toEqual({ rooms: 1, messages: 8 });
    const [room] = await empty.sql`select first_seq, last_seq, last_rev, purged_rev from rooms where id = 'since'`;
    // the last change was one of a message before
    expect(room).toEqual({ first_seq: 13, last_seq: 20, last_rev: 28, purged_rev: 28 });
    expect(bodyOf(await exported(empty.sql, 'since'))).toEqual(bodyOf(lines));
    await empty.drop();
  });

  it('is of one moment, whatever is written meanwhile', async () => {
    const { sql } = source;
    await busyRoom(sql, 'moving', 1500);
    const { writer } = createWriter(sql);
    const lines: string[] = [];
    await exportRooms(sql, { room: 'moving', since: undefined }, async (text) => {
      lines.push(text);
      if (lines.length < 5) await writer.send(send('moving', 'ann'));
    });
    await writer.stop();
    const parsed = lines
      .join('')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { type: string; seq?: number });
    // the first write comes before the room is read
    expect(parsed.find(({ type }) => type === 'room')?.seq).toBe(1501);
    expect(parsed.filter(({ type }) => type === 'message').length).toBe(1501);
    const [now] = await sql`select last_seq from rooms where id = 'moving'`;
    expect(now).toEqual({ last_seq: 1504 });
  });

  it('of a room that is not there is refused', async () => {
    await expect(exported(source.sql, 'nowhere')).rejects.toThrow('There is no room nowhere.');
  });
});

/** All up to the first line of that type: as when a run is cut off there. */
const upTo = (lines: readonly string[], type: string): string[] => {
  const found = lines.findIndex((line) => line.startsWith(`{"type":"${type}"`));
  expect(found).toBeGreaterThan(0);
  return lines.slice(0, found);
};

const peopleOf = async (sql: postgres.Sql, id: string) =>
  (
    await sql<{ user_id: string; role: string }[]>`
    select user_id, role from members where room_id = ${id} order by user_id`
  ).map((m) => [m.user_id, m.role]);

describe('an import into a room that is here', () => {
  let here: TestDatabase;
  let there: TestDatabase;
  beforeEach(async () => {
    [here, there] = await Promise.all([createTestDatabase(), createTestDatabase()]);
  });
  afterEach(() => Promise.all([here.drop(), there.drop()]));

  it('is refused if it was deleted, and leaves nothing of it', async () => {
    await busyRoom(there.sql, 'busy', 10);
    const lines = await exported(there.sql);
    await imported(here.sql, lines);
    const { sql } = here;
    const deletion = () => sql`select delete_room('busy', 'ann', ${rightsOf('delete')}::text::jsonb) as outcome`;
    expect(await deletion()).toEqual([{ outcome: 'deleted' }]);
    await expect(imported(sql, lines)).rejects.toThrow(
      'Line 2: room busy was deleted here, and its id cannot be taken again yet.',
    );
    expect(await sql`select id from rooms`).toEqual([]);
    expect(await sql`select room_id from imports`).toEqual([]);
    // one that came back before this was refused could not be deleted a second time
    await sql`update deleted_rooms set purged_at = now()`;
    await sql`insert into rooms (id, kind, created_by) values ('busy', 'group', 'ann')`;
    expect(await deletion()).toEqual([{ outcome: 'deleted' }]);
    expect(await sql`select id, purged_at from deleted_rooms`).toEqual([{ id: 'busy', purged_at: null }]);
  });

  it('brings back nobody who left, was banned, or has another role', async () => {
    await makeRoom(there.sql, 'r', 'ann', 'ben', 'cid', 'dan');
    await there.sql`update members set role = 'admin' where user_id = 'ben'`;
    const lines = await exported(there.sql);
    const { sql } = here;
    await imported(sql, lines);
    await sql`select ban_user('r', 'ann', 'ben', null, 100, ${rightsOf('ban')}::text::jsonb)`;
    await sql`select transfer_room('r', 'ann', 'cid', ${rightsOf('transfer')}::text::jsonb)`;
    await sql`select remove_member('r', 'ann')`;
    await sql`select mute_member('r', 'cid', 'dan', 'infinity', ${rightsOf('mute')}::text::jsonb)`;
    await sql`select remove_from_room('r', 'cid', 'dan', ${rightsOf('remove')}::text::jsonb)`;
    expect(await imported(sql, lines)).toEqual({ rooms: 1, messages: 0 });
    expect(await peopleOf(sql, 'r')).toEqual([['cid', 'owner']]);
    expect(await sql`select user_id, muted_until::text from kept_mutes`).toEqual([
      { user_id: 'dan', muted_until: 'infinity' },
    ]);
  });

  it('that was cut off goes on, without users who were banned since, and with one owner', async () => {
    await makeRoom(there.sql, 'r', 'ann', 'ben', 'cid', 'dan', 'eve');
    const lines = await exported(there.sql);
    const { sql } = here;
    const cut = lines.findIndex((line) => line.includes('"user":"eve"'));
    await expect(imported(sql, lines.slice(0, cut))).rejects.toThrow('cut off');
    expect(await peopleOf(sql, 'r')).toHaveLength(4);
    await sql`select ban_user('r', 'ann', 'ben', null, 100, ${rightsOf('ban')}::text::jsonb)`;
    await sql`select remove_member('r', 'ann')`;
    await sql`insert into kept_mutes values ('r', 'eve', 'infinity')`;
    await imported(sql, lines);
    const [owner] = await sql<{ user_id: string }[]>`select user_id from members where role = 'owner'`;
    const role = (user: string): string => (user === owner?.user_id ? 'owner' : 'member');
    expect(await peopleOf(sql, 'r')).toEqual([
      ['ann', 'admin'],
      ['cid', role('cid')],
      ['dan', role('dan')],
      ['eve', 'member'],
    ]);
    expect(await sql`select member_count from rooms`).toEqual([{ member_count: 4 }]);
    expect(await sql`select muted_until::text from members where user_id = 'eve'`).toEqual([
      { muted_until: 'infinity' },
    ]);
    expect(await sql`select user_id from kept_mutes`).toEqual([]);
  });

  it('a mute that is kept already is no reason that nobody can leave', async () => {
    const { sql } = here;
    await makeRoom(sql, 'r', 'ann', 'ben');
    await sql`update members set muted_until = 'infinity' where user_id = 'ben'`;
    await sql`insert into kept_mutes values ('r', 'ben', '2100-01-01')`;
    expect(await sql`select outcome from remove_member('r', 'ben')`).toEqual([{ outcome: 'left' }]);
    expect(await sql`select muted_until::text from kept_mutes`).toEqual([{ muted_until: 'infinity' }]);
  });

  it('that was cut off behind the last message has threads, and is indexed again, when another run ends it', async () => {
    await richRoom(there.sql, 'rich');
    const lines = await exported(there.sql);
    const { sql } = here;
    await expect(imported(sql, upTo(lines, 'follow'))).rejects.toThrow('cut off');
    await sql`insert into search_rooms (room_id, language, rev) values ('rich', 'simple', 1000)`;
    expect(await imported(sql, lines)).toEqual({ rooms: 1, messages: 0 });
    expect(await stateOf(sql)).toEqual(await stateOf(there.sql));
    expect(bodyOf(await exported(sql))).toEqual(bodyOf(lines));
    expect(await sql`select room_id from search_rooms`).toEqual([]);
    expect(await sql`select room_id from imports`).toEqual([]);
  });

  it('that was cut off resets cursors all the same, and the next run makes its threads', async () => {
    await richRoom(there.sql, 'rich');
    await there.sql`update rooms set archived_at = null`;
    const { sql } = here;
    await imported(sql, await exported(there.sql));
    const head = async () => {
      const [room] = await sql<{ last_rev: number; purged_rev: number }[]>`select last_rev, purged_rev from rooms`;
      return room ?? { last_rev: 0, purged_rev: 0 };
    };
    const before = await head();
    const { writer } = createWriter(there.sql);
    await writer.send(send('rich', 'ann', 'a new answer', { replyTo: 8 }));
    await writer.stop();
    const lines = await exported(there.sql);
    await expect(imported(sql, upTo(lines, 'follow'))).rejects.toThrow('cut off');
    const cut = await head();
    // behind all of the file, the new message too
    expect(cut).toEqual({ last_rev: before.last_rev + 2, purged_rev: before.last_rev + 2 });
    expect(await imported(sql, lines)).toEqual({ rooms: 1, messages: 0 });
    expect(revs((await stateOf(sql)).threads)).toEqual(revs((await stateOf(there.sql)).threads));
    expect(await head()).toEqual(cut);
    expect(await imported(sql, lines)).toEqual({ rooms: 1, messages: 0 });
    expect(await head()).toEqual(cut);
  });

  it('of half a channel is not listed and takes nobody in', async () => {
    await there.sql`select create_room('open', 'channel', 'an open one', 'ann', null, 100)`;
    const { writer } = createWriter(there.sql);
    await Promise.all([1, 2, 3].map(() => writer.send(send('open', 'ann'))));
    await writer.stop();
    const lines = await exported(there.sql);
    const { sql } = here;
    const fanout = new MemoryFanout(() => {});
    const cache = memoryCache();
    const rooms = new Rooms({
      sql,
      fanout,
      applied: whenApplied(sql),
      cache,
      maxRoomsPerUser: 100,
      maxMembersPerRoom: 100,
    });
    const seen = async () => [
      (await rooms.list('eve', { scope: 'open', limit: 50 })).rooms.map(({ id }) => id),
      (await rooms.search('eve', { query: 'open', limit: 50 })).rooms.map(({ id }) => id),
    ];
    await expect(imported(sql, upTo(lines, 'member'))).rejects.toThrow('cut off');
    expect(await seen()).toEqual([[], []]);
    await expect(rooms.join('eve', 'open')).rejects.toThrow('The room is archived.');
    await imported(sql, lines);
    // the command that imports does the same
    await cache.invalidate(invalidationsOfChanges.imported());
    expect(await seen()).toEqual([['open'], ['open']]);
    await rooms.join('eve', 'open');
    expect(bodyOf(await exported(sql)).slice(0, 1)).toEqual(bodyOf(lines).slice(0, 1));
    expect((await roomChanges(sql, '0')).events).toHaveLength(1);
  });
});

const room = (more: object = {}): string =>
  JSON.stringify({
    type: 'room',
    id: 'r',
    kind: 'group',
    name: null,
    createdBy: 'ann',
    createdAt: 1,
    first: 1,
    seq: 2,
    rev: 2,
    retentionDays: null,
    ...more,
  });

const message = (seq: number, more: object = {}): string =>
  JSON.stringify({
    type: 'message',
    seq,
    rev: seq,
    id: randomUUID(),
    from: 'ann',
    body: { text: 'x' },
    at: seq,
    ...more,
  });

const close = (more: object = {}): string =>
  JSON.stringify({ type: 'room:end', id: 'r', messages: 2, versions: 0, reactions: 0, members: 1, ...more });

async function* endless(): AsyncGenerator<string> {
  for (;;) yield await Promise.resolve('x'.repeat(100_000));
}

describe('an import', () => {
  const head = '{"type":"export","format":1,"at":1,"since":null}';
  const member = '{"type":"member","user":"ann","name":"Ann","role":"owner","read":2,"delivered":0,"joinedAt":1}';
  const end = '{"type":"end","rooms":1,"messages":2}';
  const id = randomUUID();

  it.each<[string, string[], number, string]>([
    ['nothing', [], 1, 'no JSON'],
    ['no JSON', [head, '{'], 2, 'no JSON.'],
    ['an unknown line', [head, '{"type":"x"}'], 2, 'type:'],
    [
      'another format',
      ['{"type":"export","format":4,"at":1,"since":null}'],
      1,
      'format 4; this Parley reads 3 and before.',
    ],
    ['no head', [room()], 1, 'does not begin with an export line'],
    ['a block inside of a room', [head, room(), block('ann', 'ben')], 3, 'a block line inside of room r.'],
    ['a block by oneself', [head, block('ann', 'ann')], 2, 'a block of ann by the same user.'],
    [
      'a missing block',
      [head, block('ann', 'ben'), '{"type":"end","rooms":0,"messages":0,"blocks":2}'],
      3,
      'it counts 2 blocks; there were 1.',
    ],
    ['a message outside of a room', [head, message(1)], 2, 'outside of a room'],
    ['a gap', [head, room(), message(2)], 3, 'message 2 where 1 is next.'],
    ['one that comes twice', [head, room(), message(1), message(1)], 4, 'message 1 where 2 is next.'],
    ['a rev beyond the head', [head, room(), message(1, { rev: 3 })], 3, 'rev 3 in a room whose last is 2.'],
    ['one too many', [head, room(), message(1), message(2), message(3)], 5, 'in a room that ends with 2.'],
    ['a missing one', [head, room(), message(1), close()], 4, 'room r ends before message 2.'],
    ['a wrong count', [head, room(), message(1), message(2), close()], 5, 'it counts 1 members; there were 0.'],
    ['a rev twice', [head, room(), message(1), message(2, { rev: 1 }), member, close()], 6, 'two messages of one rev'],
    ['an id twice', [head, room(), message(1, { id }), message(2, { id }), member, close()], 4, 'is another one'],
    [
      'an id that a message before has',
      [
        head,
        room({ seq: 502, rev: 502 }),
        message(1, { id }),
        ...Array.from({ length: 500 }, (_, n) => message(n + 2)),
        message(502, { id }),
        member,
        close({ messages: 502 }),
      ],
      504,
      'is another one',
    ],
    ['no body', [head, room(), message(1, { body: null })], 3, 'has no body, but was not deleted'],
    ['a body that cannot be stored', [head, room(), message(1, { body: 'a\u0000' })], 3, 'NUL characters'],
    ['an answer to what comes later', [head, room(), message(1, { replyTo: 1 })], 3, 'which comes later'],
    ['a bad user', [head, room(), message(1, { from: 'a b' })], 3, 'from: a user id is'],
    [
      'a reaction before its message',
      [head, room(), '{"type":"reaction","seq":1,"rev":1,"user":"a","emoji":"👍","at":1}'],
      3,
      'not come yet',
    ],
    [
      'reactions that do not add up',
      [head, room(), message(1, { changed: true, reactions: [['👍', 2, 1]] }), message(2), member, close()],
      6,
      'do not add up',
    ],
    [
      'a mention before its message',
      [head, room(), '{"type":"mention","seq":1,"rev":1,"user":"a","at":1}'],
      3,
      'a mention of message 1, which has not come yet.',
    ],
    [
      'a ban before the messages',
      [head, room(), '{"type":"ban","user":"a","by":"b","reason":null,"at":1}'],
      3,
      'bans before message 1',
    ],
    [
      'a thread that begins behind its answer',
      [head, room(), message(1), message(2, { replyTo: 1, thread: 2 })],
      4,
      'is in the thread of 2',
    ],
    ['a pin of nobody', [head, room(), message(1, { pinnedAt: 1 })], 3, 'is pinned by nobody'],
    [
      'a link whose hash is none',
      [
        head,
        room(),
        '{"type":"link","id":"l","hash":"x","role":"member","by":"b","at":1,"expires":null,"maxUses":null,"uses":0}',
      ],
      3,
      'hash: a SHA-256 in hex',
    ],
    ['no end', [head, room(), message(1), message(2), member, close()], 6, 'cut off'],
    [
      'the end of another file',
      [head, room(), message(1), message(2), member, close(), '{"type":"end","rooms":2,"messages":2}'],
      7,
      'it counts 2 rooms',
    ],
    [
      'more behind the end',
      [head, room(), message(1), message(2), member, close(), end, end],
      8,
      'more behind the end',
    ],
  ])('of %s says where it stopped', async (_, lines, line, why) => {
    const fresh = target.sql;
    const error: unknown = await imported(fresh, lines).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ImportError);
    expect((error as ImportError).message).toContain(`Line ${line}: `);
    expect((error as ImportError).message).toContain(why);
    await fresh`delete from messages where room_id = 'r'`;
    await fresh`delete from members where room_id = 'r'`;
    await fresh`delete from rooms where id = 'r'`;
    await fresh`delete from imports where room_id = 'r'`;
  });

  it('says up to where all is stored, and another run does the rest', async () => {
    const { sql } = target;
    const messages = Array.from({ length: 1200 }, (_, n) => message(n + 1));
    const whole = [
      head,
      room({ seq: 1200, rev: 1200 }),
      ...messages,
      member,
      close({ messages: 1200 }),
      '{"type":"end","rooms":1,"messages":1200}',
    ];
    const broken = whole.with(1100, 'oops');
    await expect(imported(sql, broken)).rejects.toThrow(
      /^Line 1101: no JSON\.\nStored: all up to line 1002 \(room r up to message 1000\)/,
    );
    const [half] = await sql`select last_seq, last_rev, member_count from rooms where id = 'r'`;
    expect(half).toEqual({ last_seq: 1000, last_rev: 1000, member_count: 0 });
    expect(await imported(sql, whole)).toEqual({ rooms: 1, messages: 200 });
    await sql`update rooms set member_count = member_count where id = 'r'`;
    const [row] = await sql`select last_seq, last_rev, member_count from rooms where id = 'r'`;
    expect(row).toEqual({ last_seq: 1200, last_rev: 1200, member_count: 1 });
  });

  it('refuses a room that has gone another way, and one that would have a hole', async () => {
    const { sql } = target;
    const lines = [head, room(), message(1), message(2), member, close(), end];
    await expect(imported(sql, lines)).rejects.toThrow(/^Line 3: room r has another message 1 here/);
    const later = [head, room({ first: 1300, seq: 1301, rev: 1301 }), message(1300), message(1301)];
    await expect(imported(sql, later)).rejects.toThrow(
      /^Line 2: room r begins with message 1300; here it ends with 1200/,
    );
    await expect(imported(sql, [head, room({ kind: 'channel' })])).rejects.toThrow(/^Line 2: room r is a group here/);
    await assertDense(sql).catch((error: Error) => expect(error.message).not.toContain('"id":"r"'));
  });

  it('takes lines of so many bytes and no longer ones', async () => {
    const error: unknown = await importLines(target.sql, endless()).catch((thrown: unknown) => thrown);
    expect(String(error)).toContain(`Line 1: longer than ${maxLineBytes} bytes.`);
    const bad = (async function* () {
      yield await Promise.resolve(Uint8Array.of(0xff));
    })();
    await expect(importLines(target.sql, bad)).rejects.toThrow('Line 1: not UTF-8.');
    const split: string[] = [];
    for await (const line of splitLines(chunks(['ä€😀', '', 'b'], 1), 100)) split.push(line);
    expect(split).toEqual(['ä€😀', '', 'b']);
  });
});
