/** Sends a command to the running server of a data folder (protocol.ts), and prints its output. */
import { once } from 'node:events';
import { lstatSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { splitLines } from '../../transfer/split-lines.ts';
import { errorCode, StartupError } from '../../startup-error.ts';
import { answer, maxAnswerBytes, type Request } from './protocol.ts';

export interface Outputs {
  readonly out: NodeJS.WritableStream & { readonly writableLength: number };
  note(line: string): void;
}

/**
 * Output that a slow reader, such as a pager, has not taken. The server must not wait for that reader, so the rest waits here.
 */
const maxUnreadBytes = 512 * 1024 * 1024;

/**
 * @param input the input of the command; undefined: the command reads none
 * @returns the exit code; undefined if no server runs there
 * @throws {StartupError}
 */
export async function runInServer(
  path: string,
  request: Request,
  input: Readable | undefined,
  outputs: Outputs,
): Promise<number | undefined> {
  if (!isOwnSocket(path)) return undefined;
  const socket = await connected(path);
  if (socket === undefined) return undefined;
  const closed = watchOutput(outputs.out, socket);
  try {
    socket.write(`${JSON.stringify(request)}\n`);
    // a server that refuses the command reads no input: its answer is the reason
    input?.once('error', () => socket.destroy()).pipe(socket);
    const code = await printAnswers(socket, outputs);
    if (code !== undefined) return code;
    throw new StartupError(closed() ?? 'The running server ended before the command did; its outcome is unknown.');
  } finally {
    socket.destroy();
    input?.destroy();
  }
}

/** @returns the exit code; undefined if the connection ended without one. */
async function printAnswers(socket: Socket, outputs: Outputs): Promise<number | undefined> {
  try {
    for await (const line of splitLines(socket, maxAnswerBytes)) {
      const one = answer.parse(JSON.parse(line));
      if ('exit' in one) return one.exit;
      if ('err' in one) {
        outputs.note(one.err);
        continue;
      }
      outputs.out.write(one.out);
      if (outputs.out.writableLength > maxUnreadBytes)
        throw new StartupError('The reader of the output is too slow; write the output to a file first.');
    }
    return undefined;
  } catch (error) {
    if (error instanceof StartupError) throw error;
    if (errorCode(error) === 'ECONNRESET' || errorCode(error) === 'ERR_STREAM_PREMATURE_CLOSE') return undefined;
    throw new StartupError(`The running server sent an answer that this version cannot read: ${errorCode(error)}`, {
      cause: error,
    });
  }
}

/** Ends the connection when the reader of the output is gone. @returns a function that returns the reason, if there is one */
function watchOutput(out: NodeJS.WritableStream, socket: Socket): () => string | undefined {
  let reason: string | undefined;
  out.once('error', (error: Error) => {
    reason = `The output was closed: ${error.message}`;
    socket.destroy();
  });
  return () => reason;
}

/** @returns undefined if the socket is one of a dead process. */
async function connected(path: string): Promise<Socket | undefined> {
  const socket = connect({ path, allowHalfOpen: true });
  try {
    await once(socket, 'connect');
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ECONNREFUSED' || code === 'ENOENT') return undefined;
    throw new StartupError(`The running server cannot be reached at ${path}: ${code}`, { cause: error });
  }
  // a server that refuses the request closes before it has read all input
  socket.on('error', () => {});
  return socket;
}

/**
 * Another user may have made a socket of that name, to read the input of commands. The socket must belong to this user, to
 * the owner of the folder, or to root.
 */
function isOwnSocket(path: string): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return false;
  const owners = [process.getuid?.(), lstatSync(dirname(path)).uid, 0];
  if (found.isSocket() && owners.includes(found.uid)) return true;
  throw new StartupError(`${path} is no socket of a running Parley server of this user; remove the file.`);
}
