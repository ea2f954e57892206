/** Every event the server may send: the only source of their types and of their part of `docs/protocol.md`. */
import { z } from 'zod';
import { limits } from './limits.ts';
import {
  epoch,
  instant,
  invitation,
  message,
  mutedUntil,
  presence,
  rev,
  role,
  roomId,
  roomState,
  roomSummary,
  seq,
  thread,
  userId,
} from './model.ts';

interface EventSchema {
  readonly about: string;
  readonly data: z.ZodType;
}

export const events = {
  ready: {
    about:
      'Right after CONNECT: who you are and where your rooms stand. The connection is subscribed to all of them before ' +
      'their heads are read, so nothing falls between; sync the rooms whose `rev` is ahead of your cursor. `more`: you ' +
      'have more rooms than one page, list them with `room:list`. It comes again on a connection whose database went back in ' +
      'time (a restore from a backup), then with another `epoch`: drop every cursor and every message of the epoch before, ' +
      'and load the rooms anew. Keep the epoch beside your cursors, and compare it at each `ready`.',
    data: z.object({
      user: z.object({ id: userId, name: z.string().nullable() }),
      session: z.string().describe('id of this connection'),
      node: z.string().describe('the server process that holds it'),
      epoch,
      expires: instant.describe('when the token expires; send `auth:refresh` before; milliseconds since 1970, UTC'),
      rooms: z.array(roomSummary),
      more: z.boolean(),
    }),
  },
  message: {
    about:
      'A message of one of your rooms, in rev order. If its `rev` is not the successor of your cursor, something was ' +
      'missed: `sync` from the cursor. Your own messages come too. The `thread` of a reply says where its thread stands ' +
      'now: it is true for the root that you hold, too, unless that has one of a higher `rev`.',
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
      thread: thread.optional().describe('of a reply: its thread without it'),
    }),
  },
  pin: {
    about: 'A message was pinned, or its pin was taken away. In rev order with `message`.',
    data: z.object({
      room: roomId,
      seq,
      rev: rev.describe('the rev of the message now'),
      user: userId.describe('who did it'),
      change: z.enum(['add', 'remove']),
      at: instant.describe('the `pinnedAt` of the message'),
    }),
  },
  mention: {
    about:
      'A message, or an edit of it, mentions you; `everybody`: all of the room, yourself too if you wrote it. It comes ' +
      'after the message itself and may be lost: `mentions` lists them. It does not come from a user whom you have ' +
      `blocked. Where more than ${limits.mentionBlockers.toLocaleString('en')} members have blocked the user who mentions ` +
      'everybody, it comes to nobody.',
    data: z.object({
      room: roomId,
      seq,
      from: userId.describe('who sent or edited it'),
      at: instant,
      everybody: z.boolean(),
    }),
  },
  thread: {
    about: 'To your other devices: you follow a thread, or no more, or have read in it.',
    data: z.object({
      room: roomId,
      root: seq,
      following: z.boolean(),
      read: z.int().min(0).describe('where your mark in it stands; 0 if you do not follow it'),
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
      'Somebody joined or left a room of yours, was removed or banned, got another role, or was muted there. If it is ' +
      'you who joined, all your devices are told and `summary` describes the room; from then on its events come. With a ' +
      'null role they are no member any more, whatever `change` says. Who is told late, because something was lost on the way or done ' +
      'beside the server, hears `left` or `role`.',
    data: z.object({
      room: roomId,
      user: userId,
      name: z.string().nullable(),
      role: role.nullable().describe('null: no member any more'),
      change: z.enum(['joined', 'left', 'removed', 'banned', 'role', 'muted', 'unmuted']),
      by: userId.describe('who did it'),
      until: mutedUntil.optional().describe('they are muted, until then; null: until it is lifted'),
      summary: roomSummary.optional(),
    }),
  },
  room: {
    about:
      'A room of yours has other settings (`updated`), was archived or unarchived, or deleted. `state` is all that is the ' +
      'same for everybody who sees it: what is absent stands at its default. After `deleted`, which comes without, nothing ' +
      'of the room comes any more.',
    data: z.object({
      room: roomId,
      change: z.enum(['updated', 'archived', 'unarchived', 'deleted']),
      by: userId.describe('who did it'),
      state: roomState.optional(),
    }),
  },
  invitation: {
    about:
      'You are invited to a room (`created`), or the invitation was taken back (`cancelled`) or answered on one of your ' +
      'devices; `accepted` and `declined` are also told to who invited.',
    data: z.object({
      change: z.enum(['created', 'cancelled', 'accepted', 'declined']),
      room: roomId,
      user: userId.describe('who is invited'),
      by: userId.describe('who did this'),
      invitation: invitation.optional().describe('with `created`'),
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
      '`head` or beyond. Pull with `sync` (or `history`): that puts you back on the room first. Until then events with a ' +
      '`rev` and signals of it do not come; the others do.',
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
      'room any more or have blocked the user, the watch has ended and `online` says nothing. A user who blocks you goes ' +
      'offline for you. Unlike signals these come to slow connections too.',
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
