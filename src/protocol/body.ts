/** The fields that the server reads in a body that is an object. All other fields belong to the clients. */
import { z } from 'zod';
import { limits } from './limits.ts';
import { displayText, userId } from './model.ts';

/** In `mentions`, and after `@` in a text: all members of the room. */
export const everybody = 'room';

const pixels = z.int().min(1).max(65_535);

/** Strict: another key could carry another address, which nobody would have checked. */
export const attachment = z.strictObject({
  url: z.string().min(1).max(limits.attachmentUrlLength),
  type: z
    .string()
    .max(127)
    .regex(/^[a-z]+\/[a-z0-9][a-z0-9.+_-]*$/, 'a media type in small letters, without parameters'),
  size: z.int().min(0).describe('bytes'),
  name: displayText(limits.attachmentNameLength).optional(),
  width: pixels.optional(),
  height: pixels.optional(),
});

export const attachments = z.array(attachment).max(limits.attachments, `at most ${limits.attachments} files`);

const uploadId = z.string().regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, 'the id of an upload');

/** A file that the sender has uploaded to this server. Strict, as an attachment is. */
export const messageFile = z.strictObject({
  upload: uploadId,
  name: displayText(limits.attachmentNameLength),
  type: z.string().max(127),
  bytes: z.int().min(1),
  width: pixels.optional(),
  height: pixels.optional(),
  thumbnail: uploadId.optional().describe('another upload: a small image of the file'),
});

export const messageFiles = z.array(messageFile).max(limits.attachments, `at most ${limits.attachments} files`);

export const mentions = z
  .array(z.union([z.literal(`@${everybody}`), userId]))
  .max(limits.mentions, `at most ${limits.mentions} users`);

/** The names of the algorithm and of the key. Clients agree on everything else. */
export const encrypted = z.looseObject({
  alg: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.:+/-]{0,63}$/, 'the name of an algorithm: 1 to 64 letters'),
  kid: z.string().regex(/^[\x21-\x7e]{1,128}$/, 'the id of a key: 1 to 128 visible characters of ASCII'),
});

export type MessageFile = z.infer<typeof messageFile>;
export type Attachment = z.infer<typeof attachment>;
