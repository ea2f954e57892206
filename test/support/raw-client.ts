/** A plain WebSocket on the socket path, for frames typed by hand. */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import { until } from './until.ts';

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

export interface RawClient {
  readonly ws: WebSocket;
  /** Frames that nobody has taken yet. */
  readonly frames: string[];
  /** Sends frames. By default the client answers pings by itself, and pings are not among the frames then. */
  send(...frames: string[]): void;
  /** Takes the next frame, or the next that begins with `prefix`, leaving the others. */
  next(prefix?: string): Promise<string>;
  /** Undefined while it is open. */
  closed(): Closed | undefined;
  /** Resolves when the server has closed it. */
  untilClosed(): Promise<Closed>;
  close(): Promise<void>;
}

export interface RawOptions {
  readonly query?: string;
  /** A list: a line each. */
  readonly headers?: Record<string, string | string[]>;
  readonly silent?: boolean;
  /** Where it comes from: any of 127.0.0.0/8 is of this machine. */
  readonly localAddress?: string;
}

export const socketQuery = 'EIO=4&transport=websocket';

export async function openRaw(url: string, options: RawOptions = {}): Promise<RawClient> {
  const ws = start(url, options);
  const frames: string[] = [];
  let closed: Closed | undefined;
  ws.on('message', (data: Buffer, isBinary) => {
    const text = data.toString('utf8');
    if (text === '2' && !isBinary && options.silent !== true) ws.send('3');
    else frames.push(text);
  });
  ws.on('close', (code, reason) => {
    closed = { code, reason: reason.toString('utf8') };
  });
  ws.on('error', () => {}); // a close follows
  await opened(ws);
  return {
    ws,
    frames,
    send: (...texts) => texts.forEach((text) => ws.send(text)),
    next: (prefix = '') =>
      until(`a frame ${prefix}… comes`, () => {
        const at = frames.findIndex((frame) => frame.startsWith(prefix));
        if (at === -1 && closed !== undefined)
          throw new Error(`closed with ${closed.code} ${closed.reason} before a frame ${prefix}… came`);
        return at === -1 ? undefined : frames.splice(at, 1)[0];
      }),
    closed: () => closed,
    untilClosed: () => until('the server closes the connection', () => closed),
    async close() {
      if (closed !== undefined) return;
      ws.close();
      await until('the close handshake is done', () => closed);
    },
  };
}

/** A connection past CONNECT and `ready`, whose frames have been taken. */
export async function connectRaw(url: string, token: string, options: RawOptions = {}): Promise<RawClient> {
  const client = await openRaw(url, options);
  await client.next('0{');
  client.send(`40${JSON.stringify({ token })}`);
  await client.next('40{');
  await client.next('42["ready",');
  return client;
}

/** The status and body with which an upgrade is refused. */
export async function refusedUpgrade(
  url: string,
  options: RawOptions = {},
): Promise<{ status: number; body: unknown; headers: IncomingMessage['headers'] }> {
  const ws = start(url, options);
  ws.on('error', () => {});
  const answer = await Promise.race([
    once(ws, 'unexpected-response') as Promise<[unknown, IncomingMessage]>,
    once(ws, 'open').then(() => undefined),
  ]);
  if (answer === undefined) {
    ws.terminate();
    throw new Error('the upgrade was accepted');
  }
  const [, response] = answer;
  let text = '';
  for await (const chunk of response) text += String(chunk);
  ws.terminate();
  return { status: response.statusCode ?? 0, body: JSON.parse(text), headers: response.headers };
}

function start(url: string, { query = socketQuery, headers = {}, localAddress }: RawOptions): WebSocket {
  const target = new URL(`/socket.io/?${query}`, url.replace('http', 'ws'));
  if (localAddress !== undefined) target.hostname = '127.0.0.1';
  return new WebSocket(target, {
    headers: headers as Record<string, string>,
    ...(localAddress === undefined ? {} : { localAddress }),
  });
}

async function opened(ws: WebSocket): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    ws.once('open', resolve);
    ws.once('error', reject);
  });
}
