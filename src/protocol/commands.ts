/**
 * Every command a client may send: the only source of its types, its validation and its page in `docs/protocol.md`.
 * A command is a Socket.IO event with one object and an ack; the ack is `{ok:true, ...output}` or `{ok:false, error}`.
 */
import { z } from 'zod';
import { pageLimit, type CommandSchema } from './command-schema.ts';
import { limits } from './limits.ts';
import {
  plainText,
  emoji,
  epoch,
  instant,
  invitation,
  member,
  message,
  presence,
  rev,
  role,
  roomId,
  roomName,
  roomSummary,
  seq,
  session,
  thread,
  userId,
  version,
} from './model.ts';
import { roomCommands } from './room-commands.ts';
import { userCommands } from './user-commands.ts';

const someUsers = z.array(userId).max(limits.presenceUsers, `at most ${limits.presenceUsers} users`);
const reacting = {
  input: z.object({ room: roomId, seq, emoji }),
  output: z.object({
    rev: rev.describe('the rev of the message now'),
    count: z.int().min(0).describe('users with it now'),
  }),
} as const;
const inThread = z.object({ room: roomId, root: seq.describe('the root, or any message of the thread') });
const pinning = {
  input: z.object({ room: roomId, seq }),
  output: z.object({ rev: rev.describe('the rev of the message now') }),
} as const;
const cursor = z.string().min(1).max(200).describe('as an answer before gave it');
const newRoomId = roomId
  .refine((id) => !id.startsWith('direct:'), 'ids of direct rooms are given by the server')
  .refine((id) => !id.startsWith('user:'), 'backends address users by such names')
  // as a key of `cursors` it would not be one
  .refine((id) => id !== '__proto__', 'this id is not to be had');

