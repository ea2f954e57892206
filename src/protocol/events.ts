/** Every event the server may send: the only source of their types and of their part of `docs/protocol.md`. */
import { z } from 'zod';
import { limits } from './limits.ts';
import { instant, message, presence, rev, role, roomId, roomSummary, seq, userId } from './model.ts';

interface EventSchema {
  readonly about: string;
  readonly data: z.ZodType;
}

export const events = {
  ready: {
    about:
      'Right after CONNECT: who you are and where your rooms stand. The connection is subscribed to all of them before ' +
      'their heads are read, so nothing falls between; sync the rooms whose `rev` is ahead of your cursor. `more`: you ' +
      'have more rooms than one page, list them with `room:list`.',
    data: z.object({
      user: z.object({ id: userId, name: z.string().nullable() }),
      session: z.string().describe('id of this connection'),
      node: z.string().describe('the server process that holds it'),
      expires: instant.describe('when the token expires; send `auth:refresh` before; milliseconds since 1970, UTC'),
      rooms: z.array(roomSummary),
      more: z.boolean(),
    }),
  },
  message: {
    about:
      'A message of one of your rooms, in rev order. If its `rev` is not the successor of your cursor, something was ' +
      'missed: `sync` from the cursor. Your own messages come too.',
    data: message,
  },
  'message:updated': {
    about:
      'A message was edited: all of it, as it stands at this `rev`. It takes its place in rev order as `message` does. ' +
      'Its `reactions` do not say which are yours; an edit changes none.',
    data: message,
  },
  'message:deleted': {
    about: 'A message was deleted: its body and reactions are gone. In rev order with `message`.',
    data: z.object({
      room: roomId,
      seq,
      rev,
      id: z.uuid(),
      by: userId.describe('who deleted it'),
      at: instant.describe('the `deletedAt` of the message; milliseconds since 1970, UTC'),
    }),
  },
  reaction: {
    about: 'Somebody reacted to a message, or took it back. In rev order with `message`.',
    data: z.object({
      room: roomId,
      seq,
      rev: rev.describe('the rev of the message now'),
      user: userId,
      emoji: z.string(),
      change: z.enum(['add', 'remove']),
      count: z.int().min(0).describe('users with this emoji now'),
    }),
  },
  member: {
    about:
      'Somebody joined or left a room of yours, or changed role there. If it is you who joined, all your devices are ' +
      'told and `summary` describes the room; from then on its events come.',
    data: z.object({
      room: roomId,
      user: userId,
      name: z.string().nullable(),
      role: role.nullable().describe('null: no member any more'),
      change: z.enum(['joined', 'left', 'role']),
      by: userId.describe('who did it'),
      summary: roomSummary.optional(),
    }),
  },
  read: {
    about:
      'A member has read up to `seq`. In rooms of more than 100 members only your own marks are told, to your other devices.',
    data: z.object({ room: roomId, user: userId, seq }),
  },
  delivered: {
    about:
      'Devices of a member have the messages up to `seq`. Told in rooms of at most ' +
      `${limits.readReceiptMembers} members, within a second.`,
    data: z.object({ room: roomId, user: userId, seq }),
  },
  'room:purged': {
    about:
      'Messages before `first` have expired: drop them. In rev order with `message`. Whoever missed it finds `reset` in ' +
      'the answer of `sync`.',
    data: z.object({ room: roomId, rev, first: seq.describe('the first message that is kept, or the next to come') }),
  },
  behind: {
    about:
      'You take events more slowly than they come, and are off this room, or an event of it was lost; its head is at ' +
      '`head` or beyond. Pull with `sync` (or `history`): that puts you back on the room first.',
    data: z.object({ room: roomId, head: rev }),
  },
  drain: {
    about:
      'The server goes down: it closes this connection in `after` milliseconds. Each connection has its own moment, so ' +
      'that not all come back at once; go earlier if you like, and connect again.',
    data: z.object({ after: z.int().min(0) }),
  },
  presence: {
    about:
      'A user whom you watch came online or went offline. Absences under 5 seconds are not told. `hidden`: you share no ' +
      'room any more, the watch has ended and `online` says nothing. Unlike signals these come to slow connections too.',
    data: presence.extend({ user: userId, hidden: z.literal(true).optional() }),
  },
  'session:revoked': {
    about:
      'The token of this connection was taken back; it is closed right after this (4403). The token is `unauthorized` from ' +
      'now on: connect with a new one. Stock clients on long-polling may see the close alone.',
    data: z.object({
      session: z.string().describe('id of this connection'),
      reason: z.enum(['user', 'operator']).describe('who did it: another session of the user, or the operator'),
    }),
  },
  signal: {
    about:
      'A signal of another connection in the room; not stored, may be lost. Whoever shows a state that it tells (`typing`) ' +
      'forgets it after `expires` milliseconds unless another one comes.',
    data: z.object({
      room: roomId,
      from: userId,
      fromName: z.string().nullable().describe("the sender's display name, if the server knows one"),
      name: z.string(),
      expires: z.int().describe('milliseconds'),
      data: z.unknown().optional(),
    }),
  },
} as const satisfies Record<string, EventSchema>;

export type Events = typeof events;
export type EventName = keyof Events;
export type EventData<E extends EventName> = z.output<Events[E]['data']>;
