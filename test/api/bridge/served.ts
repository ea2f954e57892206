/** A `fetch` function on a port of this process, and raw bytes to it. */
import { connect, type Socket } from 'node:net';
import uWS from 'uWebSockets.js';
import { serveFetch, type Fetch, type FetchOptions } from '../../../src/api/bridge/bridge.ts';
import { ClientAddress } from '../../../src/http/client-address.ts';
import { until } from '../../support/until.ts';

export interface Served {
  readonly port: number;
  /** With the prefix `/api`. */
  readonly url: string;
  /** Errors that no handler has answered. */
  readonly failures: unknown[];
  stop(): void;
}

export const maxBodyBytes = 1000;

export async function serve(fetch: Fetch, options: Partial<FetchOptions> = {}): Promise<Served> {
  const app = uWS.App();
  const failures: unknown[] = [];
  serveFetch(app, '/api', fetch, {
    clientAddress: new ClientAddress([]),
    maxBodyBytes,
    failed: (error) => failures.push(error),
    ...options,
  });
  const port = await new Promise<number>((resolve, reject) => {
    app.listen('127.0.0.1', 0, (socket) => {
      if (socket === false) reject(new Error('no port'));
      else resolve(uWS.us_socket_local_port(socket as never));
    });
  });
  return { port, url: `http://127.0.0.1:${port}/api`, failures, stop: () => void app.close() };
}

export interface Raw {
  readonly socket: Socket;
  /** The bytes that arrived, as latin1. */
  text(): string;
  closed(): boolean;
  send(bytes: string | Uint8Array): void;
  /** Waits for text that matches. */
  reads(pattern: RegExp): Promise<string>;
  untilClosed(): Promise<string>;
  end(): void;
}

export async function open(port: number): Promise<Raw> {
  const socket = connect(port, '127.0.0.1');
  let text = '';
  let closed = false;
  socket.on('data', (data) => (text += data.toString('latin1')));
  // a connection that is cut with bytes on the way ends with an error
  socket.on('error', () => (closed = true)).on('close', () => (closed = true));
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  return {
    socket,
    text: () => text,
    closed: () => closed,
    send: (bytes) => void socket.write(bytes),
    async reads(pattern) {
      await until(
        () => `${String(pattern)} arrives; there is ${JSON.stringify(text.slice(0, 500))}`,
        () => pattern.test(text),
      );
      return text;
    },
    async untilClosed() {
      await until('the server closes the connection', () => closed);
      return text;
    },
    end: () => void socket.destroy(),
  };
}

/** The answer to one raw request on a connection of its own. The request has `Connection: close`, or the server closes. */
export async function exchange(port: number, bytes: string | Uint8Array): Promise<string> {
  const raw = await open(port);
  raw.send(bytes);
  const text = await raw.untilClosed();
  raw.end();
  return text;
}
