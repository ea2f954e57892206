/** The answer of an operation on the wire: its page, its chosen fields, its ETag and its compression. */
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import { Encoded } from '../commands/encoded.ts';
import { encodingOf, leastCompressedBytes, type ContentEncoding } from '../http/content-encoding.ts';
import { namesTag } from '../http/etags.ts';
import type { ParleyError } from '../protocol/errors.ts';
import { apiPrefix } from '../protocol/http-route.ts';
import { Reply, type Answer, type Operation } from './operation.ts';
import { memberTexts, pageOf } from './pages.ts';
import { problemOf, problemType } from './problem.ts';
import { project, type Projection } from './projection.ts';

export interface Answered {
  readonly status: number;
  readonly body: string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null;
  readonly headers: Readonly<Record<string, string>>;
}

export interface AnsweredRequest {
  readonly input: Readonly<Record<string, unknown>>;
  readonly projection: Projection | undefined;
  readonly url: string;
}

const jsonType = 'application/json; charset=utf-8';

/** An answer that several requests share, and the request whose form of it is known. */
interface SharedForm {
  readonly operation: Operation;
  readonly url: string;
  readonly answered: Answered;
}

/** Requests that were one read have one answer, so that its page and its hash are made once. */
const shared = new WeakMap<Encoded, SharedForm>();

export function answeredOf(operation: Operation, request: AnsweredRequest, answer: Answer): Answered {
  const { route } = operation;
  if (!(answer instanceof Encoded) || route.pages === undefined || route.method !== 'GET') {
    return formOf(operation, request, answer);
  }
  // the input and the projection of a GET are in its address
  const known = shared.get(answer);
  if (known?.operation === operation && known.url === request.url) return known.answered;
  const answered = formOf(operation, request, answer);
  shared.set(answer, { operation, url: request.url, answered });
  return answered;
}

function formOf({ name, route }: Operation, request: AnsweredRequest, answer: Answer): Answered {
  const status = route.status ?? 200;
  if (answer instanceof Reply && !isPlain(answer.body)) {
    const { body = null } = answer;
    const headers = route.method === 'GET' ? answer.headers : { 'Cache-Control': 'no-store', ...answer.headers };
    return { status: answer.status ?? status, body: body as Answered['body'], headers };
  }
  const reply = answer instanceof Reply ? answer : new Reply(answer);
  const headers: Record<string, string> = { 'Content-Type': jsonType, ...reply.headers };
  const made = (body: string): Answered => ({
    status: reply.status ?? status,
    body,
    headers: tagged(route, body, headers),
  });
  const { projection } = request;
  if (route.pages === undefined) {
    const json = jsonOf(reply.body);
    return made(projection === undefined ? json : project(json, projection));
  }
  const members = (reply.body instanceof Encoded ? reply.body.members : undefined) ?? memberTexts(jsonOf(reply.body));
  const page = pageOf(name, route.pages, members, request.input, projection);
  if (page.next !== null) headers['Link'] = `<${nextUrl(request.url, page.next)}>; rel="next"`;
  return made(page.json);
}

function jsonOf(body: Reply['body']): string {
  return body instanceof Encoded ? body.json : JSON.stringify(body);
}

/** A kept answer, with the headers of its job and the fields that the request chooses. */
export function chosen(answered: Answered, projection: Projection | undefined): Answered {
  const { status, body, headers } = answered;
  if (typeof body !== 'string') return answered;
  const job = status === 202 ? jobHeaders((JSON.parse(body) as { readonly id: string }).id) : {};
  return { status, body: projection === undefined ? body : project(body, projection), headers: { ...job, ...headers } };
}

/** Retry-After: a poll each second shows each progress. */
export function jobHeaders(id: string): Readonly<Record<string, string>> {
  return { Location: `${apiPrefix}/jobs/${id}`, 'Retry-After': '1' };
}

