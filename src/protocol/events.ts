/** Every event the server may send: the only source of their types and of their part of `docs/protocol.md`. */
import { z } from 'zod';
import { limits } from './limits.ts';
import { notification } from './notifications.ts';
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
      'Right after CONNECT: your user and the heads of your rooms. The connection is subscribed to all rooms before ' +
      'their heads are read, so nothing falls between. Sync the rooms whose `rev` is ahead of your cursor. `more`: ' +
      'you have more rooms than one page, list them with `room:list`. The event comes again on a connection whose ' +
      'database went back in time (a restore from a backup), with another `epoch`. Then drop every cursor and every ' +
      'message of the epoch before, and load the rooms again. Keep the epoch beside your cursors, and compare it at ' +
      'each `ready`.',
    data: z.object({
      user: z.object({ id: userId, name: z.string().nullable() }),
      session: z.string().describe('id of this connection'),
      node: z.string().describe('the node that holds this connection'),
      epoch,
      expires: instant.describe('when the token expires; send `auth:refresh` before; milliseconds since 1970, UTC'),
      rooms: z.array(roomSummary),
      more: z.boolean(),
    }),
  },
  message: {
    about:
      'A message of one of your rooms, in rev order. If its `rev` is not the successor of your cursor, something ' +
      'was missed: `sync` from the cursor. Your own messages come too. The `thread` of a reply is the present state ' +
      'of its thread. That state holds for the root that you have, too, unless the root has one of a higher `rev`.',
    data: message,
  },
  'message:updated': {
    about:
      'A message was edited: the whole message, as of this `rev`. The event takes its place in rev order as ' +
      '`message` does. Its `reactions` do not say which are yours; an edit changes none.',
    data: message,
  },
  'message:deleted': {
    about: 'A message was deleted: its body and reactions are gone. In rev order with `message`.',
    data: z.object({
      room: roomId,
      seq,
      rev,
      id: z.uuid(),
      by: userId.describe('the user who deleted it'),
      at: instant.describe('the `deletedAt` of the message; milliseconds since 1970, UTC'),
      thread: thread.optional().describe('of a reply: the state of its thread without it'),
    }),
  },
  pin: {
    about: 'A message was pinned or unpinned. In rev order with `message`.',
    data: z.object({
      room: roomId,
      seq,
      rev: rev.describe('the rev of the message now'),
      user: userId.describe('the user who did it'),
      change: z.enum(['add', 'remove']),
      at: instant.describe('the `pinnedAt` of the message'),
    }),
  },
  mention: {
    about:
      'A message, or an edit of it, mentions you; `everybody`: all of the room, yourself too if you wrote it. The ' +
      'event comes after the message itself and may be lost: `mentions` lists all of them. No event comes from a ' +
      `user whom you have blocked. Where more than ${limits.mentionBlockers.toLocaleString('en')} members have ` +
      'blocked the user who mentions everybody, the event comes to nobody.',
    data: z.object({
      room: roomId,
      seq,
      from: userId.describe('the user who sent or edited it'),
      at: instant,
      everybody: z.boolean(),
    }),
  },
  notification: {
    about:
      'A message notifies you in the app, now or because your quiet hours or your snooze are over. The event comes to all ' +
      'of your connections and may be lost: `notification:list` has all of them.',
    data: notification,
  },
  thread: {
    about: 'To your other devices: you follow a thread, or no longer, or have read in it.',
    data: z.object({
      room: roomId,
      root: seq,
      following: z.boolean(),
      read: z.int().min(0).describe('your mark in the thread; 0 if you do not follow it'),
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
      'A user joined or left a room of yours, was removed or banned, got another role, or was muted there. If you ' +
      'are the user who joined, all your devices get the event, and `summary` describes the room; from then on its ' +
      'events come. With a null role the user is no member any more, whatever `change` says. If the first event was ' +
      'lost, or the change was made beside the server, a later event says `left` or `role`.',
    data: z.object({
      room: roomId,
      user: userId,
      name: z.string().nullable(),
      role: role.nullable().describe('null: no member any more'),
      change: z.enum(['joined', 'left', 'removed', 'banned', 'role', 'muted', 'unmuted']),
      by: userId.describe('the user who did it'),
      until: mutedUntil.optional().describe('the end of the mute; null: until it is lifted'),
      summary: roomSummary.optional(),
    }),
  },
  room: {
    about:
      'A room of yours has other settings (`updated`), was archived or unarchived, or deleted. `state` is the part ' +
      'that is the same for all users who see the room; an absent setting has its default. `deleted` comes without ' +
      'it, and is the last event of the room.',
    data: z.object({
      room: roomId,
      change: z.enum(['updated', 'archived', 'unarchived', 'deleted']),
      by: userId.describe('the user who did it'),
      state: roomState.optional(),
    }),
  },
  invitation: {
    about:
      'You are invited to a room (`created`), or the invitation was taken back (`cancelled`) or answered on one of ' +
      'your devices. The inviter gets `accepted` and `declined` too.',
    data: z.object({
      change: z.enum(['created', 'cancelled', 'accepted', 'declined']),
      room: roomId,
      user: userId.describe('the invited user'),
      by: userId.describe('the user who did this'),
      invitation: invitation.optional().describe('with `created`'),
    }),
  },
  read: {
    about:
      `A member has read up to \`seq\`. In rooms of more than ${limits.readReceiptMembers} members you get only your ` +
      'own marks, on your other devices.',
    data: z.object({ room: roomId, user: userId, seq }),
  },
  delivered: {
    about:
      'Devices of a member have the messages up to `seq`. The event comes within a second, in rooms of at most ' +
      `${limits.readReceiptMembers} members.`,
    data: z.object({ room: roomId, user: userId, seq }),
  },
  'room:purged': {
    about:
      'Messages before `first` have expired: drop them. In rev order with `message`. A client that missed the event ' +
      'finds `reset` in the answer of `sync`.',
    data: z.object({ room: roomId, rev, first: seq.describe('the first kept message, or the next one') }),
  },
  behind: {
    about:
      'You read the events of a room more slowly than they come, or an event of it was lost. You are off this room; ' +
      'its head is at `head` or beyond. Pull with `sync` (or `history`): that puts you back on the room first. ' +
      'Until then its signals and its events with a `rev` do not come; other events do.',
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
      'A user whom you watch came online or went offline. Absences under 5 seconds are not reported. `hidden`: you ' +
      'share no room any more or have blocked the user, the watch has ended and `online` says nothing. A user who ' +
      'blocks you goes offline for you. Unlike signals these events come to slow connections too.',
    data: presence.extend({ user: userId, hidden: z.literal(true).optional() }),
  },
  'session:revoked': {
    about:
      'The token of this connection was taken back; it is closed right after this (4403). The token is `unauthorized` from ' +
      'now on: connect with a new one. Stock clients on long-polling may see the close alone.',
    data: z.object({
      session: z.string().describe('id of this connection'),
      reason: z.enum(['user', 'operator']).describe('another session of the user, or the operator'),
    }),
  },
  signal: {
    about:
      'A signal of another connection in the room; not stored, may be lost. A client that shows such a state ' +
      '(`typing`) forgets it after `expires` milliseconds unless another signal comes.',
    data: z.object({
      room: roomId,
      from: userId,
      fromName: z.string().nullable().describe("the sender's display name, if the server knows one"),
      name: z.string(),
      expires: z.int().describe('milliseconds'),
      data: z.unknown().optional(),
    }),
  },
  'signal:direct': {
    about:
      'A signal of a back end to this user or to this connection alone; not stored, may be lost. `from` is a user, or ' +
      '`backend:` and the id of an API key.',
    data: z.object({
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
