import { describe, expect, it } from 'vitest';
import { limits } from '../../src/protocol/limits.ts';
import type { Message } from '../../src/protocol/model.ts';
import { stage } from '../stage.ts';
import { tokenOf } from '../support/server.ts';
import { connectRaw } from '../support/raw-client.ts';
import { text, type StockClient } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

const {
  server,
  people: clients,
  room: newRoom,
} = await stage({
  people: ['owner', 'admin', 'author', 'member', 'guest', 'stranger'],
});

/** A room of the people with one message of the author. */
async function roomWithMessage(body: unknown = 'first', kind: 'group' | 'channel' = 'group'): Promise<string> {
  const room = await newRoom(kind);
  await clients.author.ok('message:send', text(room, body));
  return room;
}

async function stored(room: string, seq = 1, who: StockClient = clients.member): Promise<Message | undefined> {
  const { messages } = await who.ok('history', { room });
  return messages.find((message) => message.seq === seq);
}

describe('message:edit', () => {
  it('replaces the body, takes the next rev and publishes the whole message', async () => {
    const room = await roomWithMessage({ text: 'frist' });
    const before = await stored(room);
    const answer = await clients.author.ok('message:edit', { room, seq: 1, body: { text: 'first' } });
    expect(answer).toEqual({ seq: 1, rev: 2, at: expect.any(Number) as number });
    const collected = await clients.member.event('message:updated', (data) => data.room === room);
    expect(collected).toEqual({ ...before, rev: 2, body: { text: 'first' }, editedAt: answer.at });
    expect(await stored(room)).toEqual(collected);
    const { rooms: synced } = await clients.member.ok('sync', { cursors: { [room]: 1 } });
    expect(synced[room]).toEqual({ messages: [collected], rev: 2, more: false });
  });

  it('is for the author, owners and admins', async () => {
    const room = await roomWithMessage();
    expect(await clients.member.error('message:edit', { room, seq: 1, body: 'x' })).toMatchObject({
      code: 'forbidden',
    });
    expect(await clients.guest.error('message:edit', { room, seq: 1, body: 'x' })).toMatchObject({ code: 'forbidden' });
    expect(await clients.stranger.error('message:edit', { room, seq: 1, body: 'x' })).toMatchObject({
      code: 'not_found',
    });
    expect(await clients.admin.ok('message:edit', { room, seq: 1, body: 'a' })).toMatchObject({ rev: 2 });
    expect(await clients.owner.ok('message:edit', { room, seq: 1, body: 'o' })).toMatchObject({ rev: 3 });
    expect(await clients.author.error('message:edit', { room, seq: 2, body: 'x' })).toMatchObject({
      code: 'not_found',
    });
    expect(await clients.author.error('message:edit', { room: 'none', seq: 1, body: 'x' })).toMatchObject({
      code: 'not_found',
    });
    const open = await roomWithMessage('x', 'channel');
    expect(await clients.stranger.error('message:edit', { room: open, seq: 1, body: 'x' })).toMatchObject({
      code: 'not_member',
    });
  });

  it('is refused to an author who left, or became a guest', async () => {
    const room = await roomWithMessage();
    await clients.owner.ok('room:invite', { room, user: 'author', role: 'guest' });
    expect(await clients.author.error('message:edit', { room, seq: 1, body: 'x' })).toMatchObject({
      code: 'forbidden',
    });
    await clients.author.ok('room:leave', { room });
    expect(await clients.author.error('message:edit', { room, seq: 1, body: 'x' })).toMatchObject({
      code: 'not_found',
    });
  });

  it('changes nothing when the body is that already', async () => {
    const room = await roomWithMessage();
    const first = await clients.author.ok('message:edit', { room, seq: 1, body: { a: 1, b: [2] } });
    expect(await clients.author.ok('message:edit', { room, seq: 1, body: { b: [2], a: 1 } })).toEqual(first);
    const { versions } = await clients.owner.ok('message:versions', { room, seq: 1 });
    expect(versions).toHaveLength(1);
  });

  it('takes bodies as message:send does, and no others', async () => {
    const room = await roomWithMessage();
    const edit = (body: unknown) => clients.author.error('message:edit', { room, seq: 1, body });
    expect(await edit(null)).toMatchObject({ code: 'invalid' });
    expect(await edit(undefined)).toMatchObject({ code: 'invalid' });
    expect(await edit('a\u0000b')).toMatchObject({ code: 'invalid' });
    expect(await edit('x'.repeat(limits.bodyBytes - 1))).toMatchObject({ code: 'too_large' });
    const largest = 'x'.repeat(limits.bodyBytes - 2);
    expect(await clients.author.ok('message:edit', { room, seq: 1, body: largest })).toMatchObject({ rev: 2 });
    expect((await stored(room))?.body).toBe(largest);
  });

  it('is over for authors after the window, not for owners, and a lost ack may still be requested', async () => {
    const small = await stage({ people: ['owner', 'author'], room: 'w', config: { PARLEY_EDIT_WINDOW_MS: '300000' } });
    const { owner, author } = small.people;
    await author.ok('message:send', text('w', 'x'));
    const edited = await author.ok('message:edit', { room: 'w', seq: 1, body: 'in time' });
    await small.sql`update messages set created_at = created_at - interval '301 seconds'`;
    expect(await author.error('message:edit', { room: 'w', seq: 1, body: 'late' })).toMatchObject({
      code: 'forbidden',
      message: 'The time in which the message may be edited is over.',
    });
    expect(await author.ok('message:edit', { room: 'w', seq: 1, body: 'in time' })).toEqual(edited);
    expect(await owner.ok('message:edit', { room: 'w', seq: 1, body: 'o' })).toMatchObject({ rev: 3 });
    expect(await author.ok('message:delete', { room: 'w', seq: 1 })).toMatchObject({ rev: 4 });
  });
});