/** The answer to a read may be kept by its client, which checks it again each time. The answer to a write may not. */
function tagged(
  { method }: Operation['route'],
  body: string,
  headers: Readonly<Record<string, string>>,
): Record<string, string> {
  if (method !== 'GET') return { 'Cache-Control': 'no-store', ...headers };
  return { 'Cache-Control': 'private, no-cache', ETag: etagOf(body), ...headers };
}

export function etagOf(body: string): string {
  return `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
}

/** An answer that the client has already. */
export function unmodified(answered: Answered, ifNoneMatch: string | undefined): Answered {
  const tag = answered.headers['ETag'];
  if (answered.status !== 200 || tag === undefined || ifNoneMatch === undefined) return answered;
  if (!namesTag(ifNoneMatch, tag)) return answered;
  const headers = Object.fromEntries(Object.entries(answered.headers).filter(([name]) => name !== 'Content-Type'));
  return { status: 304, body: null, headers };
}

const compressors: Readonly<Record<ContentEncoding, (text: string) => Promise<Uint8Array>>> = {
  br: (text) => promisify(brotliCompress)(text, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } }),
  gzip: (text) => promisify(gzip)(text, { level: 6 }),
};

/** The forms of an answer that several requests share, by the encoding. */
const encodedForms = new WeakMap<Answered, Map<ContentEncoding | undefined, Promise<Answered>>>();

/** @param accepted the header Accept-Encoding */
export function compressed(answered: Answered, accepted: string | undefined): Answered | Promise<Answered> {
  const { body } = answered;
  if (typeof body !== 'string' || body.length < leastCompressedBytes) return answered;
  const encoding = encodingOf(accepted);
  const forms = encodedForms.get(answered) ?? new Map<ContentEncoding | undefined, Promise<Answered>>();
  const form = forms.get(encoding) ?? encodedForm(answered, body, encoding);
  if (forms.size === 0) encodedForms.set(answered, forms);
  forms.set(encoding, form);
  return form;
}

async function encodedForm(answered: Answered, body: string, encoding: ContentEncoding | undefined): Promise<Answered> {
  const headers: Record<string, string> = { ...answered.headers, Vary: 'Accept-Encoding' };
  if (encoding === undefined) return { ...answered, headers };
  const bytes = new Uint8Array(await compressors[encoding](body));
  const tag = headers['ETag'];
  // the bytes of each encoding differ, so the tag is weak
  const weak = tag === undefined ? {} : { ETag: `W/${tag}` };
  return { ...answered, body: bytes, headers: { ...headers, ...weak, 'Content-Encoding': encoding } };
}

export function failure(
  error: ParleyError,
  requestId: string,
  { headers = {}, former = false }: { headers?: Readonly<Record<string, string>>; former?: boolean } = {},
): Answered {
  const problem = problemOf(error, requestId, former);
  const wait = error.retryAfter === undefined ? {} : { 'Retry-After': String(Math.ceil(error.retryAfter / 1000)) };
  const challenge = problem.status === 401 ? { 'WWW-Authenticate': 'Bearer' } : {};
  return {
    status: problem.status,
    body: JSON.stringify(problem),
    headers: {
      'Content-Type': problemType,
      'Cache-Control': 'no-store',
      'X-Request-Id': requestId,
      ...challenge,
      ...wait,
      ...headers,
    },
  };
}

/** Whether the body of a reply is an object for JSON. */
function isPlain(body: Reply['body']): boolean {
  if (typeof body !== 'object' || body instanceof Uint8Array || body instanceof ReadableStream) return false;
  return !(Symbol.asyncIterator in body);
}

function nextUrl(url: string, cursor: string): string {
  const { pathname, searchParams } = new URL(url);
  for (const name of ['cursor', 'after', 'before']) searchParams.delete(name);
  searchParams.set('cursor', cursor);
  return `${pathname}?${searchParams.toString()}`;
}

export function responseOf({ status, body, headers }: Answered): Response {
  return new Response(body, { status, headers });
}
