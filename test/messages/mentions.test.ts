import { describe, expect, it } from 'vitest';
import { cast, stage as openStage } from '../stage.ts';
import { connectStock } from '../support/stock-client.ts';
import { tokenOf } from '../support/server.ts';
import { until } from '../support/until.ts';

const stage = await openStage({ people: cast });
const { people, say } = stage;

type Listener = 'ann' | 'ben' | 'guest' | 'owner' | 'admin' | 'stranger';

/** The mentions of a user in a room, the last first: seqs, negative for a mention of everybody. */
async function listed(who: Listener, room: string): Promise<number[]> {
  const { mentions } = await people[who].ok('mentions', { limit: 100 });
  return mentions
    .filter(({ message }) => message.room === room)
    .map(({ message, everybody }) => (everybody ? -message.seq : message.seq));
}

/** The `mention` events of a user in a room, when a message sent after them has come. */
async function received(who: Listener, room: string): Promise<number[]> {
  const seq = await say('owner', room, 'that was all');
  await people[who].event('message', (data) => data.room === room && data.seq === seq);
  const seen = people[who].received('mention').filter((data) => data.room === room);
  return seen.map((data) => (data.everybody ? -data.seq : data.seq));
}

async function lanes(room: string): Promise<unknown> {
  const { sql } = stage;
  const [row] = await sql<{ entries: string }[]>`
    select entries from outbox where entries @> ${`[{"room":"${room}"}]`}::text::jsonb order by id desc limit 1`;
  return (JSON.parse(row?.entries ?? '[]') as { room: string; lanes: unknown }[]).find((entry) => entry.room === room)
    ?.lanes;
}

