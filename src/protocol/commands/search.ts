/** Search in the text of messages. */
import { z } from 'zod';
import type { Declarations } from '../command-schema.ts';
import { limits } from '../limits.ts';
import { instant, message, plainText, roomId, userId } from '../model.ts';

export const searchCommands = {
  search: {
    about:
      'Finds messages of your rooms by their words, newest first: the `text` of bodies, or bodies that are a text. ' +
      'Words match anywhere in the text, and `"in quotes"` only next to each other. `or` between words matches ' +
      'either, and `-word` matches messages without it. The last word also matches by its beginning. Encrypted and ' +
      'deleted messages are not found, new ones and edits within about a second. A query of more than ' +
      `${limits.searchWords} words and operators is \`invalid\`; in scripts without spaces four characters count as a ` +
      'word. One search of a user runs at a time, and a search that takes too long is `overloaded`. Pass `next` on ' +
      'as `cursor` for the next page.',
    kind: 'read',
    weight: 10,
    scope: 'messages:read',
    http: { method: 'GET', path: '/search', pages: { items: 'hits', next: [{ from: 'next', to: 'cursor' }] } },
    answer: 'page',
    input: z.object({
      query: plainText(limits.searchQueryLength),
      room: roomId.optional(),
      from: userId.optional().describe('the sender'),
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
} as const satisfies Declarations;
