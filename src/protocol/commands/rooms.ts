/** Rooms and their members. `src/protocol/permissions.ts` has the roles that may give each command. */
import { z } from 'zod';
import { aMember, aRoom, managing, newRole, pageLimit, type Declarations } from '../command-schema.ts';
import { limits } from '../limits.ts';
import {
  ban,
  displayText,
  editWindow,
  invitation,
  member,
  mutedUntil,
  plainText,
  retentionDays,
  role,
  roomId,
  roomName,
  roomSummary,
  roomTopic,
  senders,
  slowMode,
  userId,
} from '../model.ts';

const newRoomId = roomId
  .refine((id) => !id.startsWith('direct:'), 'ids of direct rooms are given by the server')
  .refine((id) => !id.startsWith('user:'), 'backends address users by such names')
  // as a key of `cursors` it would not be one
  .refine((id) => id !== '__proto__', 'this id is not to be had');

export const roomCommands = {
  'room:create': {
    about:
      'Makes a room and you its owner. Creating your own room again under the same id returns it. A direct room is ' +
      'of two users, and either finds or makes it. The other user gets an invitation when you make the room, or ' +
      'make it again, and is a member after they accept. You may write before. Until then you do not see their name ' +
      'or presence. If you left the room, you are back in it. An id that any room has or had is refused, so the ' +
      'answer shows that there is such a room. Give private rooms ids that nobody guesses, or none. Ids that begin ' +
      'with `backend:` are for back ends, whose tokens have the claim `"backend": true`.',
    kind: 'write',
    weight: 5,
    scope: 'rooms',
    http: { method: 'POST', path: '/rooms', status: 201 },
    input: z.discriminatedUnion('kind', [
      z.object({ kind: z.literal('channel'), name: roomName, id: newRoomId.optional() }),
      z.object({ kind: z.literal('group'), name: roomName, id: newRoomId.optional() }),
      z.object({ kind: z.literal('direct'), user: userId.describe('the other user') }),
    ]),
    output: z.object({ room: roomSummary, created: z.boolean() }),
    errors: ['conflict', 'forbidden', 'limit_reached'],
  },
  'room:join': {
    about:
      'Joins a channel, unless you are banned from it or it is archived. A user that joins a channel without ' +
      'members, or with guests alone, becomes its owner. Joining again changes nothing.',
    kind: 'write',
    weight: 2,
    scope: 'members',
    http: { method: 'POST', path: '/rooms/{room}/join' },
    input: z.object({ room: roomId }),
    output: z.object({ room: roomSummary }),
    errors: ['not_found', 'forbidden', 'limit_reached'],
  },
  'room:leave': {
    about:
      'Leaves a room. When the owner leaves, the member of the highest role who joined first becomes owner. A group ' +
      'that its last member leaves is deleted, and so is a channel without messages. Other channels are not listed ' +
      'while nobody is in them. Only an invitation, or you yourself, bring you back.',
    kind: 'write',
    weight: 2,
    scope: 'members',
    http: { method: 'POST', path: '/rooms/{room}/leave' },
    input: z.object({ room: roomId }),
    output: z.object({}),
    errors: ['not_found', 'not_member'],
  },
  'room:invite': {
    about:
      'Invites a user, as `invitation:create` does, or gives a member another role, as `room:role` does. The answer ' +
      'has the `invitation` or the `member`. Two cases add the user without an invitation: a server with ' +
      '`PARLEY_ADDING=direct`, and a back end whose token says `"backend": true`. Then owners and admins may, and ' +
      'the answer has the `member`. A user who left the room, or has blocked you, is always invited.',
    kind: 'write',
    weight: 5,
    scope: 'members',
    http: { method: 'PUT', path: '/rooms/{room}/members/{user}', asOwner: true },
    input: z.object({ room: roomId, user: userId, role: role.exclude(['owner']).default('member') }),
    output: z.object({ member: member.optional(), invitation: invitation.optional() }),
    errors: ['not_found', 'not_member', 'forbidden', 'conflict', 'limit_reached'],
  },
  'room:list': {
    about:
      'Your rooms, or the open channels that are not archived, in id order. Pass `after` on for the next page. ' +
      '`room:search` finds channels by name.',
    kind: 'read',
    weight: 2,
    scope: 'rooms',
    http: { method: 'GET', path: '/rooms', pages: { items: 'rooms', next: [{ from: 'after', to: 'after' }] } },
    answer: 'list',
    input: z.object({
      scope: z.enum(['mine', 'open']).default('mine'),
      after: roomId.optional(),
      limit: pageLimit,
    }),
    output: z.object({ rooms: z.array(roomSummary), after: roomId.nullable(), more: z.boolean() }),
    errors: [],
  },
  'room:members': {
    about: 'The members of a room, in user id order; with `role` the members of that role alone.',
    kind: 'read',
    weight: 2,
    scope: 'members',
    http: {
      method: 'GET',
      path: '/rooms/{room}/members',
      pages: { items: 'members', next: [{ from: 'after', to: 'after' }] },
      asOwner: true,
    },
    answer: 'list',
    input: z.object({ room: roomId, role: role.optional(), after: userId.optional(), limit: pageLimit }),
    output: z.object({ members: z.array(member), after: userId.nullable(), more: z.boolean() }),
    errors: ['not_found', 'not_member'],
  },
  'room:member': {
    about: 'One member of a room, with the role and the read mark.',
    kind: 'read',
    weight: 1,
    scope: 'members',
    http: { method: 'GET', path: '/rooms/{room}/members/{user}', asOwner: true },
    input: aMember,
    output: z.object({ member }),
    errors: ['not_found', 'not_member'],
  },
  'room:get': {
    about: 'A room of yours, or any channel, with its settings and the number of its members.',
    kind: 'read',
    weight: 2,
    scope: 'rooms',
    http: { method: 'GET', path: '/rooms/{room}', asOwner: true },
    input: aRoom,
    output: z.object({ room: roomSummary }),
    errors: ['not_found'],
  },
  'room:search': {
    about:
      `Finds open channels that are not archived. Each word of \`query\` (at most ${limits.searchWords}; more are ` +
      '`invalid`) is the beginning of a word in the name or topic. The channels are in the order of their names; ' +
      'pass `after` on for the next page.',
    kind: 'read',
    weight: 5,
    scope: 'rooms',
    http: { method: 'GET', path: '/search/rooms', pages: { items: 'rooms', next: [{ from: 'after', to: 'after' }] } },
    answer: 'list',
    input: z.object({
      query: plainText(limits.searchLength),
      after: z.string().max(1024).optional(),
      limit: pageLimit,
    }),
    output: z.object({ rooms: z.array(roomSummary), after: z.string().nullable(), more: z.boolean() }),
    errors: [],
  },
  'room:update': {
    about:
      'Sets the given settings and leaves the rest; null takes a setting back. The room gets `room`. ' +
      '`retentionDays` is for the owner.',
    kind: 'write',
    weight: 5,
    scope: 'rooms',
    http: { method: 'PATCH', path: '/rooms/{room}', asOwner: true, ifMatch: 'room:get' },
    input: z
      .object({
        room: roomId,
        name: roomName.optional(),
        topic: roomTopic.nullable().optional(),
        retentionDays: retentionDays.nullable().optional().describe("null: the server's `PARLEY_RETENTION_DAYS`"),
        slowMode: slowMode
          .optional()
          .describe('seconds between two messages, and between two edits, of a member; 0: off'),
        senders: senders.optional(),
        editWindow: editWindow.nullable().optional().describe("seconds; null: the server's; 0: no limit"),
      })
      .refine((input) => Object.keys(input).length > 1, 'nothing to set')
      .meta({ minProperties: 2 }),
    output: z.object({ room: roomSummary }),
    errors: managing,
  },
  'room:archive': {
    about: 'Makes the room read-only: nothing is written, nobody comes in. The room gets `room`.',
    kind: 'write',
    weight: 5,
    scope: 'rooms',
    http: { method: 'PUT', path: '/rooms/{room}/archive', asOwner: true },
    input: aRoom,
    output: z.object({ room: roomSummary }),
    errors: managing,
  },
  'room:unarchive': {
    about: 'Ends the archiving, so that members may write again. The room gets `room`.',
    kind: 'write',
    weight: 5,
    scope: 'rooms',
    http: { method: 'DELETE', path: '/rooms/{room}/archive', asOwner: true },
    input: aRoom,
    output: z.object({ room: roomSummary }),
    errors: managing,
  },
  'room:delete': {
    about:
      'Deletes the room with all that is in it, for everybody and at once. Nobody can take its id for ' +
      `${limits.deletedRoomDays} days. The room gets \`room\`.`,
    kind: 'write',
    weight: 10,
    scope: 'rooms',
    http: { method: 'DELETE', path: '/rooms/{room}', asOwner: true },
    input: aRoom,
    output: z.object({}),
    errors: managing,
  },
  'room:role': {
    about: 'Gives a member below you another role below yours. The room gets `member`.',
    kind: 'write',
    weight: 2,
    scope: 'members',
    http: { method: 'PATCH', path: '/rooms/{room}/members/{user}', asOwner: true, ifMatch: 'room:member' },
    input: aMember.extend({ role: newRole }),
    output: z.object({ member }),
    errors: managing,
  },
  'room:transfer': {
    about: 'Makes another member the owner; you are an admin then. The room gets `member` for both.',
    kind: 'write',
    weight: 2,
    scope: 'rooms',
    http: { method: 'PUT', path: '/rooms/{room}/owner', asOwner: true },
    input: aMember,
    output: z.object({ member }),
    errors: managing,
  },
  'room:remove': {
    about: 'Removes a member below you, at once on every node. They may come back if the room is open to them.',
    kind: 'write',
    weight: 2,
    scope: 'members',
    http: { method: 'DELETE', path: '/rooms/{room}/members/{user}', asOwner: true },
    input: aMember,
    output: z.object({}),
    errors: managing,
  },
  'room:mute': {
    about:
      'A member below you sends, edits, reacts, signals, pins and invites nothing for so many seconds, without `seconds` until ' +
      '`room:unmute`. The room gets `member`.',
    kind: 'write',
    weight: 2,
    scope: 'members',
    http: { method: 'PUT', path: '/rooms/{room}/mutes/{user}', asOwner: true },
    input: aMember.extend({ seconds: z.int().min(1).max(limits.muteSeconds).optional() }),
    output: z.object({ until: mutedUntil }),
    errors: managing,
  },
  'room:unmute': {
    about: 'Lifts a mute. The room gets `member`.',
    kind: 'write',
    weight: 2,
    scope: 'members',
    http: { method: 'DELETE', path: '/rooms/{room}/mutes/{user}', asOwner: true },
    input: aMember,
    output: z.object({}),
    errors: managing,
  },
  'room:ban': {
    about:
      'Bans a user, member or not: they are removed at once, on every node, and can neither join nor be invited. Their ' +
      `messages stay. At most ${limits.roomBans.toLocaleString('en')} a room.`,
    kind: 'write',
    weight: 2,
    scope: 'members',
    http: { method: 'PUT', path: '/rooms/{room}/bans/{user}', asOwner: true },
    input: aMember.extend({ reason: displayText(limits.banReasonLength).optional() }),
    output: z.object({}),
    errors: [...managing, 'limit_reached'],
  },
  'room:unban': {
    about: 'Lifts a ban; if there is none, nothing changes.',
    kind: 'write',
    weight: 2,
    scope: 'members',
    http: { method: 'DELETE', path: '/rooms/{room}/bans/{user}', asOwner: true },
    input: aMember,
    output: z.object({}),
    errors: managing,
  },
  'room:bans': {
    about: 'The users who are banned from the room, in user id order.',
    kind: 'read',
    weight: 2,
    scope: 'members',
    http: {
      method: 'GET',
      path: '/rooms/{room}/bans',
      pages: { items: 'bans', next: [{ from: 'after', to: 'after' }] },
      asOwner: true,
    },
    answer: 'list',
    input: z.object({ room: roomId, after: userId.optional(), limit: pageLimit }),
    output: z.object({ bans: z.array(ban), after: userId.nullable(), more: z.boolean() }),
    errors: managing,
  },
} as const satisfies Declarations;
