/**
 * `/files/{id}/{name}`: a file for the holder of a signed link. The answer can harm no page of this origin: a browser shows
 * images, sound and films alone, guesses no type, and runs nothing. Every other type is saved.
 */
import { networkOf } from '../http/client-address.ts';
import { namesTag } from '../http/etags.ts';
import {
  corsHeadersFor,
  exposedHeaders,
  hostAllowed,
  preflightHeaders,
  targetFrom,
  type OriginSettings,
} from '../http/origins.ts';
import { ParleyError } from '../protocol/errors.ts';
import { RestError } from '../protocol/rest-errors.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { UploadRow } from '../uploads/rows.ts';
import { filesPrefix } from '../uploads/signed-links.ts';
import type { Uploads } from '../uploads/uploads.ts';
import { failure } from './answering.ts';
import type { RequestEnv } from './bridge/bridge.ts';
import type { StreamContent } from './bridge/response.ts';
import type { RequestRates } from './request-rates.ts';
import { reported } from './served-operation.ts';
import { requestIds, type RequestIds } from './trace-context.ts';

export interface FileParts {
  readonly uploads: Uploads;
  readonly rates: Pick<RequestRates, 'admit' | 'failed'>;
  readonly origins: OriginSettings;
  readonly metrics: Metrics;
  readonly log: Log;
}

/** Types that a browser shows inside a page without running anything. */
const shownInline = /^(image\/(avif|gif|jpeg|png|webp|apng)|audio\/[a-z0-9.+-]+|video\/[a-z0-9.+-]+)$/;
const policy = "default-src 'none'; sandbox; frame-ancestors 'none'";

const methods = 'GET, HEAD';

interface Range {
  readonly from: number;
  readonly to: number;
}

/** An error whose answer has headers of its own. */
class FileError extends RestError {
  readonly headers: Readonly<Record<string, string>>;

  constructor(rest: 'method_not_allowed' | 'bad_range', headers: Readonly<Record<string, string>>) {
    super(rest);
    this.headers = headers;
  }
}

export class Files {
  readonly #parts: FileParts;

  constructor(parts: FileParts) {
    this.#parts = parts;
  }

  async fetch(request: Request, { address }: RequestEnv): Promise<Response> {
    const header = (name: string): string => request.headers.get(name) ?? '';
    const { origins } = this.#parts;
    const target = targetFrom(header('host'), header('x-forwarded-proto'));
    const ids = requestIds((name) => request.headers.get(name) ?? undefined);
    const allowed = corsHeadersFor(header('origin'), target, origins);
    try {
      if (allowed === undefined) {
        const what = hostAllowed(target.host, origins)
          ? 'Pages of this origin may not connect'
          : 'This server does not answer to this name';
        throw new ParleyError('forbidden', `${what} (PARLEY_ORIGINS).`);
      }
      const cors = header('origin') === '' ? allowed : { ...allowed, ...exposedHeaders };
      if (request.method === 'OPTIONS') {
        const preflight = { ...cors, ...preflightHeaders, 'Access-Control-Allow-Methods': methods };
        return new Response(null, { status: 204, headers: preflight });
      }
      return await this.#answer(request, address, { ...cors, 'X-Request-Id': ids.requestId });
    } catch (error) {
      return this.#refusal(error, ids, allowed);
    }
  }