describe('a mention', () => {
  it('is sent once to each mentioned member, after the message, and listed', async () => {
    const room = await stage.room();
    const seq = await say('ann', room, 'hello @ben and @guest. Not @stranger, nor @ann herself, nor `@admin`');
    expect(await people.ben.event('mention', (data) => data.room === room)).toEqual({
      room,
      seq,
      from: 'ann',
      at: expect.any(Number) as number,
      everybody: false,
    });
    const names = people.ben.events
      .filter(({ data }) => (data as { room?: string }).room === room)
      .map(({ name }) => name);
    expect(names.slice(-2)).toEqual(['message', 'mention']);
    for (const [who, expected] of [
      ['ben', [seq]],
      ['guest', [seq]],
      ['ann', []],
      ['admin', []],
    ] as const) {
      expect(await received(who, room)).toEqual(expected);
      expect(await listed(who, room)).toEqual(expected);
    }
    expect(await listed('stranger', room)).toEqual([]);
    expect(people.stranger.received('mention').filter((data) => data.room === room)).toEqual([]);
    const { mentions } = await people.ben.ok('mentions', { limit: 1 });
    const { messages } = await people.ben.ok('history', { room, after: 0, limit: 1 });
    expect(mentions[0]).toEqual({ at: messages[0]?.at, everybody: false, message: messages[0] });
  });

  it('may stand beside the text, and in an encrypted body', async () => {
    const room = await stage.room();
    const encrypted = { alg: 'MLS_128', kid: 'k1', data: 'AAAA@ben' };
    for (const body of [
      { text: 'hi', mentions: ['ben', 'ann', 'nobody'] },
      { encrypted, mentions: ['ben'] },
      { encrypted },
    ]) {
      await people.ann.ok('message:send', { room, id: crypto.randomUUID(), body });
    }
    expect(await listed('ben', room)).toEqual([2, 1]);
    const { messages } = await people.ben.ok('history', { room });
    expect(messages[2]?.body).toEqual({ encrypted });
    const rows = await stage.sql`
      select seq, is_encrypted(body) as hidden from messages where room_id = ${room} order by seq`;
    expect(rows).toMatchObject([{ hidden: false }, { hidden: true }, { hidden: true }]);
    const [others] = await stage.sql`
      select is_encrypted('"encrypted"') as text, is_encrypted('["encrypted"]') as list, is_encrypted(null) as deleted`;
    expect(others).toEqual({ text: false, list: false, deleted: false });
  });

  it('is of the longest name that is a member', async () => {
    const room = await stage.room('channel');
    const dotted = await connectStock(stage.server.url, await tokenOf('ann.'));
    await dotted.ok('room:join', { room });
    await say('ben', room, 'for @ann.');
    expect(await received('ann', room)).toEqual([]);
    expect(dotted.received('mention')).toHaveLength(1);
    await dotted.ok('room:leave', { room });
    const seq = await say('ben', room, 'for @ann.');
    expect(await received('ann', room)).toEqual([seq]);
    dotted.close();
  });

  it('of everybody is for owners and admins, and goes to the room', async () => {
    const room = await stage.room();
    await say('ann', room, '@room this is not for members');
    const seq = await say('admin', room, '@room lunch, @ben too');
    expect(await received('guest', room)).toEqual([-seq]);
    expect(await listed('guest', room)).toEqual([-seq]);
    // a mentioned user gets one event and has one mention
    expect((await received('ben', room)).toSorted((a, b) => a - b)).toEqual([-seq, seq]);
    expect(await listed('ben', room)).toEqual([seq]);
    expect(await listed('admin', room)).toEqual([]);
    const { room: direct } = await people.ann.ok('room:create', { kind: 'direct', user: 'ben' });
    const both = await say('ann', direct.id, '@room');
    expect(await listed('ben', direct.id)).toEqual([-both]);
  });

  it('of everybody is not for members who join later; a user who leaves has none', async () => {
    const room = await stage.room('channel');
    const seq = await say('owner', room, '@room and @ben');
    await people.stranger.ok('room:join', { room });
    expect(await listed('stranger', room)).toEqual([]);
    const later = await say('owner', room, '@room');
    expect(await listed('stranger', room)).toEqual([-later]);
    expect(await listed('ben', room)).toEqual([-later, seq]);
    await people.ben.ok('room:leave', { room });
    expect(await listed('ben', room)).toEqual([]);
    await people.stranger.ok('room:leave', { room });
  });

  it('comes and goes with edits, and goes with the message', async () => {
    const room = await stage.room();
    const seq = await say('ann', room, '@ben');
    await people.ann.ok('message:edit', { room, seq, body: { text: '@ben and @guest' } });
    expect(await listed('guest', room)).toEqual([seq]);
    expect(await received('guest', room)).toEqual([seq]);
    expect(await received('ben', room)).toEqual([seq]);
    await people.owner.ok('message:edit', { room, seq, body: { text: '@guest, @room, and its sender @ann' } });
    expect(await listed('ann', room)).toEqual([]);
    expect(await listed('ben', room)).toEqual([-seq]);
    expect(await listed('guest', room)).toEqual([seq]);
    await people.ann.ok('message:edit', { room, seq, body: 'nobody' });
    expect(await listed('ben', room)).toEqual([]);
    expect(await listed('guest', room)).toEqual([]);
    await people.ann.ok('message:edit', { room, seq, body: { text: '@ben' } });
    await people.ann.ok('message:delete', { room, seq });
    expect(await listed('ben', room)).toEqual([]);
    const [row] = await stage.sql`select count(*)::int as n from mentions where room_id = ${room}`;
    expect(row).toEqual({ n: 0 });
  });

  it('gives the message the lane high in the outbox, unless its sender named one', async () => {
    const [room, other] = [await stage.room(), await stage.room()];
    await Promise.all([
      say('ann', room, 'plain'),
      say('ann', room, '@ben'),
      say('ann', other, 'plain elsewhere'),
      say('ann', room, '@stranger'),
      say('ann', room, '@ben quietly', { lane: 'low' }),
      say('ann', room, 'quietly', { lane: 'low' }),
    ]);
    expect(await lanes(room)).toEqual({ 2: 'high', 4: 'low', 5: 'low' });
    expect(await lanes(other)).toBe(null);
    await say('ann', room, '@nobody');
    expect(await lanes(room)).toBe(null);
  });

  it('is listed in pages, over all rooms', async () => {
    const rooms = [await stage.room(), await stage.room()];
    const expected: string[] = [];
    for (let n = 0; n < 7; n++) {
      const room = rooms[n % 2] as string;
      const seq = n % 3 === 0 ? await say('owner', room, '@room') : await say('owner', room, '@admin');
      expected.unshift(`${room} ${seq}`);
    }
    const found: string[] = [];
    for (let before: string | undefined; ;) {
      const page = await people.admin.ok('mentions', { limit: 2, ...(before === undefined ? {} : { before }) });
      found.push(...page.mentions.map(({ message }) => `${message.room} ${message.seq}`));
      if (!page.more || page.before === null || found.length >= 8) break;
      ({ before } = page);
    }
    // of one millisecond they stand in the order of room and number
    expect(found.slice(0, 7).toSorted()).toEqual(expected.toSorted());
    for (const before of [
      'x',
      'AAAA',
      ...['1 2 bad room', '253402300800000 2 r'].map((one) => Buffer.from(one).toString('base64url')),
    ]) {
      expect(await people.admin.error('mentions', { before })).toMatchObject({ code: 'invalid' });
    }
  });

  it('of a user with several devices is sent to each', async () => {
    const room = await stage.room();
    const second = await connectStock(stage.server.url, await tokenOf('ben'));
    const seq = await say('ann', room, '@ben');
    await until('both devices get the event', () =>
      [people.ben, second].every((device) =>
        device.received('mention').some((data) => data.room === room && data.seq === seq),
      ),
    );
    second.close();
  });
});
