/** Messages and signals of back ends, many in one request. */
import { z } from 'zod';
import { signalFields } from '../commands/signals.ts';
import { limits } from '../limits.ts';
import { instant, messageBody, plainText, rev, roomId, seq, userId, userName } from '../model.ts';
import type { RouteDeclarations } from '../route-schema.ts';

const failure = z.object({
  error: z.object({
    code: z.string().describe('the code of the error: see the table of errors'),
    message: z.string(),
    retryable: z.boolean().describe('whether the same message may be stored later'),
    retryAfter: z.int().optional().describe('milliseconds to wait before the next try'),
  }),
});

const publishedMessage = z.strictObject({
  room: roomId,
  id: z.uuid().toLowerCase().optional().describe('absent: the Idempotency-Key of a lone message, else a new UUID'),
  sender: userId.optional().describe('for API keys any user id, also of no member; for tokens the user, or absent'),
  senderName: userName.optional().describe('the name of a sender who has no stored name'),
  body: messageBody.describe('as in `message:send`'),
  replyTo: seq.optional().describe('the seq of the message that this one answers'),
  lane: z.enum(['critical', 'high', 'normal', 'low', 'batch']).optional(),
});

const target = z.union([
  z.strictObject({ room: roomId }),
  z.strictObject({ user: userId }),
  z.strictObject({ connection: plainText(64).describe('the public id of a connection: the `session` of `ready`') }),
]);

export const publishRoutes = {
  publish: {
    about:
      'Stores messages and sends them to the members of their rooms. Each message has its own outcome, in the order of ' +
      'the request. An API key publishes into each room of its patterns, for each sender. Membership, mutes, slow mode and ' +
      '`senders` do not count then. A token, or a key that names a user in `Parley-User`, publishes as that user, by ' +
      'the rules of `message:send`. The same id again returns the first `seq` with `duplicate`, and stores nothing. ' +
      '`atomic`: all messages are stored in one commit, or none of them. Each message takes one unit of the rate.',
    kind: 'write',
    weight: 1,
    batch: 'messages',
    scope: 'publish',
    callers: 'caller',
    http: { method: 'POST', path: '/publish' },
    input: z.object({
      messages: z.array(publishedMessage).min(1).max(limits.publishedMessages),
      atomic: z.boolean().default(false),
    }),
    output: z.object({
      results: z.array(
        z.union([
          z.object({
            id: z.uuid(),
            seq,
            rev,
            at: instant,
            duplicate: z.literal(true).optional().describe('the message was stored before'),
          }),
          failure,
        ]),
      ),
    }),
    errors: ['too_large', 'forbidden'],
  },
  signals: {
    about:
      'Sends signals that are not stored. A room gets `signal`, a user on all connections or one connection gets ' +
      '`signal:direct`. Signals are delivered at most once: offline or slow connections do not get them, and no ' +
      'error says so. Only a key for every room may name users and connections. Each signal takes one unit of the rate.',
    kind: 'signal',
    weight: 1,
    batch: 'signals',
    scope: 'publish',
    callers: 'key',
    http: { method: 'POST', path: '/signals' },
    input: z.object({
      signals: z
        .array(z.strictObject({ to: target, ...signalFields }))
        .min(1)
        .max(limits.publishedSignals),
    }),
    output: z.object({ results: z.array(z.union([failure, z.object({})])) }),
    errors: ['too_large', 'forbidden'],
  },
} as const satisfies RouteDeclarations;