describe('message:versions', () => {
  it('gives owners and admins what was said before, newest first, in pages', async () => {
    const room = await roomWithMessage(0);
    for (let n = 1; n <= 4; n++)
      await clients[n === 3 ? 'admin' : 'author'].ok('message:edit', { room, seq: 1, body: n });
    const first = await clients.admin.ok('message:versions', { room, seq: 1, limit: 3 });
    expect(first.versions.map(({ version, body, by }) => [version, body, by])).toEqual([
      [4, 3, 'author'],
      [3, 2, 'admin'],
      [2, 1, 'author'],
    ]);
    expect(first).toMatchObject({ before: 2, more: true });
    const rest = await clients.owner.ok('message:versions', { room, seq: 1, before: 2 });
    expect(rest).toMatchObject({ versions: [{ version: 1, body: 0, by: 'author' }], before: 1, more: false });
    expect(await clients.author.error('message:versions', { room, seq: 1 })).toMatchObject({ code: 'forbidden' });
    expect(await clients.stranger.error('message:versions', { room, seq: 1 })).toMatchObject({ code: 'not_found' });
    expect(await clients.owner.error('message:versions', { room, seq: 2 })).toMatchObject({ code: 'not_found' });
  });

  it('keeps the first and the newest, as many as the limit says', async () => {
    const room = await roomWithMessage(0);
    const edits = limits.messageVersions + 1;
    for (let n = 1; n <= edits; n++) await clients.author.ok('message:edit', { room, seq: 1, body: n });
    const { versions, more } = await clients.owner.ok('message:versions', { room, seq: 1, limit: 100 });
    expect(more).toBe(false);
    expect(versions).toHaveLength(limits.messageVersions);
    expect(versions.at(0)).toMatchObject({ version: edits, body: edits - 1 });
    expect(versions.slice(-2)).toMatchObject([
      { version: 3, body: 2 },
      { version: 1, body: 0 },
    ]);
  });
});

