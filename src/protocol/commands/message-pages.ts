/** The form of a page of messages in seq order: the parts that `history` and `thread:history` share. */
import { z } from 'zod';
import { pageLimit } from '../command-schema.ts';
import { message, rev, seq } from '../model.ts';

/** The fields of an answer from which the link to the next page is made. */
export const pagesOfMessages = {
  items: 'messages',
  next: [
    { from: 'after', to: 'after' },
    { from: 'before', to: 'before' },
  ],
} as const;

export const pageInput = { before: seq.optional(), after: z.int().min(0).optional(), limit: pageLimit };

/** A page has one of the two directions. */
export const oneDirection = [
  (page: { readonly before?: number | undefined; readonly after?: number | undefined }): boolean =>
    page.before === undefined || page.after === undefined,
  'give before or after, not both',
] as const;

export const pageOutput = {
  messages: z.array(message),
  before: seq.nullable().describe('pass as `before` for the page in front of this one; null if the page is empty'),
  after: seq.nullable().describe('pass as `after` for the page behind this one; null if the page is empty'),
  more: z.boolean().describe('there is more in this direction'),
  rev,
};
