import { describe, expect, it } from 'vitest';
import { limits } from '../../src/protocol/limits.ts';
import { stage } from '../stage.ts';
import { text } from '../support/stock-client.ts';

const { server, people, connect } = await stage({ people: ['ann', 'ben'] });
const { ann, ben } = people;
const phone = await connect('ann');

async function roomOfFive(id: string, sender = ann): Promise<void> {
  await ann.ok('room:create', { kind: 'group', name: id, id });
  await ann.ok('room:invite', { room: id, user: 'ben' });
  for (let n = 1; n <= 5; n++) await sender.ok('message:send', text(id, n));
}

describe('read marks', () => {
  it('move forward, never back, and not past the last message', async () => {
    await roomOfFive('marks');
    expect(await ben.ok('read', { room: 'marks', seq: 3 })).toEqual({ seq: 3 });
    expect(await ben.ok('read', { room: 'marks', seq: 2 })).toEqual({ seq: 3 });
    expect(await ben.ok('read', { room: 'marks', seq: 99 })).toEqual({ seq: 5 });
    const { rooms } = await ben.ok('room:list', {});
    expect(rooms.find(({ id }) => id === 'marks')).toMatchObject({ seq: 5, read: 5 });
    const { members } = await ann.ok('room:members', { room: 'marks' });
    expect(members.map(({ user, read }) => [user, read])).toEqual([
      ['ann', 0],
      ['ben', 5],
    ]);
  });

  it('are published to the room and to the own devices when they move', async () => {
    // not by ann: her own messages move her mark too, after a while
    await roomOfFive('received', ben);
    await ann.ok('read', { room: 'received', seq: 4 });
    await ann.ok('read', { room: 'received', seq: 4 });
    await ann.ok('read', { room: 'received', seq: 5 });
    for (const client of [phone, ben]) {
      await client.event('read', ({ room, seq }) => room === 'received' && seq === 5);
      expect(client.received('read').filter(({ room }) => room === 'received')).toEqual(
        [4, 5].map((seq) => ({ room: 'received', user: 'ann', seq })),
      );
    }
  });

  it('of one user that come at once all get the answer of the furthest before them', async () => {
    await roomOfFive('burst');
    const acks = await Promise.all([1, 5, 2, 4].map((seq) => ben.ok('read', { room: 'burst', seq })));
    expect(acks.at(-1)).toEqual({ seq: 5 });
    expect(acks.slice(1).every(({ seq }) => seq === 5)).toBe(true);
  });

  it(`are sent only to the own devices in rooms of more than ${limits.readReceiptMembers} members`, async () => {
    await roomOfFive('crowd');
    await server.database.sql`insert into users (id) select 'u' || n from generate_series(1, 99) n`;
    await server.database.sql`
      insert into members (room_id, user_id, role) select 'crowd', 'u' || n, 'member' from generate_series(1, 99) n`;
    await server.database.sql`update rooms set member_count = 101 where id = 'crowd'`;
    await ann.ok('read', { room: 'crowd', seq: 5 });
    await phone.event('read', ({ room }) => room === 'crowd');
    await ann.ok('message:send', text('crowd', 'fence'));
    await ben.event('message', ({ room, seq }) => room === 'crowd' && seq === 6);
    expect(ben.received('read').filter(({ room }) => room === 'crowd')).toEqual([]);
  });

  it('need membership', async () => {
    await ann.ok('room:create', { kind: 'group', name: 'Closed', id: 'closed' });
    expect(await ben.error('read', { room: 'closed', seq: 1 })).toMatchObject({ code: 'not_found' });
    expect(await ben.error('read', { room: 'closed', seq: 0 })).toMatchObject({ code: 'invalid' });
  });
});
