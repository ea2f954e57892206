/**
 * A command of the command line, sent to a running server over a Unix socket in the data folder.
 *
 * The client sends one line of JSON, the request. The rest of its bytes are the input of the command, until the client
 * ends its side. The server sends lines of JSON: pieces of the output, and last the exit code. A connection that ends
 * without an exit code means that the server ended, or that the command was cut off.
 */
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { z } from 'zod';
import { socketPath } from '../../storage/data-folder.ts';

export const request = z.strictObject({
  command: z.string().max(64),
  arguments: z.array(z.string().max(4096)).max(64),
});
export type Request = z.infer<typeof request>;

export const answer = z.union([
  /** Text for the standard output. */
  z.strictObject({ out: z.string() }),
  /** A line for the standard error. */
  z.strictObject({ err: z.string() }),
  z.strictObject({ exit: z.int().min(0).max(255) }),
]);
export type Answer = z.infer<typeof answer>;

export const maxRequestBytes = 64 * 1024;
/** A piece of an export is a page of messages. */
export const maxAnswerBytes = 64 * 1024 * 1024;

/** One socket for each database, because servers of several databases may have the same data folder. */
export function commandSocket(dataDir: string, databaseUrl: string | undefined): string {
  const mark =
    databaseUrl === undefined ? '' : `-${createHash('sha256').update(databaseUrl).digest('hex').slice(0, 12)}`;
  return socketPath(resolve(dataDir), `parley${mark}.sock`);
}
