/** The answers of operations in OpenAPI: each status with its headers and its content. Nothing else may leave the server. */
import { errorCatalogue, type ErrorCode } from '../protocol/errors.ts';
import { restErrorKinds, type RestErrorCode } from '../protocol/rest-errors.ts';
import type { Json } from './json-schemas.ts';
import { isKeyed, readerOf, type DescribedOperation } from './operation.ts';
import { problemType } from './problem.ts';
import { inputPlan } from './request-input.ts';

type AnyCode = ErrorCode | RestErrorCode;

/** Every operation of REST may fail with these. */
const commonErrors: readonly AnyCode[] = [
  'invalid',
  'unauthorized',
  'token_expired',
  'session_revoked',
  'forbidden',
  'timeout',
  'too_large',
  'unsupported_type',
  'rate_limited',
  'internal',
  'overloaded',
  'unavailable',
  'draining',
];

const text = (description: string, pattern?: string): Json => ({
  description,
  schema: { type: 'string', ...(pattern === undefined ? {} : { pattern }) },
});

/** The headers of answers, as components. Clients rely on a required header. */
export const responseHeaders = {
  'X-Request-Id': { ...text('the id of the request, as in the log', '^[\\w.:-]{1,64}$'), required: true },
  'Cache-Control': { ...text('whether a cache may keep the answer'), required: true },
  RateLimit: text('what is left of the rate; absent if the caller has no rate'),
  'RateLimit-Policy': text('the rate; absent if the caller has no rate'),
  traceparent: text('the trace of the request, if the request is in one', '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$'),
  ETag: { ...text('the version of the answer, for If-None-Match and If-Match', '^(W/)?"[\\w-]+"$'), required: true },
  Vary: text('the headers of the request that the answer depends on'),
  'Content-Encoding': text('the compression of the answer', '^(br|gzip)$'),
  Link: text('the address of the next page, if there is one', '^<[^<>]+>; rel="next"$'),
  'Idempotency-Replay': text(
    '`true`: this is the answer to an earlier request with the same Idempotency-Key',
    '^true$',
  ),
  'Retry-After': text('seconds to wait before the next try', '^\\d+$'),
  Location: text('the address of what the request made'),
  'Tus-Resumable': text('the version of the tus protocol', '^1\\.0\\.0$'),
  'Upload-Offset': text('the bytes that the server has', '^\\d+$'),
  'Upload-Length': text('the bytes of the whole file', '^\\d+$'),
  'Upload-Metadata': text('the name of the file, as `filename` in base64'),
  'Upload-Expires': text('when an unfinished upload is removed'),
  'Accept-Ranges': text('`bytes`: a request may have `Range`', '^bytes$'),
  'Content-Disposition': {
    ...text(
      'whether a browser shows the file, and its name',
      '^(inline|attachment); filename="[^"]*"; filename\\*=UTF-8\'\'\\S+$',
    ),
    required: true,
  },
  'Content-Range': {
    ...text('the bytes of the answer and of the file', '^bytes (\\d+-\\d+|\\*)/\\d+$'),
    required: true,
  },
  'Last-Modified': text('when the upload began'),
  'WWW-Authenticate': { ...text('the scheme of `Authorization`', '^Bearer\\b'), required: true },
} as const satisfies Record<string, Json>;

type HeaderName = keyof typeof responseHeaders;

const always: readonly HeaderName[] = ['X-Request-Id', 'RateLimit', 'RateLimit-Policy', 'traceparent', 'Vary'];

