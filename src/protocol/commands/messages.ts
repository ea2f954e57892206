/** Messages: what is sent, edited, deleted, reacted to, pinned and mentioned. */
import { z } from 'zod';
import { cursor, pageLimit, type Declarations } from '../command-schema.ts';
import { lanes } from '../lanes.ts';
import { limits } from '../limits.ts';
import { emoji, instant, message, messageBody, rev, roomId, seq, userId, version } from '../model.ts';

const reacting = {
  input: z.object({ room: roomId, seq, emoji }),
  output: z.object({
    rev: rev.describe('the rev of the message now'),
    count: z.int().min(0).describe('users with it now'),
  }),
} as const;
const pinning = {
  input: z.object({ room: roomId, seq }),
  output: z.object({ rev: rev.describe('the rev of the message now') }),
} as const;

export const messageCommands = {
  'message:send': {
    about:
      'Stores a message and sends it to the members. The ack comes after the commit. `id` makes the command ' +
      'idempotent: the same id sent again returns the first `seq` and stores nothing, on any node, at any later ' +
      'time. A reply to a reply is in the same thread. In a body that is an object the server reads five fields; ' +
      "all others belong to the clients. `text`: `@` and a member's id mentions that member, and `@room` by owners " +
      'and admins mentions everybody; code mentions nobody. `mentions`: a list of user ids and `@room`. ' +
      '`attachments`: a list of `{url, type, size, name?, width?, height?}`. `files`: a list of ' +
      '`{upload, name, type, bytes, width?, height?, thumbnail?}`, complete uploads of the sender that no other ' +
      'message names. `encrypted`: `{alg, kid, data, …}`, ' +
      'without a `text` beside it. A mentioned user gets `mention`. The `url` of an attachment is https, in the ' +
      'form that URL parsers write, without user and password. `PARLEY_ATTACHMENT_HOSTS` names the hosts; without ' +
      'that setting a message with attachments is `invalid`. `*.example.com` is every host below `example.com`, not ' +
      '`example.com` itself, and a host without a port is port 443. The server never fetches the file: each client ' +
      'that shows the message does.',
    kind: 'write',
    weight: 1,
    scope: 'publish',
    http: { method: 'POST', path: '/rooms/{room}/messages', status: 201, generates: 'id' },
    message: 'replyTo',
    input: z.object({
      room: roomId,
      id: z.uuid().toLowerCase(),
      body: messageBody.describe('any JSON but null, at most 16 KiB and 32 levels deep; no NUL, no lone surrogates'),
      replyTo: seq.optional().describe('the seq of the message that this one answers'),
      lane: z
        .enum(lanes)
        .optional()
        .describe('planned: the priority of notifications, which is stored and not yet read'),
    }),
    output: z.object({ seq, rev, at: instant }),
    errors: ['not_found', 'not_member', 'forbidden', 'conflict', 'too_large'],
  },
  'message:get': {
    about: 'One message in its present state. A deleted message keeps its place, without a body.',
    kind: 'read',
    weight: 1,
    scope: 'messages:read',
    http: { method: 'GET', path: '/rooms/{room}/messages/{seq}', asOwner: true },
    answer: 'page',
    message: 'seq',
    input: z.object({ room: roomId, seq }),
    output: z.object({ message }),
    errors: ['not_found', 'not_member'],
  },
  'message:edit': {
    about:
      'Replaces the body of a message. Its author may, for as long as the server allows, and only where the author ' +
      'may send; owners and admins may at any time. The same body again changes nothing. The room gets ' +
      '`message:updated`.',
    kind: 'write',
    weight: 2,
    scope: 'publish',
    http: { method: 'PATCH', path: '/rooms/{room}/messages/{seq}', ifMatch: 'message:get' },
    message: 'seq',
    input: z.object({
      room: roomId,
      seq,
      body: messageBody.describe('as in `message:send`'),
    }),
    output: z.object({ seq, rev, at: instant.describe('when it was edited; milliseconds since 1970, UTC') }),
    errors: ['not_found', 'not_member', 'forbidden', 'too_large'],
  },
  'message:delete': {
    about:
      'Deletes a message, for its author, owners and admins. The place of the message remains: seq, id, sender, and ' +
      'the times and users of its changes. Its body, the earlier bodies and its reactions are gone for everybody. ' +
      'Deleting the message again changes nothing. The room gets `message:deleted`.',
    kind: 'write',
    weight: 2,
    scope: 'publish',
    http: { method: 'DELETE', path: '/rooms/{room}/messages/{seq}', asOwner: true, ifMatch: 'message:get' },
    message: 'seq',
    input: z.object({ room: roomId, seq }),
    output: z.object({ seq, rev }),
    errors: ['not_found', 'not_member', 'forbidden'],
  },
  'message:versions': {
    about:
      'The earlier bodies of a message, newest first, for owners and admins. Version 1 is the body that was sent. ' +
      `Pass \`before\` on for the next page. If there are more than ${limits.messageVersions}, the first and the ` +
      'newest are kept. A deletion is a version too, and leaves the bodies of all of them null.',
    kind: 'read',
    weight: 2,
    scope: 'messages:read',
    http: {
      method: 'GET',
      path: '/rooms/{room}/messages/{seq}/versions',
      pages: { items: 'versions', next: [{ from: 'before', to: 'before' }] },
      asOwner: true,
    },
    answer: 'page',
    message: 'seq',
    input: z.object({ room: roomId, seq, before: version.optional(), limit: pageLimit }),
    output: z.object({
      versions: z.array(
        z.object({
          version,
          body: z.json(),
          by: userId.describe('the user who replaced it'),
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
    kind: 'write',
    weight: 1,
    scope: 'publish',
    http: { method: 'PUT', path: '/rooms/{room}/messages/{seq}/reactions/{emoji}' },
    message: 'seq',
    ...reacting,
    errors: ['not_found', 'not_member', 'forbidden', 'limit_reached'],
  },
  'reaction:remove': {
    about: 'Takes your reaction back. If there is none, nothing changes. The room gets `reaction`.',
    kind: 'write',
    weight: 1,
    scope: 'publish',
    http: { method: 'DELETE', path: '/rooms/{room}/messages/{seq}/reactions/{emoji}' },
    message: 'seq',
    ...reacting,
    errors: ['not_found', 'not_member', 'forbidden'],
  },
  'message:pin': {
    about:
      'Pins a message: for owners and admins, in direct rooms for both. Doing it again changes nothing. At most ' +
      `${limits.pins} in a room. The room gets \`pin\`.`,
    kind: 'write',
    weight: 2,
    scope: 'publish',
    http: { method: 'PUT', path: '/rooms/{room}/pins/{seq}', asOwner: true },
    message: 'seq',
    ...pinning,
    errors: ['not_found', 'not_member', 'forbidden', 'limit_reached'],
  },
  'message:unpin': {
    about:
      'Removes a pin, for the same users as `message:pin`. If there is none, nothing changes. The room gets `pin`.',
    kind: 'write',
    weight: 2,
    scope: 'publish',
    http: { method: 'DELETE', path: '/rooms/{room}/pins/{seq}', asOwner: true },
    message: 'seq',
    ...pinning,
    errors: ['not_found', 'not_member', 'forbidden'],
  },
  'room:pins': {
    about: 'The pinned messages of a room, the last pinned first.',
    kind: 'read',
    weight: 2,
    scope: 'messages:read',
    http: { method: 'GET', path: '/rooms/{room}/pins', asOwner: true },
    answer: 'page',
    input: z.object({ room: roomId }),
    output: z.object({ messages: z.array(message), rev }),
    errors: ['not_found', 'not_member'],
  },
  mentions: {
    about:
      'The messages that mention you, in the rooms you are in, the last first; a deleted message mentions nobody. ' +
      'Mentions by users whom you have blocked are left out. Pass `before` on for the next page.',
    kind: 'read',
    weight: 4,
    scope: 'messages:read',
    http: { method: 'GET', path: '/mentions', pages: { items: 'mentions', next: [{ from: 'before', to: 'before' }] } },
    answer: 'page',
    input: z.object({ before: cursor.optional(), limit: pageLimit }),
    output: z.object({
      mentions: z.array(
        z.object({
          at: instant.describe('when it mentioned you, perhaps by an edit'),
          everybody: z.boolean().describe('as one of all in the room'),
          message,
        }),
      ),
      before: cursor.nullable(),
      more: z.boolean(),
    }),
    errors: [],
  },
} as const satisfies Declarations;
