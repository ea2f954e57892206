/** The shapes that commands and events share. */
import { z } from 'zod';
import { displayFault } from './display-text.ts';
import { isEmoji, maxEmojiLength, qualified } from './emoji.ts';
import { limits } from './limits.ts';

/** Every room's id; a name that it does not match is no room of Parley's. */
export const roomIdPattern = /^[A-Za-z0-9_.:-]{1,64}$/;

/**
 * The prefix of ids that only back ends may take: tokens with the claim `backend` make rooms with such ids and name such
 * users. An event that a back end emits to such a name reaches no room that a user has made.
 */
export const backendPrefix = 'backend:';

export const roomId = z
  .string()
  .regex(roomIdPattern, 'a room id is 1 to 64 of A-Z a-z 0-9 _ . : -')
  .describe('room id: 1 to 64 of `A-Z a-z 0-9 _ . : -`');

export const userId = z
  .string()
  .regex(/^[A-Za-z0-9_.:@|+-]{1,64}$/, 'a user id is 1 to 64 of A-Z a-z 0-9 _ . : @ | + -')
  .describe("user id, the token's `sub`: 1 to 64 of `A-Z a-z 0-9 _ . : @ | + -`");

/**
 * The parts of the rules of texts that a JSON schema can say, for the schemas of REST. The rules themselves are below.
 * Whitespace around a text is cut off. The greatest length counts this whitespace, as the one of a JSON schema does.
 */
const space = '[\\t-\\r ]*';
const displayPattern =
  `^${space}[^\\u0000-\\u001f\\u007f-\\u009f]*[^\\u0000-\\u002f\\u003a-\\u0040\\u005b-\\u0060\\u007b-\\u00a0]` +
  `[^\\u0000-\\u001f\\u007f-\\u009f]*${space}$`;
const plainPattern = `^${space}[^\\u0000-\\u0020\\u007f][^\\u0000-\\u001f\\u007f]*${space}$`;

/** Text that Postgres can store and every client can show in one line (display-text.ts). */
export const displayText = (max: number) =>
  z
    .string()
    .max(max)
    .trim()
    .min(1)
    .superRefine((text, context) => {
      const fault = text.length > max ? undefined : displayFault(text);
      if (fault !== undefined) context.addIssue({ code: 'custom', message: fault });
    })
    .meta({ pattern: displayPattern });

/** Text that nobody is shown, such as a query of a search. No visible letter is needed. */
export const plainText = (max: number) =>
  z
    .string()
    .max(max)
    .trim()
    .min(1)
    .refine((text) => text.isWellFormed() && !/[\u0000-\u001f\u007f]/.test(text), 'no control characters')
    .meta({ pattern: plainPattern });

export const userName = displayText(limits.userNameLength);
export const roomName = displayText(limits.roomNameLength);

export const roomKind = z.enum(['direct', 'group', 'channel']);
export const role = z.enum(['owner', 'admin', 'member', 'guest']);

export const seq = z.int().min(1).describe("the message's number in its room: 1, 2, 3 …");
export const rev = z.int().min(0).describe("the room's change counter");
/** The column is an integer of 32 bits. */
export const version = z.int().min(1).max(2_147_483_647);
export const epoch = z
  .uuid()
  .describe(
    'the history of the database; a database that went back in time has another one, and earlier cursors are void',
  );
/** 9999-12-31T23:59:59.999Z: as far as a year has four digits, which is what JavaScript writes and Postgres reads alike. */
export const latestInstant = 253_402_300_799_999;
export const instant = z.int().min(0).max(latestInstant).describe('milliseconds since 1970, UTC');
export const mutedUntil = instant.nullable().describe('milliseconds since 1970, UTC; null: until it is lifted');
export const linkId = z.string().regex(/^[0-9a-f]{16}$/, 'the id of a join link');

/** The body of a message, and a body in the place of another. */
export const messageBody = z.unknown().meta({ not: { type: 'null' } });

export const emoji = z
  .string()
  .max(maxEmojiLength)
  .overwrite(qualified)
  .refine(isEmoji, 'expected one emoji')
  .meta({ minLength: 1 })
  .describe('one emoji, as Unicode has them');

export const reaction = z.object({
  emoji: z.string(),
  count: z.int().min(1).describe('users who reacted with it'),
  mine: z.boolean().optional().describe('whether you are one of them; in answers, not in events'),
});

export const thread = z
  .object({
    root: seq.describe('the first message of the thread'),
    replies: z.int().min(0).describe('replies that are not deleted'),
    lastReplyAt: instant.describe('the time of the last reply, deleted or not'),
    repliers: z.array(userId).describe('the authors of the last replies, the newest first, at most five'),
    rev: rev.describe('the rev of the reply that changed this state last; a higher rev is the newer state'),
  })
  .meta({ id: 'Thread' });

