/**
 * Writes a response to uWS: small bodies in one write, large ones in parts as the socket takes them, and streams part by
 * part. A stream waits for the socket after each part, so that at most one piece is in the memory of uWS.
 */
import type { HttpResponse } from 'uWebSockets.js';
import { safeHeaders, statusLine } from '../../http/http.ts';
import { NodeResponse, LightResponse, type Content, type StreamContent } from './response.ts';

/** One answer to one request. */
export interface Exchange {
  readonly res: HttpResponse;
  readonly headOnly: boolean;
  /** Whether the rest of the request must not be read, so that the connection ends after the answer. */
  closing(): boolean;
  /** Call this before the last write: frees the socket of the body. */
  dropBody(): void;
  /** Whether the client is gone; `res` must not be used then. */
  aborted: boolean;
  /** Gets the abort of the client while an answer is written. */
  onGone: (() => void) | undefined;
  /** A reader that takes nothing for so long is cut off. */
  readonly slowReaderMs: number;
  /** The content failed. Nothing is written yet if the answer has not started. */
  broken(error: unknown, started: boolean): void;
}

/** One `end` copies a body into the memory of uWS; larger bodies go in parts. */
const oneWriteBytes = 64 * 1024;
/** Less than the least free space of a writable socket, so that the pieces in memory do not add up. */
const pieceBytes = 16 * 1024;

/** uWS writes these, and a second value would contradict the frame of the body. */
const ownHeaders = new Set(['content-length', 'transfer-encoding', 'connection', 'keep-alive', 'date']);
const safe = Object.entries(safeHeaders).map(([name, value]) => [name, value, name.toLowerCase()] as const);
const notLatin = /[^\0-\x7f]/;

/** @param exchange neither answered nor aborted. */
export function writeAnswer(exchange: Exchange, response: Response | LightResponse): void {
  const light = LightResponse.isLight(response) ? response : lightOf(response);
  const content = light.take();
  if (exchange.headOnly) writeHeadOnly(exchange, light, content);
  else if (content === null) writeNothing(exchange, light);
  else if (typeof content !== 'string' && !(content instanceof Uint8Array)) {
    void writeStream(exchange, light, partsOf(content));
  } else if (content.length <= oneWriteBytes) {
    endWith(exchange, light, content);
  } else writeLarge(exchange, light, typeof content === 'string' ? Buffer.from(content) : content);
}

/** Ends the content of a response that nobody reads any more. */
export function discard(response: Response | LightResponse): void {
  const light = LightResponse.isLight(response) ? response : lightOf(response);
  const content = light.bodyUsed ? null : light.take();
  if (content !== null && typeof content !== 'string' && !(content instanceof Uint8Array)) partsOf(content).stop();
}

function lightOf(response: Response): LightResponse {
  if (!(response instanceof NodeResponse)) throw new TypeError('The handler returned no Response.');
  return new LightResponse(response.body, { status: response.status, headers: response.headers });
}

function writeHead({ res }: Exchange, { status, headers }: LightResponse): void {
  res.writeStatus(statusLine(status));
  for (const [name, value, key] of safe) if (!headers.has(key)) res.writeHeader(name, value);
  headers.each((name, value) => {
    // uWS writes a string as UTF-8
    if (!ownHeaders.has(name)) res.writeHeader(name, notLatin.test(value) ? Buffer.from(value, 'latin1') : value);
  });
}

function writeHeadOnly(exchange: Exchange, light: LightResponse, content: Content): void {
  const { source } = light;
  const body = content ?? (source?.bodyUsed === false ? source.take() : null);
  let length = light.headers.get('content-length');
  if (typeof body === 'string' || body instanceof Uint8Array) length = String(Buffer.byteLength(body));
  else if (body !== null) partsOf(body).stop();
  else if (source !== undefined && !bodiless(light.status)) length = '0';
  // with a length as argument, endWithoutBody would take the next request of the connection for the body
  endWithoutBody(exchange, light, length);
}

const bodiless = (status: number): boolean => status === 204 || status === 304;

function writeNothing(exchange: Exchange, light: LightResponse): void {
  if (bodiless(light.status)) endWithoutBody(exchange, light, null);
  else endWith(exchange, light, '');
}

function endWith(exchange: Exchange, light: LightResponse, content: string | Uint8Array): void {
  const { res } = exchange;
  const closing = exchange.closing();
  exchange.dropBody();
  res.cork(() => {
    writeHead(exchange, light);
    res.end(content, closing);
  });
}