function headersOf(...names: readonly HeaderName[]): Json {
  return Object.fromEntries([...always, ...names].map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}

/** The responses of operations. Most operations fail alike, so that failures are components. */
export class Responses {
  readonly #operations: readonly DescribedOperation[];
  readonly #shared = new Map<string, Json>();

  constructor(operations: readonly DescribedOperation[]) {
    this.#operations = operations;
  }

  /** @param content the content of success, by its type */
  of(operation: DescribedOperation, content: Json): Json {
    const { route, produces } = operation;
    const isRead = route.method === 'GET' && (produces === undefined || route.hasRanges === true);
    const isTagged = isRead && operation.lines === undefined;
    const { required: _, ...ofPagesAlone } = responseHeaders.ETag;
    const headers = headersOf(
      'Cache-Control',
      'Content-Encoding',
      ...(isTagged ? (['ETag'] as const) : []),
      ...(route.pages === undefined ? [] : (['Link'] as const)),
      ...(isKeyed(operation) || operation.name === 'import' ? (['Idempotency-Replay'] as const) : []),
      ...namesOf(route.headers),
      ...(route.answerHeaders ?? []),
    );
    const success = {
      description: 'The request succeeded.',
      // a stream has no ETag
      headers: isRead && !isTagged ? { ...headers, ETag: ofPagesAlone } : headers,
      content,
    };
    return {
      [String(route.status ?? 200)]: success,
      ...(route.hasRanges === true ? { 206: part(success) } : {}),
      ...(isRead ? { 304: unmodified(operation) } : {}),
      ...this.#failures(this.#errorsOf(operation), namesOf(route.headers)),
    };
  }

  shared(): Json {
    return Object.fromEntries([...this.#shared].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }

  #errorsOf(operation: DescribedOperation): AnyCode[] {
    const { route, errors } = operation;
    const found: AnyCode[] = [...(route.isOutside === true ? [] : commonErrors), ...errors];
    if (inputPlan(operation).hasBody) found.push('bad_json');
    // a key acts as the owner of a room that may not exist
    if (route.asOwner === true) found.push('not_found');
    if (isKeyed(operation)) found.push('in_progress', 'idempotency_mismatch');
    const reader = readerOf(operation, this.#operations);
    if (reader !== undefined) found.push('precondition_failed', ...reader.errors);
    return found;
  }

  #failures(codes: readonly AnyCode[], own: readonly HeaderName[]): Json {
    const byStatus = new Map<number, Set<AnyCode>>();
    for (const code of codes) {
      const status = statusOf(code);
      byStatus.set(status, (byStatus.get(status) ?? new Set()).add(code));
    }
    return Object.fromEntries(
      [...byStatus]
        .toSorted(([a], [b]) => a - b)
        .map(([status, found]) => [status, this.#failure(status, [...found], own)]),
    );
  }

  #failure(status: number, codes: readonly AnyCode[], own: readonly HeaderName[]): Json {
    const name = [codes.join('-or-'), ...own].join('-with-');
    if (!this.#shared.has(name)) this.#shared.set(name, failure(status, codes, own));
    return { $ref: `#/components/responses/${name}` };
  }
}

/** Headers that each answer of the operation has. */
function namesOf(headers: DescribedOperation['route']['headers']): HeaderName[] {
  return Object.keys(headers ?? {}) as HeaderName[];
}

function part(success: { readonly headers: Json; readonly content: Json }): Json {
  const headers = { ...success.headers, ...headersOf('Content-Range') };
  return { ...success, description: 'The range of bytes that the request chose.', headers };
}

function unmodified({ route }: DescribedOperation): Json {
  const headers = headersOf(
    'Cache-Control',
    'ETag',
    ...(route.pages === undefined ? [] : (['Link'] as const)),
    ...(route.hasRanges === true ? (route.answerHeaders ?? []) : []),
  );
  return { description: 'The client has this answer.', headers };
}

function statusOf(code: AnyCode): number {
  const { httpStatus } =
    code in restErrorKinds ? restErrorKinds[code as RestErrorCode] : errorCatalogue[code as ErrorCode];
  return httpStatus;
}

function failure(status: number, codes: readonly AnyCode[], own: readonly HeaderName[]): Json {
  const schema = {
    allOf: [
      { $ref: '#/components/schemas/Problem' },
      { type: 'object', properties: { status: { const: status }, code: { enum: codes } } },
    ],
  };
  const range = status === 416 ? (['Content-Range'] as const) : [];
  const challenge = status === 401 ? (['WWW-Authenticate'] as const) : [];
  return {
    description: codes.map((code) => `\`${code}\``).join(', '),
    headers: headersOf('Cache-Control', 'Retry-After', ...challenge, ...range, ...own),
    content: { [problemType]: { schema } },
  };
}
