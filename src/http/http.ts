/** Answering and reading HTTP on uWS, whose rules are strict: never touch a response after an abort, never leave one open. */
import uWS, { type HttpRequest, type HttpResponse } from 'uWebSockets.js';
import type { ClientAddress } from './client-address.ts';
import { errorCatalogue, ParleyError } from '../protocol/errors.ts';

export interface HttpAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly json?: object;
  /** Sent as it is; with the Content-Type of `headers`. */
  readonly body?: string | Uint8Array<ArrayBuffer>;
}

const reasons: Record<number, string> = {
  200: 'OK',
  204: 'No Content',
  304: 'Not Modified',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  413: 'Content Too Large',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};

// uWS names itself in every answer otherwise
(uWS as unknown as { _cfg(key: string): void })._cfg('silent');

/** Of every answer: nothing here is to be framed, guessed at or told of. Pages bring a policy of their own. */
export const safeHeaders = {
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'Referrer-Policy': 'no-referrer',
} as const;

/** Call it with a response that is neither answered nor aborted. */
export function answer(res: HttpResponse, { status, headers, json, body }: HttpAnswer, withoutBody = false): void {
  res.cork(() => {
    res.writeStatus(`${status} ${reasons[status] ?? ''}`);
    if (json !== undefined)
      res.writeHeader('Content-Type', 'application/json; charset=utf-8').writeHeader('Cache-Control', 'no-store');
    for (const [name, value] of Object.entries({ ...safeHeaders, ...headers })) res.writeHeader(name, value);
    const content = json === undefined ? (body ?? '') : JSON.stringify(json);
    if (status === 204) res.endWithoutBody();
    // given a length, endWithoutBody would wait for the body, and the connection's next request be its end
    else if (withoutBody) res.writeHeader('Content-Length', String(Buffer.byteLength(content))).endWithoutBody();
    else res.end(content);
  });
}

/**
 * The same for a large body, to a client that may not read it. uWS takes what the socket takes; the rest stays with the
 * caller, and `left` gets the number of its bytes at each step. The caller has attached `onAborted`.
 */
export function answerInParts(
  res: HttpResponse,
  { headers, body }: { headers: Readonly<Record<string, string>>; body: Uint8Array<ArrayBuffer> },
  left: (bytes: number) => void = () => {},
): void {
  const write = (from: number): boolean => {
    const [ok, done] = res.tryEnd(body.subarray(from), body.byteLength);
    left(done ? 0 : body.byteLength - res.getWriteOffset());
    return ok;
  };
  res.cork(() => {
    res.writeStatus('200 OK');
    for (const [name, value] of Object.entries({ ...safeHeaders, ...headers })) res.writeHeader(name, value);
    if (!write(0)) res.onWritable((offset) => write(offset));
  });
}

/**
 * Whether two parties on the way could take another part of the stream for its body. uWS goes by one of the lengths; a proxy
 * that goes by another one would take the rest for the next request. Such a connection is closed without an answer: uWS would
 * read on behind one, also where the answer says that the connection closes.
 */
export function isAmbiguous(req: HttpRequest): boolean {
  if (req.getHeader('content-length') === '' && req.getHeader('transfer-encoding') === '') return false;
  let lengths = 0;
  req.forEach((name) => {
    if (name === 'content-length' || name === 'transfer-encoding') lengths++;
  });
  return lengths > 1;
}

/** The catalogue's error as an answer. */
export function errorAnswer(error: ParleyError): HttpAnswer {
  const { httpStatus } = errorCatalogue[error.code];
  const headers = error.retryAfter === undefined ? {} : { 'Retry-After': String(Math.ceil(error.retryAfter / 1000)) };
  return { status: httpStatus, json: { error: error.toWire() }, headers };
}

/** What a handler may use after the first await: nothing of uWS's request survives it. */
export interface Received {
  /** The client's, as the proxies that are trusted tell it. */
  readonly address: string;
  readonly body: () => Promise<Buffer>;
}

export type Handler = (request: Received) => HttpAnswer | Promise<HttpAnswer>;

/** Runs a handler so that there is exactly one answer, or none after an abort. `failed` hears what was not foreseen. */
export function handle(
  res: HttpResponse,
  req: HttpRequest,
  handler: Handler,
  options: {
    maxBodyBytes: number;
    clientAddress: ClientAddress;
    failed: (error: unknown) => void;
    /** Of every answer, an error too. */
    headers?: Readonly<Record<string, string>>;
  },
): void {
  let aborted = false;
  res.onAborted(() => {
    aborted = true;
  });
  const headOnly = req.getMethod() === 'head';
  const address = options.clientAddress.read(res, req);
  // the body must be asked for before this turn ends, so it is gathered in any case
  const body = readBody(res, options.maxBodyBytes);
  const reply = (http: HttpAnswer): void => {
    if (!aborted) answer(res, { ...http, headers: { ...options.headers, ...http.headers } }, headOnly);
  };
  const run = async (): Promise<void> => {
    try {
      reply(await handler({ address, body: () => body }));
    } catch (error) {
      if (!(error instanceof ParleyError)) options.failed(error);
      reply(errorAnswer(error instanceof ParleyError ? error : new ParleyError('internal')));
    }
  };
  void run();
}

/** Resolves with the whole body; rejects with `too_large`. A body whose client is gone stays pending, and is collected. */
export function readBody(res: HttpResponse, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const whole = new Promise<Buffer>((resolve, reject) => {
    res.onData((chunk, last) => {
      bytes += chunk.byteLength;
      if (bytes > maxBytes) reject(new ParleyError('too_large', `The body is over ${maxBytes} bytes.`));
      else chunks.push(Buffer.from(chunk.slice(0)));
      if (last) resolve(Buffer.concat(chunks));
    });
  });
  whole.catch(() => {}); // a handler that never asks for the body leaves its error unheard
  return whole;
}
