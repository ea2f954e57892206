/**
 * Serves a `fetch` function, such as the one of Hono, on uWebSockets.js.
 *
 *     serveFetch(app, '/api/v1', hono.fetch, { clientAddress, maxBodyBytes: 64 * 1024, failed: (error) => log.error(…) });
 *
 * - `fetch(request, env)` gets a light `Request` (request.ts) and `env.address`, the address of the client (`c.env.address`).
 *   `new Response(…)` makes light responses in the whole process from the first `fetchHandler` on (response.ts).
 * - Reading a body rejects with a `Refusal`: a ParleyError with `status` 408 or 413. The bridge itself refuses with 400 (Host),
 *   413 (Content-Length over the limit), 415 (Content-Encoding) and 500 (a throw), by `problem`.
 * - `request.signal` aborts when the client goes. `request.body` streams with back-pressure; `maxBodyBytes` may be a function
 *   of method and path for routes with large bodies.
 * - A response body is a string, bytes, a `ReadableStream`, or a `StreamContent`: an async iterable whose `lastPart` gives the
 *   last line of a slow reader that is cut off. The head of a stream leaves with its first part.
 * - uWS closes a connection that sends a request before the answer to the one before (pipelining). uWS also closes clients
 *   that send a body with less than 16 KB/s for 10 s, or read nothing for 10 s; so time limits are below 8 s.
 */
import type { HttpRequest, HttpResponse, TemplatedApp } from 'uWebSockets.js';
import type { ClientAddress } from '../../http/client-address.ts';
import type { ParleyError } from '../../protocol/errors.ts';
import { discard, writeAnswer, type Exchange } from './answer.ts';
import { RequestBody } from './body.ts';
import { LightHeaders } from './headers.ts';
import { badHost, bodyEncoded, bodyTooLarge, problemOf, Refusal } from './refusal.ts';
import { LightRequest } from './request.ts';
import { useLightResponse } from './response.ts';

/** The facts that a handler has of the connection (`c.env` in Hono). */
export interface RequestEnv {
  /** The address of the client, as trusted proxies report it. */
  readonly address: string;
}

export type Fetch = (request: Request, env: RequestEnv) => Response | Promise<Response>;

export interface FetchOptions {
  readonly clientAddress: ClientAddress;
  readonly maxBodyBytes: number | ((method: string, path: string) => number);
  /** Gets every error that no handler has answered. */
  readonly failed: (error: unknown) => void;
  /** The answer for a refusal of the bridge. */
  readonly problem?: (error: ParleyError) => Response;
  /** The time limit of a whole body, or of each part of a streamed one. */
  readonly bodyTimeoutMs?: number;
  /** A client that takes no byte of a large answer or of a stream for so long is cut off. */
  readonly slowReaderMs?: number;
}

type Handler = (res: HttpResponse, req: HttpRequest) => void;

export function serveFetch(app: TemplatedApp, prefix: string, fetch: Fetch, options: FetchOptions): void {
  app.any(`${prefix}/*`, fetchHandler(fetch, options));
}

/** The handler alone, for routes that have a guard in front. */
export function fetchHandler(fetch: Fetch, options: FetchOptions): Handler {
  useLightResponse();
  const settings = { problem: problemOf, bodyTimeoutMs: 7000, slowReaderMs: 7000, ...options };
  const { clientAddress, maxBodyBytes, problem } = settings;
  const limitOf = typeof maxBodyBytes === 'number' ? () => maxBodyBytes : maxBodyBytes;
  return (res, req) => {
    const head = readHead(req);
    // a proxy may take another end of the body than uWS, so the connection ends without an answer
    if (head.lengths > 1) return void res.close();
    const method = req.getCaseSensitiveMethod();
    const path = req.getUrl();
    const maxBytes = head.lengths === 0 ? 0 : limitOf(method, path);
    const exchange = new Serving(res, method === 'HEAD', head, settings);
    const refusal = refusalOf(head, maxBytes);
    if (refusal !== undefined) return exchange.answer(() => problem(refusal));
    const body = head.hasBody ? exchange.readBody(maxBytes) : undefined;
    // undefined for an address without a question mark
    const query = (req.getQuery() as string | undefined) ?? '';
    const url = `http://${head.host}${path}${query === '' ? '' : `?${query}`}`;
    const request = new LightRequest(method, url, head.headers, body);
    exchange.request = request;
    const env = { address: clientAddress.read(res, req) };
    exchange.answer(() => fetch(request as unknown as Request, env));
  };
}

