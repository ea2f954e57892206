import type { Socket } from 'node:net';
import { maxRequestBytes } from './protocol.ts';

/** The client sent no valid request. */
export class RequestFault extends Error {}

/**
 * The first line of a connection. The bytes after the line stay in the socket, paused.
 * @throws {RequestFault} if the line is too long, or does not come in time
 */
export function readRequestLine(socket: Socket, limitMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const stop = (): void => {
      clearTimeout(timer);
      socket.off('data', receive).off('end', ended).off('close', ended).pause();
    };
    const fail = (why: string): void => {
      stop();
      reject(new RequestFault(why));
    };
    const timer = setTimeout(() => fail(`No request came within ${limitMs} ms.`), limitMs);
    const ended = (): void => fail('The connection ended before its request.');
    const receive = (chunk: Buffer): void => {
      const at = chunk.indexOf('\n');
      bytes += at === -1 ? chunk.length : at;
      if (bytes > maxRequestBytes) return fail(`The request is longer than ${maxRequestBytes} bytes.`);
      chunks.push(at === -1 ? chunk : chunk.subarray(0, at));
      if (at === -1) return;
      stop();
      if (at + 1 < chunk.length) socket.unshift(chunk.subarray(at + 1));
      resolve(Buffer.concat(chunks).toString());
    };
    socket.on('data', receive).on('end', ended).on('close', ended).resume();
  });
}
