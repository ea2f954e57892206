import { describe, expect, it } from 'vitest';
import { limits } from '../../src/protocol/limits.ts';
import { readBackfill } from '../../src/recovery/backfill.ts';
import { cast, stage as openStage } from '../stage.ts';

const stage = await openStage({ people: cast });
const { people, say } = stage;

const pins = async (room: string) => (await people.ben.ok('room:pins', { room })).messages.map(({ seq }) => seq);

describe('a pin', () => {
  it('is a change of the message, published to the room and listed', async () => {
    const room = await stage.room();
    const first = await say('ann', room, 'first');
    const second = await say('ann', room, 'second');
    expect(await people.admin.ok('message:pin', { room, seq: first })).toEqual({ rev: 3 });
    const received = await people.guest.event('pin', (data) => data.room === room);
    expect(received).toEqual({
      room,
      seq: first,
      rev: 3,
      user: 'admin',
      change: 'add',
      at: expect.any(Number) as number,
    });
    const { rooms } = await people.ben.ok('sync', { cursors: { [room]: 2 } });
    expect(rooms[room]).toMatchObject({
      rev: 3,
      messages: [{ seq: first, rev: 3, pinnedAt: received.at, pinnedBy: 'admin' }],
    });
    await people.owner.ok('message:pin', { room, seq: second });
    expect(await people.guest.ok('room:pins', { room })).toMatchObject({
      messages: [
        { seq: second, pinnedBy: 'owner' },
        { seq: first, pinnedBy: 'admin' },
      ],
      rev: 4,
    });
    expect(await people.owner.ok('message:unpin', { room, seq: first })).toEqual({ rev: 5 });
    expect(await people.guest.event('pin', (data) => data.room === room && data.rev === 5)).toMatchObject({
      seq: first,
      change: 'remove',
      user: 'owner',
    });
    expect(await pins(room)).toEqual([second]);
    const { messages } = await people.ben.ok('history', { room });
    expect(messages[0]).not.toHaveProperty('pinnedAt');
  });

  it('is the same when made or removed twice', async () => {
    const room = await stage.room();
    await say('ann', room, 'x');
    expect(await people.owner.ok('message:unpin', { room, seq: 1 })).toEqual({ rev: 1 });
    expect(await people.owner.ok('message:pin', { room, seq: 1 })).toEqual({ rev: 2 });
    expect(await people.admin.ok('message:pin', { room, seq: 1 })).toEqual({ rev: 2 });
    const both = await Promise.all([0, 1].map(() => people.owner.ok('message:unpin', { room, seq: 1 })));
    expect(both).toEqual([{ rev: 3 }, { rev: 3 }]);
  });

  it('is for owners and admins, in direct rooms for both', async () => {
    const room = await stage.room('channel');
    await say('ann', room, 'x');
    for (const name of ['message:pin', 'message:unpin']) {
      expect(await people.ann.error(name, { room, seq: 1 })).toMatchObject({ code: 'forbidden' });
      expect(await people.guest.error(name, { room, seq: 1 })).toMatchObject({ code: 'forbidden' });
      expect(await people.stranger.error(name, { room, seq: 1 })).toMatchObject({ code: 'not_member' });
      expect(await people.owner.error(name, { room, seq: 2 })).toMatchObject({ code: 'not_found' });
      expect(await people.owner.error(name, { room: 'no-such-room', seq: 1 })).toMatchObject({ code: 'not_found' });
    }
    expect(await people.stranger.error('room:pins', { room })).toMatchObject({ code: 'not_member' });
    const { room: direct } = await people.ann.ok('room:create', { kind: 'direct', user: 'ben' });
    const seq = await say('ann', direct.id, 'ours');
    await people.ben.ok('message:pin', { room: direct.id, seq });
    await people.ann.ok('message:unpin', { room: direct.id, seq });
  });

  it('stays through edits and reactions, and goes with the message', async () => {
    const room = await stage.room();
    await say('ann', room, 'x');
    await people.owner.ok('message:pin', { room, seq: 1 });
    await people.ann.ok('message:edit', { room, seq: 1, body: { text: 'y' } });
    const edited = await people.ben.event('message:updated', (data) => data.room === room);
    expect(edited).toMatchObject({ pinnedBy: 'owner', body: { text: 'y' } });
    await people.ben.ok('reaction:add', { room, seq: 1, emoji: '📌' });
    expect((await people.ben.ok('room:pins', { room })).messages).toMatchObject([
      { ...edited, rev: 4, reactions: [{ emoji: '📌', count: 1, mine: true }] },
    ]);
    await people.ann.ok('message:delete', { room, seq: 1 });
    expect(await pins(room)).toEqual([]);
    expect(await people.owner.error('message:pin', { room, seq: 1 })).toMatchObject({ code: 'not_found' });
    const { messages } = await people.ben.ok('history', { room });
    expect(messages[0]).not.toHaveProperty('pinnedAt');
  });

  it('is had by as many messages as the limit says', async () => {
    const room = await stage.room();
    const seqs = await Promise.all(Array.from({ length: limits.pins + 1 }, (_, n) => say('ann', room, String(n))));
    await Promise.all(seqs.slice(1).map((seq) => people.owner.ok('message:pin', { room, seq })));
    const last = { room, seq: seqs[0] ?? 0 };
    expect(await people.owner.error('message:pin', last)).toMatchObject({ code: 'limit_reached' });
    expect(await pins(room)).toHaveLength(limits.pins);
    await people.owner.ok('message:unpin', { room, seq: seqs[1] ?? 0 });
    await people.owner.ok('message:pin', last);
  });

  it('that was lost arrives as `behind` by repair, a thread as its messages', async () => {
    const room = await stage.room();
    await say('ann', room, 'x');
    await say('ben', room, 'y', { replyTo: 1 });
    await people.owner.ok('message:pin', { room, seq: 1 });
    const missed = await readBackfill(stage.sql, room, 0);
    expect(missed?.events.map(({ event, rev, json }) => [event, rev, JSON.parse(json)])).toEqual([
      ['message', 2, expect.objectContaining({ thread: expect.objectContaining({ root: 1, replies: 1 }) as unknown })],
      ['behind', 3, { room, head: 3 }],
    ]);
  });
});