  #refusal(error: unknown, ids: RequestIds, cors: Readonly<Record<string, string>> | undefined): Response {
    const own = error instanceof FileError ? error.headers : {};
    const { status, body, headers } = failure(reported(error, ids, this.#parts), ids.requestId, { headers: own });
    return new Response(body, { status, headers: { ...cors, ...headers } });
  }

  async #answer(request: Request, address: string, common: Readonly<Record<string, string>>): Promise<Response> {
    const { uploads, rates, metrics } = this.#parts;
    rates.admit(address);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      throw new FileError('method_not_allowed', { Allow: `${methods}, OPTIONS` });
    }
    const row = await this.#find(new URL(request.url), address);
    const headers = headersOf(row, common);
    metrics.uploads.reads.inc({ outcome: 'sent' });
    if (namesTag(request.headers.get('if-none-match') ?? '', headers['ETag'] ?? '')) {
      const { 'Content-Type': _, ...unmodified } = headers;
      return new Response(null, { status: 304, headers: unmodified });
    }
    const ifRange = request.headers.get('if-range');
    const range =
      ifRange === null || ifRange === headers['ETag'] ? rangeIn(request.headers.get('range'), row.bytes) : undefined;
    const { from, to } = range ?? { from: 0, to: row.bytes - 1 };
    const length = { 'Content-Length': String(to - from + 1) };
    const part = range === undefined ? {} : { 'Content-Range': `bytes ${from}-${to}/${row.bytes}` };
    const init = { status: range === undefined ? 200 : 206, headers: { ...headers, ...length, ...part } };
    if (request.method === 'HEAD') return new Response(null, init);
    const free = uploads.transfers.take(networkOf(address));
    try {
      const stream = await uploads.open(row.id, from, to);
      return new Response(held(stream, free) as unknown as ReadableStream, init);
    } catch (error) {
      free();
      throw error;
    }
  }

  /** @throws {ParleyError} */
  async #find({ pathname, searchParams }: URL, address: string): Promise<UploadRow> {
    const { uploads, rates, metrics } = this.#parts;
    const [id = '', name = '', ...rest] = pathname.slice(filesPrefix.length + 1).split('/');
    const [expires, signature] = [searchParams.get('expires') ?? '', searchParams.get('signature') ?? ''];
    const isLink = /^[0-9a-f-]{36}$/.test(id) && rest.length === 0;
    const checked = isLink ? uploads.links.check(id, decoded(name), expires, signature) : 'forged';
    if (checked === 'forged') {
      metrics.uploads.reads.inc({ outcome: 'forged' });
      await rates.failed(address);
      throw new ParleyError('forbidden', 'The signature of the link is wrong.');
    }
    if (checked === 'expired') {
      metrics.uploads.reads.inc({ outcome: 'expired' });
      throw new ParleyError('forbidden', 'The link has expired; get another one.');
    }
    const row = await uploads.linked(id);
    if (row !== undefined) return row;
    metrics.uploads.reads.inc({ outcome: 'missing' });
    throw new ParleyError('not_found', 'The file is not there any more.');
  }
}

function headersOf(
  { id, name, type, createdAt }: UploadRow,
  common: Readonly<Record<string, string>>,
): Record<string, string> {
  const kind = type ?? 'application/octet-stream';
  return {
    ...common,
    'Content-Type': kind === 'text/plain' ? 'text/plain; charset=utf-8' : kind,
    'Content-Disposition': disposition(shownInline.test(kind) ? 'inline' : 'attachment', name),
    'X-Content-Type-Options': 'nosniff',
    'Content-Security-Policy': policy,
    'Accept-Ranges': 'bytes',
    'Last-Modified': new Date(createdAt).toUTCString(),
    ETag: `"${id}"`,
    // a file never changes, and its link ends
    'Cache-Control': 'private, max-age=86400, immutable',
  };
}

/** RFC 6266: the name in ASCII, and the whole name in UTF-8. */
function disposition(kind: 'inline' | 'attachment', name: string): string {
  const plain = name.replaceAll(/[^\x20-\x7e]|["\\%]/g, '_');
  const whole = encodeURIComponent(name).replaceAll(/['()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16)}`);
  return `${kind}; filename="${plain}"; filename*=UTF-8''${whole}`;
}

/** One range of bytes. Undefined: the whole file, also for forms that a server may ignore. @throws {FileError} `bad_range` */
function rangeIn(header: string | null, bytes: number): Range | undefined {
  const [, first = '', last = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '') ?? [];
  if (first === '' && last === '') return undefined;
  const from = first === '' ? Math.max(0, bytes - Number(last)) : Number(first);
  const to = first === '' || last === '' ? bytes - 1 : Math.min(Number(last), bytes - 1);
  if (from > to || from >= bytes) throw new FileError('bad_range', { 'Content-Range': `bytes */${bytes}` });
  return { from, to };
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** The bytes of the stream. The place of the transfer is free after the last one, and after an error or an abort. */
function held(stream: ReadableStream<Uint8Array>, free: () => void): StreamContent {
  const reader = stream.getReader();
  const end = (): IteratorResult<Uint8Array> => {
    free();
    return { done: true, value: undefined };
  };
  return {
    [Symbol.asyncIterator]: () => ({
      async next() {
        try {
          const { done, value } = await reader.read();
          return done ? end() : { done, value };
        } catch (error) {
          free();
          throw error;
        }
      },
      // an answer that nobody reads is returned before its first part
      async return() {
        free();
        await reader.cancel();
        return end();
      },
    }),
  };
}
