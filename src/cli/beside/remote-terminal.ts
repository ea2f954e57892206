import { once } from 'node:events';
import type { Socket } from 'node:net';
import { within, NoAnswer } from '../../jobs/within.ts';
import { StartupError } from '../../startup-error.ts';
import { printable } from '../../telemetry/printable.ts';
import type { Terminal } from '../context.ts';
import type { Answer } from './protocol.ts';

/**
 * The terminal of a client. `write` waits for the client, because an export is longer than memory. The wait has a limit.
 * An export holds the one session of the embedded database, so a stopped client would stop all users of the server.
 */
export function remoteTerminal(socket: Socket, writeMs: number): Terminal {
  const gone = new AbortController();
  socket.once('close', () => gone.abort());
  const send = (answer: Answer): boolean => socket.destroyed || socket.write(`${JSON.stringify(answer)}\n`);
  return {
    input: socket.iterator({ destroyOnReturn: false }),
    print: (line) => void send({ out: `${printable(line)}\n` }),
    note: (line) => void send({ err: printable(line) }),
    async write(text) {
      if (text !== '' && !send({ out: text })) await drained(socket, gone.signal, writeMs);
      if (socket.destroyed) throw new StartupError('The output was closed.');
    },
  };
}

async function drained(socket: Socket, gone: AbortSignal, writeMs: number): Promise<void> {
  const turn = once(socket, 'drain', { signal: gone }).catch(() => {
    // the caller finds the socket closed
  });
  await within(writeMs, turn).catch((error: unknown) => {
    if (!(error instanceof NoAnswer)) throw error;
    socket.destroy();
  });
}