function endWithoutBody(exchange: Exchange, light: LightResponse, length: string | null): void {
  const { res } = exchange;
  const closing = exchange.closing();
  exchange.dropBody();
  res.cork(() => {
    writeHead(exchange, light);
    if (length !== null) res.writeHeader('Content-Length', length);
    if (closing) res.writeHeader('Connection', 'close');
    res.endWithoutBody();
  });
}

function writeLarge(exchange: Exchange, light: LightResponse, body: Uint8Array): void {
  const { res } = exchange;
  let timer: NodeJS.Timeout | undefined;
  exchange.onGone = () => clearTimeout(timer);
  const write = (from: number): boolean => {
    clearTimeout(timer);
    const [ok, done] = res.tryEnd(body.subarray(from), body.byteLength);
    if (!done) timer = setTimeout(() => res.close(), exchange.slowReaderMs);
    return ok;
  };
  const closing = exchange.closing();
  exchange.dropBody();
  res.cork(() => {
    writeHead(exchange, light);
    // tryEnd cannot close the connection, and the header makes clients close it
    if (closing) res.writeHeader('Connection', 'close');
    if (!write(0)) res.onWritable((offset) => write(offset));
  });
}

interface Parts {
  next(): Promise<string | Uint8Array | undefined>;
  /** Ends the source, also while `next` is pending. */
  stop(): void;
  last(): string | Uint8Array | undefined;
}

function partsOf(content: ReadableStream<Uint8Array> | StreamContent): Parts {
  if (content instanceof ReadableStream) {
    const reader = content.getReader();
    return {
      next: async () => (await reader.read()).value,
      // an error of the stream reaches the reader; the client that would get it is gone
      stop: () => void reader.cancel().catch(() => {}),
      last: () => undefined,
    };
  }
  const iterator = content[Symbol.asyncIterator]();
  return {
    next: async () => {
      const { done, value } = await iterator.next();
      return done === true ? undefined : value;
    },
    stop: () => void iterator.return?.()?.catch(() => {}),
    last: () => content.lastPart?.(),
  };
}

/** The head leaves with the first part. So an error before it still becomes a status. */
async function writeStream(exchange: Exchange, light: LightResponse, parts: Parts): Promise<void> {
  const { res } = exchange;
  let started = false;
  const gone = (): boolean => exchange.aborted;
  const writable = writableOf(exchange);
  exchange.onGone = () => {
    writable.cancel();
    parts.stop();
  };
  const start = (): void => {
    if (started) return;
    started = true;
    writeHead(exchange, light);
    // an `end` that closes would write this header into the chunks
    if (exchange.closing()) res.writeHeader('Connection', 'close');
  };
  const end = (last?: string | Uint8Array): void => {
    exchange.dropBody();
    res.cork(() => {
      start();
      if (last !== undefined) res.write(last);
      res.end();
    });
  };
  try {
    for (;;) {
      const part = await parts.next();
      if (gone()) return;
      if (part === undefined) return end();
      for (const piece of piecesOf(part)) {
        let taken = true;
        res.cork(() => {
          start();
          taken = res.write(piece);
        });
        if (taken || (await writable.wait())) continue;
        if (gone()) return;
        parts.stop();
        return end(parts.last());
      }
    }
  } catch (error) {
    parts.stop();
    if (gone()) return;
    exchange.broken(error, started);
  }
}

function* piecesOf(part: string | Uint8Array): Generator<Uint8Array | string> {
  if (part.length * 3 <= pieceBytes) {
    if (part.length > 0) yield part;
    return;
  }
  const bytes = typeof part === 'string' ? Buffer.from(part) : part;
  for (let from = 0; from < bytes.byteLength; from += pieceBytes) yield bytes.subarray(from, from + pieceBytes);
}

/** Waits for the socket: true if it takes more bytes, false if the client is gone or reads too slowly. */
function writableOf(exchange: Exchange): { wait(): Promise<boolean>; cancel(): void } {
  let settle: ((ok: boolean) => void) | undefined;
  let timer: NodeJS.Timeout | undefined;
  const done = (ok: boolean): void => {
    clearTimeout(timer);
    settle?.(ok);
    settle = undefined;
  };
  let attached = false;
  const attach = (): void => {
    if (attached) return;
    attached = true;
    exchange.res.onWritable(() => {
      // uWS leaves the bytes of `write` in its memory while this handler is attached; an empty cork sends them
      exchange.res.cork(() => {});
      done(true);
      return true;
    });
  };
  return {
    wait() {
      attach();
      return new Promise((resolve) => {
        settle = resolve;
        timer = setTimeout(() => done(false), exchange.slowReaderMs);
      });
    },
    cancel: () => done(false),
  };
}