interface Head {
  readonly headers: LightHeaders;
  readonly host: string;
  /** The number of headers that give the length of the body. */
  readonly lengths: number;
  /** Undefined for a chunked body. */
  readonly length: number | undefined;
  readonly hasBody: boolean;
}

function readHead(req: HttpRequest): Head {
  const headers = new LightHeaders();
  let lengths = 0;
  req.forEach((name, value) => {
    if (name === 'content-length' || name === 'transfer-encoding') lengths++;
    headers.receive(name, value);
  });
  headers.freeze();
  const written = headers.get('content-length');
  const length = written === null ? undefined : Number(written);
  return { headers, host: headers.get('host') ?? 'localhost', lengths, length, hasBody: lengths > 0 && length !== 0 };
}

/** A host with a slash or a question mark would move the path in the URL. */
const hostPattern = /^[A-Za-z0-9._~\-[\]:]{1,255}$/;

function refusalOf({ headers, host, hasBody, length = 0 }: Head, maxBytes: number): Refusal | undefined {
  if (!hostPattern.test(host)) return badHost();
  if (!hasBody) return undefined;
  if (length > maxBytes) return bodyTooLarge(maxBytes);
  const encoding = headers.get('content-encoding')?.toLowerCase() ?? '';
  return encoding === '' || encoding === 'identity' ? undefined : bodyEncoded();
}

/** One request from its head to its one answer, or to the abort of the client. */
class Serving implements Exchange {
  readonly res: HttpResponse;
  readonly headOnly: boolean;
  readonly slowReaderMs: number;
  aborted = false;
  onGone: (() => void) | undefined;
  request: LightRequest | undefined;
  readonly #head: Head;
  readonly #options: Required<FetchOptions>;
  #body: RequestBody | undefined;

  constructor(res: HttpResponse, headOnly: boolean, head: Head, options: Required<FetchOptions>) {
    this.res = res;
    this.headOnly = headOnly;
    this.#head = head;
    this.#options = options;
    this.slowReaderMs = options.slowReaderMs;
    res.onAborted(() => this.#gone());
  }

  readBody(maxBytes: number): RequestBody {
    this.#body = new RequestBody(this.res, { maxBytes, timeoutMs: this.#options.bodyTimeoutMs });
    return this.#body;
  }

  /**
   * uWS itself discards the rest of a body with a Content-Length. A chunked rest has no known end, and a slow client would
   * keep the connection.
   */
  closing(): boolean {
    if (!this.#head.hasBody || this.#body?.complete === true) return false;
    return this.#head.length === undefined || this.#body?.failed === true;
  }

  dropBody(): void {
    this.#body?.drop();
  }

  /** Answers with the result of `make`, or with a problem for an error. Never throws. */
  answer(make: () => Response | Promise<Response>): void {
    const broken = (error: unknown): void => this.broken(error, false);
    try {
      const made = make();
      if (made instanceof Promise) made.then((response) => this.#write(response), broken).catch(broken);
      else this.#write(made);
    } catch (error) {
      broken(error);
    }
  }

  broken(error: unknown, started: boolean): void {
    if (this.aborted) return;
    try {
      this.#options.failed(error);
      // the client sees a broken body, and no complete end
      if (started) this.res.close();
      else this.#write(this.#options.problem(new Refusal(500, 'internal')));
    } catch {
      this.res.close();
    }
  }

  #write(response: Response): void {
    if (this.aborted) discard(response);
    else writeAnswer(this, response);
  }

  #gone(): void {
    this.aborted = true;
    const reason = new DOMException('The client has closed the connection.', 'AbortError');
    this.#body?.abort(reason);
    this.request?.abort(reason);
    this.onGone?.();
  }
}