describe('message:delete', () => {
  it('leaves the place of the message, and nothing of what it said', async () => {
    const room = await roomWithMessage('secret 1');
    const before = await stored(room);
    await clients.author.ok('message:edit', { room, seq: 1, body: 'secret 2' });
    await clients.member.ok('reaction:add', { room, seq: 1, emoji: '👍' });
    expect(await clients.author.ok('message:delete', { room, seq: 1 })).toEqual({ seq: 1, rev: 4 });
    const collected = await clients.member.event('message:deleted', (data) => data.room === room);
    expect(collected).toEqual({
      room,
      seq: 1,
      rev: 4,
      id: before?.id,
      by: 'author',
      at: expect.any(Number) as number,
    });
    const after = await stored(room);
    const { editedAt, ...rest } = after ?? {};
    expect(editedAt).toBeGreaterThan(0);
    expect(rest).toEqual({ ...before, rev: 4, body: null, deletedAt: collected.at });
    const { versions } = await clients.owner.ok('message:versions', { room, seq: 1 });
    expect(versions.map(({ version, body, by }) => [version, body, by])).toEqual([
      [2, null, 'author'],
      [1, null, 'author'],
    ]);
    const [left] = await server.database.sql`
      select (select count(*) from reactions where room_id = ${room})
        + (select count(*) from reaction_counts where room_id = ${room}) as rows,
        (select count(*) from message_versions where room_id = ${room} and body is not null) as bodies`;
    expect(left).toEqual({ rows: 0, bodies: 0 });
  });

  it('is for the author, owners and admins, and done once', async () => {
    const room = await roomWithMessage();
    for (const who of [clients.member, clients.guest]) {
      expect(await who.error('message:delete', { room, seq: 1 })).toMatchObject({ code: 'forbidden' });
    }
    expect(await clients.stranger.error('message:delete', { room, seq: 1 })).toMatchObject({ code: 'not_found' });
    const done = await clients.admin.ok('message:delete', { room, seq: 1 });
    expect(await clients.author.ok('message:delete', { room, seq: 1 })).toEqual(done);
    expect(await clients.author.error('message:delete', { room, seq: 9 })).toMatchObject({ code: 'not_found' });
  });

  it('is the last change of a message', async () => {
    const room = await roomWithMessage();
    await clients.author.ok('message:delete', { room, seq: 1 });
    expect(await clients.author.error('message:edit', { room, seq: 1, body: 'again' })).toMatchObject({
      code: 'not_found',
    });
    for (const name of ['reaction:add', 'reaction:remove']) {
      expect(await clients.member.error(name, { room, seq: 1, emoji: '👍' })).toMatchObject({ code: 'not_found' });
    }
  });

  it('leaves a message that is sent once more deleted, and publishes no body', async () => {
    const room = await roomWithMessage();
    const again = text(room, 'to be deleted');
    await clients.author.ok('message:send', again);
    await clients.author.ok('message:delete', { room, seq: 2 });
    expect(await clients.author.ok('message:send', again)).toMatchObject({ seq: 2, rev: 3 });
    await clients.author.ok('message:send', text(room, 'later'));
    await clients.member.event('message', (data) => data.room === room && data.seq === 3);
    const collected = clients.member.received('message').filter((data) => data.room === room && data.seq === 2);
    expect(collected.map(({ rev }) => rev)).toEqual([2]);
    expect((await stored(room, 2))?.body).toBe(null);
  });
});

