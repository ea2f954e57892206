/** Strangers of a private room learn nothing by the time of an answer, and do not wait for its members, nor these for them. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openTalkStage, type TalkStage } from '../support/talk.ts';

let stage: TalkStage;
beforeAll(async () => {
  stage = await openTalkStage();
});
afterAll(() => stage.stop());

const asked = (room: string): readonly (readonly [string, object])[] => [
  ['room:join', { room }],
  ['room:leave', { room }],
  ['room:invite', { room, user: 'ann' }],
  ['room:role', { room, user: 'ann', role: 'guest' }],
  ['room:remove', { room, user: 'ann' }],
  ['room:ban', { room, user: 'ann' }],
  ['room:mute', { room, user: 'ann' }],
  ['room:update', { room, name: 'mine' }],
  ['room:archive', { room }],
  ['room:delete', { room }],
  ['invitation:create', { room, user: 'ann' }],
  ['invitation:accept', { room }],
  ['invitation:decline', { room }],
  ['link:create', { room }],
];

it('a command of a stranger does not wait for the room’s row, and is answered as for a room that there is not', async () => {
  const room = await stage.room();
  const { stranger } = stage.people;
  await stage.server.database.sql.begin(async (sql) => {
    await sql`select from rooms where id = ${room} for update`;
    for (const [name, input] of asked(room)) {
      const nowhere = await stranger.error(name, { ...input, room: 'nowhere' });
      const here = await stranger.error(name, input);
      expect([name, here]).toEqual([name, nowhere]);
    }
    // the id is taken: that is said without the row too
    expect(await stranger.error('room:create', { kind: 'group', name: 'x', id: room })).toMatchObject({
      code: 'conflict',
    });
  });
});

it('a member still waits for the row, and is looked at again under it', async () => {
  const room = await stage.room();
  const { ann } = stage.people;
  let inviting: Promise<unknown> = Promise.resolve();
  await stage.server.database.sql.begin(async (sql) => {
    await sql`select from rooms where id = ${room} for update`;
    inviting = stage.people.admin.error('room:invite', { room, user: 'stranger' });
    await new Promise((resolve) => setTimeout(resolve, 200));
    await sql`delete from members where room_id = ${room} and user_id = 'admin'`;
  });
  expect(await inviting).toMatchObject({ code: 'not_found' });
  await ann.ok('room:leave', { room });
});
