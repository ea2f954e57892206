/** Signals: events that are not stored. */
import { z } from 'zod';
import type { Declarations } from '../command-schema.ts';
import { limits } from '../limits.ts';
import { plainText, roomId } from '../model.ts';

/** The fields of a signal, in the command and in `POST /signals`. */
export const signalFields = {
  name: plainText(limits.signalNameLength),
  expires: z
    .int()
    .min(100)
    .max(limits.signalExpiryMs)
    .default(limits.signalDefaultExpiryMs)
    .describe('milliseconds for which the signal counts'),
  data: z.unknown().optional().describe('any JSON, at most 16 KiB'),
};

export const signalCommands = {
  signal: {
    about:
      'An event to everybody else in the room that is not stored: typing, pointers, WebRTC offers. The operator ' +
      'sets a rate of signals for each connection, apart from the rate of its commands.',
    kind: 'signal',
    weight: 1,
    scope: 'publish',
    http: { method: 'POST', path: '/rooms/{room}/signals' },
    input: z.object({ room: roomId, ...signalFields }),
    output: z.object({}),
    errors: ['not_found', 'not_member', 'forbidden', 'too_large'],
  },
} as const satisfies Declarations;
