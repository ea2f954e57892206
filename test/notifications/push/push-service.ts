/**
 * A push service and its browsers, written from the texts of RFC 8030, 8188, 8291 and 8292. The library of the server has no
 * part in them. The service checks the identity of the server, and the browser decrypts.
 */
import { createDecipheriv, createECDH, createPublicKey, hkdfSync, randomBytes, verify, type ECDH } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** The data of a push. */
export interface Payload {
  readonly type: 'message' | 'clear';
  readonly room: string;
  readonly seq?: number;
  readonly upTo?: number;
  readonly tag: string;
  readonly badge: number;
  readonly senderName?: string;
  readonly roomName?: string;
  readonly text?: string | null;
}

export interface Received {
  readonly browser: Browser;
  readonly payload: Payload;
  readonly headers: IncomingMessage['headers'];
  readonly at: number;
}

/** The host of the endpoints: a name that stands for this machine. */
export const serviceHost = 'localhost';
/** The setting that lets a server reach the service. */
export const serviceNetworks = '127.0.0.1,::1';

export class Browser {
  readonly endpoint: string;
  readonly received: Received[] = [];
  readonly #key: ECDH = createECDH('prime256v1');
  readonly #auth = randomBytes(16);

  constructor(base: string) {
    this.endpoint = `${base}/push/${randomBytes(16).toString('base64url')}`;
    this.#key.generateKeys();
  }

  /** As `PushSubscription.toJSON()`. */
  get subscription() {
    const keys = { p256dh: this.#key.getPublicKey('base64url'), auth: this.#auth.toString('base64url') };
    return { endpoint: this.endpoint, keys };
  }

  /** RFC 8291 over RFC 8188, one record. */
  decrypt(body: Buffer): Payload {
    const salt = body.subarray(0, 16);
    const idLength = body.readUInt8(20);
    const theirs = body.subarray(21, 21 + idLength);
    const secret = this.#key.computeSecret(theirs);
    const info = Buffer.concat([Buffer.from('WebPush: info\0'), this.#key.getPublicKey(), theirs]);
    const ikm = Buffer.from(hkdfSync('sha256', secret, this.#auth, info, 32));
    const derive = (label: string, length: number): Buffer =>
      Buffer.from(hkdfSync('sha256', ikm, salt, `Content-Encoding: ${label}\0`, length));
    const sealed = body.subarray(21 + idLength);
    const decipher = createDecipheriv('aes-128-gcm', derive('aes128gcm', 16), derive('nonce', 12));
    decipher.setAuthTag(sealed.subarray(-16));
    const plain = Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]);
    // the last record ends with 2 and zeros
    return JSON.parse(plain.subarray(0, plain.lastIndexOf(2)).toString()) as Payload;
  }
}

export interface PushService {
  readonly url: string;
  /** Everything that came, also what the answer refused. */
  readonly received: Received[];
  /** Replaces the answer 201. The answer may come later. */
  answer: (received: Received, response: ServerResponse) => void;
  browser(): Browser;
  close(): void;
}

function accept(_: Received, response: ServerResponse): void {
  response.writeHead(201).end();
}

export async function startPushService(publicKey: () => string): Promise<PushService> {
  const browsers = new Map<string, Browser>();
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const browser = browsers.get(request.url ?? '');
      if (browser === undefined) {
        response.writeHead(404).end();
        return;
      }
      if (!isIdentified(request, service.url, publicKey())) {
        response.writeHead(403).end();
        return;
      }
      const payload = browser.decrypt(Buffer.concat(parts));
      const one = { browser, payload, headers: request.headers, at: Date.now() };
      service.received.push(one);
      browser.received.push(one);
      service.answer(one, response);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://${serviceHost}:${(server.address() as AddressInfo).port}`;
  const service: PushService = {
    url,
    received: [],
    answer: accept,
    browser() {
      const browser = new Browser(url);
      browsers.set(new URL(browser.endpoint).pathname, browser);
      return browser;
    },
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
  return service;
}

/** RFC 8292: a signed token for this origin, which ends within a day, by the key with which the browser subscribed. */
function isIdentified({ headers }: IncomingMessage, origin: string, publicKey: string): boolean {
  const [, token = '', key = ''] = /^vapid t=([^,]+), ?k=(.+)$/.exec(headers.authorization ?? '') ?? [];
  const [head = '', body = '', signature = ''] = token.split('.');
  const point = Buffer.from(publicKey, 'base64url');
  const jwk = {
    kty: 'EC',
    crv: 'P-256',
    x: point.toString('base64url', 1, 33),
    y: point.toString('base64url', 33, 65),
  };
  const isSigned = verify(
    'sha256',
    Buffer.from(`${head}.${body}`),
    { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' },
    Buffer.from(signature, 'base64url'),
  );
  const { aud, exp, sub } = JSON.parse(Buffer.from(body, 'base64url').toString()) as Record<string, unknown>;
  const leftMs = Number(exp) * 1000 - Date.now();
  return (
    key === publicKey &&
    isSigned &&
    aud === origin &&
    leftMs > 0 &&
    leftMs <= 86_400_000 &&
    String(sub).startsWith('mailto:')
  );
}
