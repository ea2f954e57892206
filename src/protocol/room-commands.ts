/** The commands that manage rooms. Who may give them stands in `src/messaging/roles.ts`. */
import { z } from 'zod';
import { pageLimit, type CommandSchema } from './command-schema.ts';
import { limits } from './limits.ts';
import {
  ban,
  displayText,
  editWindow,
  invitation,
  joinLink,
  linkId,
  member,
  mutedUntil,
  retentionDays,
  role,
  roomId,
  plainText,
  roomName,
  roomSummary,
  roomTopic,
  senders,
  slowMode,
  userId,
} from './model.ts';

const aRoom = z.object({ room: roomId });
const aMember = z.object({ room: roomId, user: userId });
const newRole = role.exclude(['owner']);
const managing = ['not_found', 'not_member', 'forbidden'] as const;

export const roomCommands = {
  'room:get': {
    about: 'A room of yours, or any channel, with its settings and the number of its members.',
    input: aRoom,
    output: z.object({ room: roomSummary }),
    errors: ['not_found'],
  },
  'room:search': {
    about:
      'Open channels that are not archived, whose name or topic has words that begin with each of the words of `query` ' +
      `(at most ${limits.searchWords}; more are \`invalid\`). In the order of their names; pass \`after\` on for the next page.`,
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
      'Sets what is given and leaves the rest; null takes a setting back. The room gets `room`. `retentionDays` is for ' +
      'the owner.',
    input: z
      .object({
        room: roomId,
        name: roomName.optional(),
        topic: roomTopic.nullable().optional(),
        retentionDays: retentionDays.nullable().optional().describe('null: messages are kept for ever'),
        slowMode: slowMode
          .optional()
          .describe('seconds between two messages, and between two edits, of a member; 0: off'),
        senders: senders.optional(),
        editWindow: editWindow.nullable().optional().describe("seconds; null: the server's; 0: no limit"),
      })
      .refine((input) => Object.keys(input).length > 1, 'nothing to set'),
    output: z.object({ room: roomSummary }),
    errors: managing,
  },
  'room:archive': {
    about: 'Makes the room read-only: nothing is written, nobody comes in. The room gets `room`.',
    input: aRoom,
    output: z.object({ room: roomSummary }),
    errors: managing,
  },
  'room:unarchive': {
    about: 'Ends that. The room gets `room`.',
    input: aRoom,
    output: z.object({ room: roomSummary }),
    errors: managing,
  },
  'room:delete': {
    about:
      'Deletes the room with all that is in it, for everybody and at once. Nobody can take its id for ' +
      `${limits.deletedRoomDays} days. The room gets \`room\`.`,
    input: aRoom,
    output: z.object({}),
    errors: managing,
  },
  'room:role': {
    about: 'Gives a member below you another role below yours. The room gets `member`.',
    input: aMember.extend({ role: newRole }),
    output: z.object({ member }),
    errors: managing,
  },
  'room:transfer': {
    about: 'Makes another member the owner; you are an admin then. The room gets `member` for both.',
    input: aMember,
    output: z.object({ member }),
    errors: managing,
  },
  'room:remove': {
    about: 'Removes a member below you, at once on every node. They may come back if the room is open to them.',
    input: aMember,
    output: z.object({}),
    errors: managing,
  },
  'room:mute': {
    about:
      'A member below you sends, edits, reacts, signals, pins and invites nothing for so many seconds, without `seconds` until ' +
      '`room:unmute`. The room gets `member`.',
    input: aMember.extend({ seconds: z.int().min(1).max(limits.muteSeconds).optional() }),
    output: z.object({ until: mutedUntil }),
    errors: managing,
  },
  'room:unmute': {
    about: 'Lifts a mute. The room gets `member`.',
    input: aMember,
    output: z.object({}),
    errors: managing,
  },
  'room:ban': {
    about:
      'Bans a user, member or not: they are removed at once, on every node, and can neither join nor be invited. Their ' +
      `messages stay. At most ${limits.roomBans.toLocaleString('en')} a room.`,
    input: aMember.extend({ reason: displayText(limits.banReasonLength).optional() }),
    output: z.object({}),
    errors: [...managing, 'limit_reached'],
  },
  'room:unban': {
    about: 'Lifts a ban; if there is none, nothing changes.',
    input: aMember,
    output: z.object({}),
    errors: managing,
  },
  'room:bans': {
    about: 'Who is banned from the room, in user id order.',
    input: z.object({ room: roomId, after: userId.optional(), limit: pageLimit }),
    output: z.object({ bans: z.array(ban), after: userId.nullable(), more: z.boolean() }),
    errors: managing,
  },
  'invitation:create': {
    about:
      `Invites a user, who may accept within ${limits.invitationDays} days. Inviting again renews it; one by ` +
      `somebody else members renew as it is. They get \`invitation\`, once a day at most. After they declined, nobody may ` +
      `invite them to the room for ${limits.invitationRestDays} days. At most ${limits.roomInvitations.toLocaleString('en')} wait in a room, ${limits.userInvitations} for a user.`,
    input: aMember.extend({ role: newRole.default('member') }),
    output: z.object({ invitation }),
    errors: [...managing, 'conflict', 'limit_reached'],
  },
  'invitation:list': {
    about:
      'Invitations that wait for your answer, in the order of room ids; with `room` those to that room, for who may ' +
      'invite there, in the order of user ids. Pass `after` on for the next page.',
    input: z.object({ room: roomId.optional(), after: userId.optional(), limit: pageLimit }),
    output: z.object({
      invitations: z.array(invitation),
      after: z.string().nullable().describe('a room id, or with `room` a user id'),
      more: z.boolean(),
    }),
    errors: managing,
  },
  'invitation:accept': {
    about: 'Joins the room that you are invited to. The inviter gets `invitation`, the room `member`.',
    input: aRoom,
    output: z.object({ room: roomSummary }),
    errors: ['not_found', 'forbidden', 'limit_reached'],
  },
  'invitation:decline': {
    about: `Declines an invitation. The inviter gets \`invitation\`. Nobody may invite you to the room for ${limits.invitationRestDays} days.`,
    input: aRoom,
    output: z.object({}),
    errors: ['not_found'],
  },
  'invitation:cancel': {
    about: 'Takes an invitation back; plain members their own. The invited user gets `invitation`.',
    input: aMember,
    output: z.object({}),
    errors: managing,
  },
  'link:create': {
    about:
      'Makes a join link: who has the `token` may come in by it, until it expires, is used up or revoked, or its maker ' +
      `may make no links any more. The token is told here and never again. At most ${limits.roomLinks} a room.`,
    input: z.object({
      room: roomId,
      role: newRole.exclude(['admin']).default('member'),
      seconds: z.int().min(1).max(limits.linkSeconds).optional().describe('until it expires; without: never'),
      maxUses: z.int().min(1).max(limits.linkUses).optional().describe('without: any number'),
    }),
    output: z.object({ link: joinLink, token: z.string() }),
    errors: [...managing, 'limit_reached'],
  },
  'link:list': {
    about: 'The join links of a room, in id order.',
    input: z.object({ room: roomId, after: linkId.optional(), limit: pageLimit }),
    output: z.object({ links: z.array(joinLink), after: linkId.nullable(), more: z.boolean() }),
    errors: managing,
  },
  'link:revoke': {
    about: 'Ends a join link. Who came in by it stays.',
    input: z.object({ room: roomId, id: linkId }),
    output: z.object({}),
    errors: managing,
  },
  'link:join': {
    about: 'Joins a room by a link. For a member nothing changes, and the link is not used.',
    input: z.object({ token: z.string().regex(/^[A-Za-z0-9_-]{32}$/, 'the token of a join link') }),
    output: z.object({ room: roomSummary }),
    errors: ['not_found', 'forbidden', 'limit_reached'],
  },
} as const satisfies Record<string, CommandSchema>;

export type RoomCommandName = keyof typeof roomCommands;