export const message = z
  .object({
    room: roomId,
    seq,
    rev: rev.describe('the rev of the last change of the message'),
    id: z.uuid().describe('the UUID that the client gave'),
    from: userId,
    name: z.string().nullable().describe("the sender's display name, if the server knows one"),
    body: z.json().describe('any JSON, at most 16 KiB; null: deleted'),
    replyTo: seq.optional(),
    at: instant.describe('when it was committed; milliseconds since 1970, UTC'),
    editedAt: instant.optional().describe('when its body was last replaced'),
    deletedAt: instant.optional().describe('when it was deleted'),
    reactions: z.array(reaction).optional().describe('in the order of their first use; absent if there are none'),
    pinnedAt: instant.optional().describe('when it was pinned; absent if it is not'),
    pinnedBy: userId.optional().describe('the user who pinned it'),
    thread: thread.optional().describe('the state of the thread, in a reply and in a message with replies'),
  })
  .meta({ id: 'Message' });

export const roomTopic = displayText(limits.roomTopicLength);
export const senders = z.enum(['all', 'admins']);
export const retentionDays = z.int().min(1).max(limits.retentionDays);
export const slowMode = z.int().min(0).max(limits.slowModeSeconds);
export const editWindow = z.int().min(0).max(limits.editWindowSeconds);

/** The part that is the same for all users who see the room. */
const roomParts = {
  id: roomId,
  kind: roomKind,
  name: z.string().nullable(),
  topic: z.string().optional(),
  archived: instant.optional().describe('the time from which nothing may be written; milliseconds since 1970, UTC'),
  slowMode: slowMode.optional().describe('seconds between two messages of a member'),
  senders: z.literal('admins').optional().describe('only owners and admins may send'),
  editWindow: editWindow.optional().describe("seconds, instead of the server's; 0: no limit"),
  retentionDays: retentionDays.optional().describe('days for which messages are kept'),
} as const;

export const roomState = z.object(roomParts).meta({ id: 'RoomState' });

export const roomSummary = z.object({
  ...roomParts,
  role: role.nullable().describe('your role; null if you are not a member'),
  seq: z.int().min(0).describe('the number of its last message, 0 if it has none'),
  rev,
  read: z.int().min(0).describe('your read mark; unread messages are `seq - read`'),
  peer: z.object({ id: userId, name: z.string().nullable() }).optional().describe('the other user of a direct room'),
  muted: z.object({ until: mutedUntil }).optional().describe('you are muted there'),
  members: z.int().min(0).optional().describe('how many there are; in `room:get` and `room:search`'),
});

export const invitation = z
  .object({
    room: roomId,
    kind: roomKind,
    name: z.string().nullable().describe('the name of the room'),
    user: userId.describe('the invited user'),
    role,
    by: userId,
    byName: z.string().nullable(),
    at: instant,
    expires: instant,
  })
  .meta({ id: 'Invitation' });

export const joinLink = z
  .object({
    id: linkId,
    room: roomId,
    role,
    by: userId,
    at: instant,
    expires: instant.nullable(),
    maxUses: z.int().nullable(),
    uses: z.int().min(0).describe('users who joined by it'),
  })
  .meta({ id: 'JoinLink' });

export const ban = z
  .object({ user: userId, name: z.string().nullable(), by: userId, reason: z.string().nullable(), at: instant })
  .meta({ id: 'Ban' });

export const member = z
  .object({
    user: userId,
    name: z.string().nullable(),
    role,
    read: z.int().min(0),
    joinedAt: instant,
    muted: z.object({ until: mutedUntil }).optional(),
  })
  .meta({ id: 'Member' });

/** Whether a user is online, as other users may see it. */
export const presence = z.object({
  online: z.boolean(),
  lastSeen: instant.optional().describe('when the last connection ended, if it is known; milliseconds since 1970, UTC'),
});

export const session = z
  .object({
    session: z.string().describe('id of the connection'),
    user: userId,
    device: z
      .string()
      .nullable()
      .describe('the name that the client gave in CONNECT: `{"token": …, "device": "Ann\'s phone"}`'),
    agent: z.string().nullable().describe('the User-Agent of the client, shortened'),
    address: z.string().describe('the address of the client'),
    node: z.string(),
    since: instant,
  })
  .meta({ id: 'Session' });

export type RoomKind = z.infer<typeof roomKind>;
export type Role = z.infer<typeof role>;
export type Reaction = z.infer<typeof reaction>;
export type Thread = z.infer<typeof thread>;
export type Message = z.infer<typeof message>;
export type RoomState = z.infer<typeof roomState>;
export type RoomSummary = z.infer<typeof roomSummary>;
export type Invitation = z.infer<typeof invitation>;
export type JoinLink = z.infer<typeof joinLink>;
export type Ban = z.infer<typeof ban>;
export type PresenceState = z.infer<typeof presence>;
export type Session = z.infer<typeof session>;
export type Member = z.infer<typeof member>;