describe('reactions', () => {
  it('are counted for all and marked for oneself', async () => {
    const room = await roomWithMessage();
    expect(await clients.member.ok('reaction:add', { room, seq: 1, emoji: '👍' })).toEqual({ rev: 2, count: 1 });
    expect(await clients.author.ok('reaction:add', { room, seq: 1, emoji: '🎉' })).toEqual({ rev: 3, count: 1 });
    expect(await clients.author.ok('reaction:add', { room, seq: 1, emoji: '👍' })).toEqual({ rev: 4, count: 2 });
    await until('the owner has received them', () => clients.owner.received('reaction').at(-1)?.rev === 4);
    expect(clients.owner.received('reaction').filter((data) => data.room === room)).toEqual([
      { room, seq: 1, rev: 2, user: 'member', emoji: '👍', change: 'add', count: 1 },
      { room, seq: 1, rev: 3, user: 'author', emoji: '🎉', change: 'add', count: 1 },
      { room, seq: 1, rev: 4, user: 'author', emoji: '👍', change: 'add', count: 2 },
    ]);
    expect((await stored(room))?.reactions).toEqual([
      { emoji: '👍', count: 2, mine: true },
      { emoji: '🎉', count: 1, mine: false },
    ]);
    const { rooms: synced } = await clients.guest.ok('sync', { cursors: { [room]: 3 } });
    expect(synced[room]?.messages[0]?.reactions).toEqual([
      { emoji: '👍', count: 2, mine: false },
      { emoji: '🎉', count: 1, mine: false },
    ]);
    await clients.author.ok('message:edit', { room, seq: 1, body: 'edited' });
    const updated = await clients.owner.event('message:updated', (data) => data.room === room);
    expect(updated.reactions).toEqual([
      { emoji: '👍', count: 2 },
      { emoji: '🎉', count: 1 },
    ]);
  });

  it('are the same when added or taken back twice', async () => {
    const room = await roomWithMessage();
    const target = { room, seq: 1, emoji: '👍' };
    expect(await clients.member.ok('reaction:remove', target)).toEqual({ rev: 1, count: 0 });
    expect(await clients.member.ok('reaction:add', target)).toEqual({ rev: 2, count: 1 });
    expect(await clients.member.ok('reaction:add', target)).toEqual({ rev: 2, count: 1 });
    expect(await clients.member.ok('reaction:remove', target)).toEqual({ rev: 3, count: 0 });
    expect(await clients.member.ok('reaction:remove', target)).toEqual({ rev: 3, count: 0 });
    expect(await stored(room)).not.toHaveProperty('reactions');
  });

  it('are for users who may write', async () => {
    const room = await roomWithMessage();
    const target = { room, seq: 1, emoji: '👍' };
    expect(await clients.guest.error('reaction:add', target)).toMatchObject({ code: 'forbidden' });
    expect(await clients.stranger.error('reaction:add', target)).toMatchObject({ code: 'not_found' });
    expect(await clients.member.error('reaction:add', { ...target, seq: 2 })).toMatchObject({ code: 'not_found' });
  });

  it('come in as many kinds as the limit says, and more of the same kinds', async () => {
    const room = await roomWithMessage();
    const kinds = Array.from({ length: limits.reactionKinds + 1 }, (_, n) => String.fromCodePoint(0x1f600 + n));
    for (const emoji of kinds.slice(0, -1)) await clients.member.ok('reaction:add', { room, seq: 1, emoji });
    const last = { room, seq: 1, emoji: kinds.at(-1) ?? '' };
    expect(await clients.member.error('reaction:add', last)).toMatchObject({ code: 'limit_reached' });
    expect(await clients.author.ok('reaction:add', { ...last, emoji: kinds[0] ?? '' })).toMatchObject({ count: 2 });
    await clients.member.ok('reaction:remove', { ...last, emoji: kinds[1] ?? '' });
    expect(await clients.member.ok('reaction:add', last)).toMatchObject({ count: 1 });
    const found = (await stored(room))?.reactions ?? [];
    expect(found.map(({ emoji }) => emoji)).toEqual([kinds[0], ...kinds.slice(2)]);
  });

  it('are one emoji each', async () => {
    const room = await roomWithMessage();
    const good = ['👍🏽', '👨‍👩‍👧‍👦', '🇨🇭', '1️⃣', '#️⃣', '❤️', '🏴󠁧󠁢󠁥󠁮󠁧󠁿', '👩‍❤️‍💋‍👨', '🫱🏻‍🫲🏿', '\u{1fae9}', '☺️'];
    for (const emoji of good) await clients.member.ok('reaction:add', { room, seq: 1, emoji });
    // the same emoji, written without the selector that makes it one
    expect(await clients.author.ok('reaction:add', { room, seq: 1, emoji: '❤' })).toMatchObject({ count: 2 });
    expect((await stored(room))?.reactions?.map(({ emoji }) => emoji)).toEqual(good);
    for (const emoji of [
      'a',
      '',
      ' ',
      '1',
      '👍👍',
      '👍a',
      '🇨',
      '🇽🇽',
      '\u200d',
      '👍\u0301',
      '\ud83d',
      '👍'.repeat(9999),
      7,
      null,
    ]) {
      expect(await clients.member.error('reaction:add', { room, seq: 1, emoji })).toMatchObject({ code: 'invalid' });
    }
  });
});

