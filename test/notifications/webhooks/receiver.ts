/**
 * A receiver of webhooks, written from the text of Standard Webhooks 1.0 and not with its library. The receiver notes
 * each request, and answers as the test says.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

export interface Received {
  readonly id: string;
  readonly type: string;
  readonly body: string;
  readonly json: { readonly type: string; readonly data: Readonly<Record<string, unknown>> };
  readonly headers: IncomingMessage['headers'];
}

export interface Receiver {
  readonly url: string;
  readonly received: Received[];
  /** Replaces the answer 204. The answer may come later. */
  answer: (received: Received, response: ServerResponse) => void;
}

/** An address that no other test allows. */
export const receiverHost = '127.0.0.3';

export async function startReceiver(tls?: { readonly key: string; readonly cert: string }): Promise<Receiver> {
  const received: Received[] = [];
  const receiver = {
    url: '',
    received,
    answer: (_received: Received, response: ServerResponse): void => void response.writeHead(204).end(),
  };
  const listener: RequestListener = (request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const body = Buffer.concat(parts).toString();
      const json = JSON.parse(body) as Received['json'];
      const one = { id: String(request.headers['webhook-id']), type: json.type, body, json, headers: request.headers };
      received.push(one);
      receiver.answer(one, response);
    });
  };
  const server: Server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  server.listen(0, receiverHost);
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  receiver.url = `${tls === undefined ? 'http' : 'https'}://${receiverHost}:${port}/hook`;
  return receiver;
}

const toleranceSeconds = 300;

/**
 * The check of the standard: HMAC-SHA256 over `id.timestamp.body`, with the bytes behind `whsec_`. One of the signatures has to
 * fit, and the time has to be near.
 */
export function isSigned(secret: string, { headers, body }: Received, now = Date.now()): boolean {
  const [id, timestamp] = [headers['webhook-id'], headers['webhook-timestamp']];
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const expected = createHmac('sha256', key)
    .update(`${String(id)}.${String(timestamp)}.${body}`)
    .digest();
  if (Math.abs(now / 1000 - Number(timestamp)) > toleranceSeconds) return false;
  return String(headers['webhook-signature'])
    .split(' ')
    .some((one) => {
      const [version, text = ''] = one.split(',');
      const given = Buffer.from(text, 'base64');
      return version === 'v1' && given.length === expected.length && timingSafeEqual(given, expected);
    });
}