export const commands = {
  'message:send': {
    about:
      'Stores a message and sends it to the members. The ack comes after the commit. `id` makes it idempotent: the same id sent ' +
      'again returns the first `seq` and stores nothing, on any node, at any later time. A reply to a reply is in the ' +
      "same thread. What the server looks at in a body that is an object: `text` (who is mentioned: `@` and a member's " +
      'id, or `@room` by owners and admins; not in code), `mentions` (a list of user ids and `@room`), `attachments` (a ' +
      'list of `{url, type, size, name?, width?, height?}`), and `encrypted` (`{alg, kid, data, …}`, without a `text` ' +
      'beside it). Who is mentioned gets `mention`. The `url` of an attachment is https, in the form that URL parsers ' +
      'write, without user and password, at a host that `PARLEY_ATTACHMENT_HOSTS` names; without that setting a message ' +
      'with attachments is `invalid`. `*.example.com` is every host below `example.com`, not `example.com` itself, and a ' +
      'host without a port is port 443. The server never fetches the file: each client that shows the message does.',
    input: z.object({
      room: roomId,
      id: z.uuid().toLowerCase(),
      body: z.unknown().describe('any JSON but null, at most 16 KiB and 32 levels deep; no NUL, no lone surrogates'),
      replyTo: seq.optional().describe('the seq of the message it answers'),
      lane: z
        .enum(['critical', 'high', 'normal', 'low', 'batch'])
        .optional()
        .describe('planned: the priority of notifications. It is stored, and nothing reads it yet'),
    }),
    output: z.object({ seq, rev, at: instant }),
    errors: ['not_found', 'not_member', 'forbidden', 'conflict', 'too_large'],
  },
  'message:edit': {
    about:
      'Replaces the body of a message. Its author may, for as long as the server allows; owners and admins may at any ' +
      'time. The same body again changes nothing. The room gets `message:updated`.',
    input: z.object({
      room: roomId,
      seq,
      body: z.unknown().describe('as in `message:send`'),
    }),
    output: z.object({ seq, rev, at: instant.describe('when it was edited; milliseconds since 1970, UTC') }),
    errors: ['not_found', 'not_member', 'forbidden', 'too_large'],
  },
  'message:delete': {
    about:
      'Deletes a message, for its author, owners and admins. What remains is its place: seq, id, sender, times and who ' +
      'changed it when; its body, the earlier ones and its reactions are gone for everybody. Deleting it again changes ' +
      'nothing. The room gets `message:deleted`.',
    input: z.object({ room: roomId, seq }),
    output: z.object({ seq, rev }),
    errors: ['not_found', 'not_member', 'forbidden'],
  },
  'message:versions': {
    about:
      'What a message said before, newest first, for owners and admins: version 1 is what was sent. Pass `before` on ' +
      `for the next page. Of more than ${limits.messageVersions} the first and the newest are kept. A deletion is a ` +
      'version too, and leaves the bodies of all of them null.',
    input: z.object({ room: roomId, seq, before: version.optional(), limit: pageLimit }),
    output: z.object({
      versions: z.array(
        z.object({
          version,
          body: z.json(),
          by: userId.describe('who replaced it'),
          at: instant.describe('when it was replaced; milliseconds since 1970, UTC'),
        }),
      ),
      before: z.int().nullable(),
      more: z.boolean(),
    }),
    errors: ['not_found', 'not_member', 'forbidden'],
  },
  'reaction:add': {
    about:
      'Reacts to a message with an emoji, for all who may write. Doing it again changes nothing. ' +
      `At most ${limits.reactionKinds} kinds a message. The room gets \`reaction\`.`,
    ...reacting,
    errors: ['not_found', 'not_member', 'forbidden', 'limit_reached'],
  },
  'reaction:remove': {
    about: 'Takes your reaction back. If there is none, nothing changes. The room gets `reaction`.',
    ...reacting,
    errors: ['not_found', 'not_member', 'forbidden'],
  },
  'message:pin': {
    about:
      'Pins a message: for owners and admins, in direct rooms for both. Doing it again changes nothing. At most ' +
      `${limits.pins} in a room. The room gets \`pin\`.`,
    ...pinning,
    errors: ['not_found', 'not_member', 'forbidden', 'limit_reached'],
  },
  'message:unpin': {
    about: 'Takes a pin away, for the same. If there is none, nothing changes. The room gets `pin`.',
    ...pinning,
    errors: ['not_found', 'not_member', 'forbidden'],
  },
  'room:pins': {
    about: 'The pinned messages of a room, the last pinned first.',
    input: z.object({ room: roomId }),
    output: z.object({ messages: z.array(message), rev }),
    errors: ['not_found', 'not_member'],
  },
  mentions: {
    about:
      'The messages that mention you, in the rooms you are in, the last first; a deleted one mentions nobody. ' +
      'Those of users whom you have blocked are left out. Pass `before` on for the next page.',
    input: z.object({ before: cursor.optional(), limit: pageLimit }),
    output: z.object({
      mentions: z.array(
        z.object({
          at: instant.describe('when it mentioned you; an edit may have'),
          everybody: z.boolean().describe('as one of all in the room'),
          message,
        }),
      ),
      before: cursor.nullable(),
      more: z.boolean(),
    }),
    errors: [],
  },
  'thread:history': {
    about:
      'A page of the replies in a thread, in seq order, as `history` gives one of a room. `root`: the message at its ' +
      'head; null if it has expired.',
    input: inThread
      .extend({ before: seq.optional(), after: z.int().min(0).optional(), limit: pageLimit })
      .refine((page) => page.before === undefined || page.after === undefined, 'give before or after, not both'),
    output: z.object({
      root: message.nullable(),
      messages: z.array(message),
      before: seq.nullable(),
      after: seq.nullable(),
      more: z.boolean().describe('there is more in the direction that was asked for'),
      rev,
    }),
    errors: ['not_found', 'not_member'],
  },
  'thread:follow': {
    about:
      'Follows a thread, so that `thread:list` has it. Who answers follows it by that, and so does the author of a ' +
      `message that is answered for the first time. Of more than ${limits.followedThreads} the longest followed are let go.`,
    input: inThread,
    output: z.object({ root: seq, read: z.int().min(0) }),
    errors: ['not_found', 'not_member'],
  },
  'thread:unfollow': {
    about: 'Follows a thread no more, until you answer in it again.',
    input: inThread,
    output: z.object({ root: seq }),
    errors: ['not_found', 'not_member'],
  },
  'thread:read': {
    about:
      'Moves your mark in a thread that you follow forward to `seq`; it never moves back. Your mark in the room (`read`) ' +
      'is another.',
    input: inThread.extend({ seq }),
    output: z.object({ root: seq, read: z.int().min(0).describe('where the mark stands now') }),
    errors: ['not_found', 'not_member'],
  },
  'thread:list': {
    about:
      'The threads that you follow and that have replies, that of the last reply first. Pass `before` on for the next page.',
    input: z.object({ before: cursor.optional(), limit: pageLimit }),
    output: z.object({
      threads: z.array(
        z.object({
          room: roomId,
          root: message.nullable(),
          thread,
          read: z.int().min(0).describe('where your mark stands'),
          unread: z.int().min(0).max(limits.threadUnread).describe(`replies after it; ${limits.threadUnread}: or more`),
        }),
      ),
      before: cursor.nullable(),
      more: z.boolean(),
    }),
    errors: [],
  },
  history: {
    about:
      'A page of a room, in seq order. `before` pages back (without either: the newest page), `after` pages on. ' +
      '`rev` is the head of the room in the same snapshot: a cursor to sync from. With `before` or `after` and an `epoch` ' +
      'that is not the present one the answer is `reset`, without messages: drop what you hold and ask without either.',
    input: z
      .object({
        room: roomId,
        before: seq.optional(),
        after: z.int().min(0).optional(),
        limit: pageLimit,
        epoch: epoch.optional().describe('of what you hold of the room'),
      })
      .refine((page) => page.before === undefined || page.after === undefined, 'give before or after, not both'),
    output: z.object({
      messages: z.array(message),
      before: seq.nullable().describe('pass as `before` for the page in front of this one; null if the page is empty'),
      after: seq.nullable().describe('pass as `after` for the page behind this one; null if the page is empty'),
      more: z.boolean().describe('there is more in the direction that was asked for'),
      rev,
      epoch,
      reset: z.boolean().optional(),
    }),
    errors: ['not_found', 'not_member'],
  },
  sync: {
    about:
      'What changed in rooms since the cursors, in rev order, each message in its present state. Call it again with ' +
      'the returned revs while `more` is true. `reset`: the cursor is not of this room, or from before messages of it ' +
      'expired, or of another epoch; drop what you hold and load history. A room you may not see is left out of the answer. ' +
      'Send the `epoch` that `ready` named when you got the cursors. Without it the server finds only cursors beyond the ' +
      'head, and those of a connection that was there when the database went back in time.',
    input: z.object({
      cursors: z
        .record(roomId, rev)
        .refine((c) => Object.keys(c).length <= limits.syncRooms, `at most ${limits.syncRooms} rooms`),
      limit: z.int().min(1).max(limits.syncMessages).default(500),
      bytes: z.int().min(1024).max(limits.syncBytes).default(limits.syncBytes),
      epoch: epoch.optional().describe('of the cursors'),
    }),
    output: z.object({
      rooms: z.record(
        roomId,
        z.object({ messages: z.array(message), rev, more: z.boolean(), reset: z.boolean().optional() }),
      ),
      more: z.boolean(),
      epoch,
    }),
    errors: [],
  },
  read: {
    about: 'Moves your read mark forward to `seq`; it never moves back. Your other devices and the room are told.',
    input: z.object({ room: roomId, seq }),
    output: z.object({ seq: z.int().min(0).describe('where the mark stands now') }),
    errors: ['not_found', 'not_member'],
  },
  delivered: {
    about:
      'Says that this device has the messages up to `seq`. The ack comes at once; the mark is written within a second, with ' +
      'others, never moves back, and is told to the room. In rooms of more than ' +
      `${limits.readReceiptMembers} members it is neither kept nor told. What is read is delivered: clients that read at once need not say both.`,
    input: z.object({ room: roomId, seq }),
    output: z.object({}),
    errors: ['not_member'],
  },
  'room:receipts': {
    about: 'Up to where the members of a room have its messages and have read them, in user id order.',
    input: z.object({ room: roomId, after: userId.optional(), limit: pageLimit }),
    output: z.object({
      receipts: z.array(
        z.object({
          user: userId,
          read: z.int().min(0),
          delivered: z.int().min(0).describe('never below `read`; in rooms where it is not kept the same'),
        }),
      ),
      after: userId.nullable(),
      more: z.boolean(),
    }),
    errors: ['not_found', 'not_member'],
  },
  unread: {
    about:
      `What you have not read, of all your rooms at once, in room id order; pass \`after\` on if they are more than ${limits.unreadRooms}. ` +
      'Messages of yours, and such as expired, count as read.',
    input: z.object({ after: roomId.optional() }),
    output: z.object({
      rooms: z.array(
        z.object({
          room: roomId,
          unread: z.int().min(0).max(limits.unreadCount).describe(`${limits.unreadCount}: as many or more`),
          mentions: z
            .int()
            .min(0)
            .max(limits.unreadCount)
            .describe('those of them that mention you, without those of users whom you have blocked'),
          read: z.int().min(0).describe('your read mark'),
          seq: z.int().min(0).describe('the number of the last message, 0 if there was none'),
          at: instant.nullable().describe('when it was committed; null if there is none, or it has expired'),
        }),
      ),
      after: roomId.nullable(),
      more: z.boolean(),
    }),
    errors: [],
  },
  search: {
    about:
      'Messages of your rooms that say what you look for, newest first: the `text` of bodies, or bodies that are a text. ' +
      'Words are found wherever they stand, `"in quotes"` next to each other, `or` between them, `-word` not at all; the last word is found ' +
      'by its beginning too. Encrypted and deleted messages are not found, new ones and edits within about a second. ' +
      `A query of more than ${limits.searchWords} words and operators is \`invalid\`; in scripts without spaces four characters count as a word. ` +
      'One search of a user runs at a time, and a search that takes too long is `overloaded`. ' +
      'Pass `next` on as `cursor` for the next page.',
    input: z.object({
      query: plainText(limits.searchQueryLength),
      room: roomId.optional(),
      from: userId.optional().describe('who sent them'),
      since: instant.optional().describe('sent at that time or later'),
      until: instant.optional().describe('sent before that time'),
      limit: z.int().min(1).max(limits.searchPage).default(20),
      cursor: z.string().max(256).optional(),
    }),
    output: z.object({
      hits: z.array(
        z.object({
          message,
          snippet: z
            .array(z.object({ text: z.string(), hit: z.boolean() }))
            .describe('the part of its text that matches, in pieces; joined they are text, never markup'),
        }),
      ),
      next: z.string().nullable(),
    }),
    errors: ['not_found', 'not_member', 'forbidden'],
  },
  signal: {
    about:
      'An event to everybody else in the room that is not stored: typing, pointers, WebRTC offers. Of one connection the ' +
      'server takes so many a second as its operator allows, apart from the rate of its commands.',
    input: z.object({
      room: roomId,
      name: plainText(limits.signalNameLength),
      expires: z
        .int()
        .min(100)
        .max(limits.signalExpiryMs)
        .default(limits.signalDefaultExpiryMs)
        .describe('milliseconds for which it counts'),
      data: z.unknown().optional().describe('any JSON, at most 16 KiB'),
    }),
    output: z.object({}),
    errors: ['not_member', 'forbidden', 'too_large'],
  },
  'room:create': {
    about:
      'Makes a room and you its owner. Creating your own room again under the same id returns it. A direct room is of two ' +
      'users, and either finds or makes it. The other user is in it after they accepted an invitation, which they get ' +
      'when you make the room, or make it again; you may write before. Until then you do not see their name or presence. ' +
      'If you left the room, you are back in it. An id that any room has or had is refused, so the answer shows that ' +
      'there is such a room: give private rooms ids that nobody guesses, or none. Ids that begin with `backend:` are for back ' +
      'ends, whose tokens have the claim `"backend": true`.',
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
      'Joins a channel, unless you are banned from it or it is archived. Whoever joins a channel that has no member, or ' +
      'guests alone, becomes its owner. Joining again changes nothing.',
    input: z.object({ room: roomId }),
    output: z.object({ room: roomSummary }),
    errors: ['not_found', 'forbidden', 'limit_reached'],
  },
  'room:leave': {
    about:
      'Leaves a room. When the owner leaves, the member of the highest role who joined first becomes owner. A group that its ' +
      'last member leaves is deleted, and so is a channel without messages; other channels are not listed while nobody is ' +
      'in them. Only an invitation, or you yourself, bring you back.',
    input: z.object({ room: roomId }),
    output: z.object({}),
    errors: ['not_found', 'not_member'],
  },
  'room:invite': {
    about:
      'Invites a user, as `invitation:create` does, or gives a member another role, as `room:role` does. The answer has ' +
      'the `invitation` or the `member`. The user is added without being asked where the server says so ' +
      '(`PARLEY_ADDING=direct`), and for a back end whose token says `"backend": true`; then owners and admins may, and the ' +
      'answer has the `member`. Whoever left the room, or has blocked you, is always invited.',
    input: z.object({ room: roomId, user: userId, role: role.exclude(['owner']).default('member') }),
    output: z.object({ member: member.optional(), invitation: invitation.optional() }),
    errors: ['not_found', 'not_member', 'forbidden', 'conflict', 'limit_reached'],
  },
  'room:list': {
    about:
      'Your rooms, or the open channels that are not archived, in id order. Pass `after` on for the next page. ' +
      '`room:search` finds channels by name.',
    input: z.object({
      scope: z.enum(['mine', 'open']).default('mine'),
      after: roomId.optional(),
      limit: pageLimit,
    }),
    output: z.object({ rooms: z.array(roomSummary), after: roomId.nullable(), more: z.boolean() }),
    errors: [],
  },
  'room:members': {
    about: 'The members of a room, in user id order; with `role` those of that role alone.',
    input: z.object({ room: roomId, role: role.optional(), after: userId.optional(), limit: pageLimit }),
    output: z.object({ members: z.array(member), after: userId.nullable(), more: z.boolean() }),
    errors: ['not_found', 'not_member'],
  },
  ...roomCommands,
  ...userCommands,
  'presence:get': {
    about:
      'Which of these users are online: have a connection to any node, or had one within the last 5 seconds. You may see ' +
      'yourself and those with whom you share a room; the answer leaves out all others, whether they exist or not. It ' +
      'leaves out users whom you have blocked. A user who has blocked you is offline, last seen at the moment of the block.',
    input: z.object({ users: someUsers }),
    output: z.object({ presence: z.record(userId, presence) }),
    errors: [],
  },
  'presence:watch': {
    about:
      `The same, and from now on \`presence\` events for those in the answer; nothing falls between. At most ` +
      `${limits.presenceWatched} users a connection. A watch is of this connection: begin it again after a reconnect. ` +
      'Who is left out is not watched: ask again once you share a room. When the last shared room is gone the watch ends ' +
      'with `hidden`: mostly at once, within 30 seconds at the latest.',
    input: z.object({ users: someUsers }),
    output: z.object({ presence: z.record(userId, presence) }),
    errors: ['limit_reached'],
  },
  'presence:unwatch': {
    about: 'Ends the watch of these users; without `users` all of them.',
    input: z.object({ users: someUsers.optional() }),
    output: z.object({}),
    errors: [],
  },
  'session:list': {
    about:
      'Your live connections on all nodes, the oldest first. Not `complete`: a node did not answer within a second, or ' +
      'there are more than are listed.',
    input: z.object({}),
    output: z.object({ sessions: z.array(session), complete: z.boolean() }),
    errors: [],
  },
  'session:revoke': {
    about:
      'Takes back the token of one of your connections, or with `all` every token of yours that was issued until now but ' +
      'the one of this connection. It is refused from now on, on every node, and its connections are closed with ' +
      '`session:revoked`; connections that share a token go together. A token without `iat` counts as issued before any ' +
      'moment; `iat` has whole seconds, so one of this very second is taken back too. Of a session only the token goes that ' +
      'it is here with: one that `auth:refresh` replaced is good until it expires, or until `all`.',
    input: z.union([
      z.object({ session: z.string().regex(/^[A-Za-z0-9_~-]{1,64}$/, 'the id of a session') }),
      z.object({ all: z.literal(true) }),
    ]),
    output: z.object({}),
    errors: ['not_found', 'unauthorized'],
  },
  'auth:refresh': {
    about: 'Replaces the token of this connection before it expires. It must be of the same user.',
    input: z.object({ token: z.string().min(1).max(8192) }),
    output: z.object({ expires: instant }),
    errors: ['unauthorized', 'token_expired', 'forbidden'],
  },
} as const satisfies Record<string, CommandSchema>;

export type Commands = typeof commands;
export type CommandName = keyof Commands;
/** What a client writes: defaults may be left out. */
export type CommandInput<C extends CommandName> = z.input<Commands[C]['input']>;
/** What a handler gets: defaults are filled in. */
export type ParsedInput<C extends CommandName> = z.output<Commands[C]['input']>;
export type CommandOutput<C extends CommandName> = z.output<Commands[C]['output']>;