describe('changes and sends at the same time', () => {
  it('take every rev once, and are published in their order', async () => {
    const room = await roomWithMessage();
    for (let n = 0; n < 9; n++) await clients.author.ok('message:send', text(room, n));
    const work: Promise<{ rev: number }>[] = [];
    for (let n = 0; n < 60; n++) {
      const seq = 1 + (n % 10);
      work.push(clients.author.ok('message:send', text(room, `sent ${n}`)));
      work.push(clients.author.ok('message:edit', { room, seq, body: `edited ${n}` }));
      work.push(clients.member.ok('reaction:add', { room, seq, emoji: String.fromCodePoint(0x1f600 + (n % 20)) }));
      if (n % 10 === 9)
        work.push(clients.owner.ok('message:delete', { room, seq: 11 + n / 10 }).catch(() => ({ rev: 0 })));
    }
    const answers = await Promise.all(work);
    const head = (await clients.owner.ok('history', { room, limit: 1 })).rev;
    expect(Math.max(...answers.map(({ rev }) => rev))).toBe(head);
    const ordered = ['message', 'message:updated', 'message:deleted', 'reaction'];
    const revs = await until('all events have arrived', () => {
      const collected = clients.owner.events.filter(({ name }) => ordered.includes(name));
      const found = collected
        .map(({ data }) => data as { room: string; rev: number })
        .filter((data) => data.room === room);
      return found.at(-1)?.rev === head ? found.map(({ rev }) => rev) : undefined;
    });
    expect(revs).toEqual(Array.from({ length: head }, (_, n) => n + 1));
  });

  it('leave none of their outbox rows unpublished when the next commit is made', async () => {
    const room = await roomWithMessage();
    await clients.author.ok('message:edit', { room, seq: 1, body: 'x' });
    const rows = () => server.database.sql<{ entries: string }[]>`
      select entries from outbox where not fanned_out and entries @> ${`[{"room":"${room}"}]`}::text::jsonb`;
    expect((await rows()).map(({ entries }) => JSON.parse(entries) as unknown)).toEqual([
      [{ room, from: 2, to: 2, lanes: null }],
    ]);
    await clients.author.ok('reaction:add', { room, seq: 1, emoji: '👍' });
    await clients.author.ok('reaction:remove', { room, seq: 1, emoji: '👍' });
    expect((await rows()).map(({ entries }) => JSON.parse(entries) as unknown)).toEqual([
      [{ room, from: 4, to: 4, lanes: null }],
    ]);
  });
});

it('the frames are these', async () => {
  const room = await roomWithMessage('hi');
  const client = await connectRaw(server.url, await tokenOf('author'));
  client.send(`427919["message:edit",{"room":"${room}","seq":1,"body":"hello"}]`);
  expect(await client.next('437919[')).toMatch(/^437919\[\{"ok":true,"seq":1,"rev":2,"at":\d{13}\}\]$/);
  const head = `{"room":"${room}","seq":1,"rev":`;
  expect(await client.next('42["message:updated",')).toMatch(
    new RegExp(
      `^42\\["message:updated",\\${head}2,"id":"[0-9a-f-]{36}","from":"author","name":"AUTHOR","body":"hello","at":\\d{13},"editedAt":\\d{13}\\}\\]$`,
    ),
  );
  client.send(`420["reaction:add",{"room":"${room}","seq":1,"emoji":"👍"}]`);
  expect(await client.next('430[')).toBe('430[{"ok":true,"rev":3,"count":1}]');
  expect(await client.next('42["reaction",')).toBe(
    `42["reaction",${head}3,"user":"author","emoji":"👍","change":"add","count":1}]`,
  );
  client.send(`421["message:delete",{"room":"${room}","seq":1}]`);
  expect(await client.next('431[')).toBe('431[{"ok":true,"seq":1,"rev":4}]');
  expect(await client.next('42["message:deleted",')).toMatch(
    new RegExp(`^42\\["message:deleted",\\${head}4,"id":"[0-9a-f-]{36}","by":"author","at":\\d{13}\\}\\]$`),
  );
  await client.close();
});
