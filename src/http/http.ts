/** HTTP answers and bodies on uWS. Two rules: never use a response after an abort, and never leave a response open. */
import { STATUS_CODES } from 'node:http';
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

/** The reason phrase of a status, by the names of RFC 9110. */
export function reasonOf(status: number): string {
  return status === 413 ? 'Content Too Large' : (STATUS_CODES[status] ?? '');
}

const statusLines = new Map<number, string>();

export function statusLine(status: number): string {
  let line = statusLines.get(status);
  if (line === undefined) statusLines.set(status, (line = `${status} ${reasonOf(status)}`));
  return line;
}

// by default uWS names itself in every answer
(uWS as unknown as { _cfg(key: string): void })._cfg('silent');

/** Headers of every answer: no framing, no guesses of its type, no referrer. Pages have a separate policy. */
export const safeHeaders = {
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'Referrer-Policy': 'no-referrer',
} as const;

interface AnswerForm {
  /** For HEAD: the headers alone. */
  readonly withoutBody?: boolean;
  /** Ends the connection after the answer. */
  readonly close?: boolean;
}

/** @param res neither answered nor aborted. */
export function answer(
  res: HttpResponse,
  { status, headers, json, body }: HttpAnswer,
  { withoutBody = false, close = false }: AnswerForm = {},
): void {
  res.cork(() => {
    res.writeStatus(statusLine(status));
    if (json !== undefined)
      res.writeHeader('Content-Type', 'application/json; charset=utf-8').writeHeader('Cache-Control', 'no-store');
    for (const [name, value] of Object.entries({ ...safeHeaders, ...headers })) res.writeHeader(name, value);
    const content = json === undefined ? (body ?? '') : JSON.stringify(json);
    if (status === 204) res.endWithoutBody();
    // with a length as argument, endWithoutBody would take the next request of the connection for the body
    else if (withoutBody) res.writeHeader('Content-Length', String(Buffer.byteLength(content))).endWithoutBody();
    else res.end(content, close);
  });
}

/**
 * Answers with a large body, which the client may read slowly. uWS takes as many bytes as the socket; the rest stays with
 * the caller, and `left` gets the number of unsent bytes at each step. The caller has attached `onAborted`.
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
 * Whether a proxy and uWS may disagree about the end of the body. uWS uses one of several lengths. A proxy that uses another
 * one would read the rest as the next request. The caller closes such a connection without an answer, because after an
 * answer uWS would read on, also after `Connection: close`.
 */
export function isAmbiguous(req: HttpRequest): boolean {
  if (req.getHeader('content-length') === '' && req.getHeader('transfer-encoding') === '') return false;
  let lengths = 0;
  req.forEach((name) => {
    if (name === 'content-length' || name === 'transfer-encoding') lengths++;
  });
  return lengths > 1;
}

/** The answer for an error of the catalogue. */
export function errorAnswer(error: ParleyError): HttpAnswer {
  const { httpStatus } = errorCatalogue[error.code];
  const headers = error.retryAfter === undefined ? {} : { 'Retry-After': String(Math.ceil(error.retryAfter / 1000)) };
  return { status: httpStatus, json: { error: error.toWire() }, headers };
}

/** The parts of a request that a handler may use after the first await, when uWS's own request is gone. */
export interface Received {
  /** The address of the client, as trusted proxies report it. */
  readonly address: string;
  readonly body: () => Promise<Buffer>;
}

export type Handler = (request: Received) => HttpAnswer | Promise<HttpAnswer>;

/**
 * Runs a handler with exactly one answer, or none after an abort. `failed` gets every error outside of the catalogue.
 *
 * The answer waits for the end of the request. uWS closes a connection that is idle for ten seconds after an answer. The end
 * of a request that comes after its answer would stop that clock, and a client could keep the connection without a limit.
 */
export function handle(
  res: HttpResponse,
  req: HttpRequest,
  handler: Handler,
  options: {
    maxBodyBytes: number;
    clientAddress: ClientAddress;
    failed: (error: unknown) => void;
    /** Headers of every answer, also of errors. */
    headers?: Readonly<Record<string, string>>;
  },
): void {
  let aborted = false;
  res.onAborted(() => {
    aborted = true;
  });
  const withoutBody = req.getMethod() === 'head';
  const address = options.clientAddress.read(res, req);
  // uWS requires the reader of the body in this turn, so every body is read
  const body = readBody(res, options.maxBodyBytes);
  const run = async (): Promise<void> => {
    const http = await answerOf(handler, { address, body: () => body }, options.failed);
    const tooLarge = await body.then(
      () => false,
      () => true,
    );
    const headers = { ...options.headers, ...http.headers };
    if (!aborted) answer(res, { ...http, headers }, { withoutBody, close: tooLarge });
  };
  void run();
}

async function answerOf(handler: Handler, request: Received, failed: (error: unknown) => void): Promise<HttpAnswer> {
  try {
    return await handler(request);
  } catch (error) {
    if (error instanceof ParleyError) return errorAnswer(error);
    failed(error);
    return errorAnswer(new ParleyError('internal'));
  }
}

/** Resolves with the whole body; rejects with `too_large`. Stays pending if the client aborts the request. */
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
  whole.catch(() => {}); // a handler may never await the body
  return whole;
}
