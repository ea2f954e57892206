/** Requests of long-polling, one connection each, where every header can be set and left out. */
import { request as start, type ClientRequest, type IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';

export const path = '/socket.io/';
export const pollingQuery = 'EIO=4&transport=polling';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface RequestOptions {
  readonly method?: string;
  readonly query?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | readonly string[];
}

export interface Pending {
  readonly request: ClientRequest;
  readonly answer: Promise<Answer>;
}

/** A body in several pieces is sent chunked. */
export function begin(url: string, options: RequestOptions = {}): Pending {
  const { method = 'GET', query = pollingQuery, headers = {}, body } = options;
  const sent = start(new URL(`${path}?${query}`, url), { method, headers, agent: false });
  const answer = new Promise<Answer>((resolve, reject) => {
    sent.once('error', reject);
    // an unexpected 101; nobody here asks for one
    sent.once('upgrade', (_, socket) => {
      socket.destroy();
      reject(new Error('the server upgraded'));
    });
    sent.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString('utf8'),
        }),
      );
    });
  });
  answer.catch(() => {}); // a waiting caller gets the error too
  if (typeof body === 'object') for (const part of body) sent.write(part);
  sent.end(typeof body === 'string' ? body : undefined);
  return { request: sent, answer };
}

export function request(url: string, options?: RequestOptions): Promise<Answer> {
  return begin(url, options).answer;
}

/** A connection whose bytes are written as they are. */
export interface Raw {
  /** All that came, when the server has closed. */
  readonly answer: Promise<string>;
  /** Resolves when the kernel has them. */
  write(bytes: string): Promise<void>;
  destroy(): void;
}

export function openRawHttp(url: string): Raw {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  let text = '';
  socket.setEncoding('utf8').on('data', (part: string) => (text += part));
  socket.on('error', () => {}); // a close follows
  return {
    answer: new Promise((resolve) => socket.once('close', () => resolve(text))),
    write: (bytes) => new Promise((resolve) => void socket.write(bytes, () => resolve())),
    destroy: () => void socket.destroy(),
  };
}

export async function raw(url: string, bytes: string): Promise<string> {
  const socket = openRawHttp(url);
  await socket.write(bytes);
  return socket.answer;
}
