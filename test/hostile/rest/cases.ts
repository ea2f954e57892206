/** Requests of REST with one fault each, and the answer that is right. Each is made of its random stream alone. */
import type { Random } from '../fuzz/random.ts';
import { value } from '../fuzz/json.ts';
import { sampleInput, type DescribedOperation } from '../../api/sample-input.ts';

export interface Case {
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly query: readonly string[];
  readonly headers: readonly string[];
  /** Undefined: the request has no body. */
  readonly body: string | undefined;
  /** The statuses that are right. Undefined: every documented one below 500. */
  readonly right: readonly number[] | undefined;
}

export interface Operation extends DescribedOperation {
  readonly operationId: string;
  readonly method: string;
  readonly path: string;
  /** The kinds of callers: `token`, `key`; empty: everybody. */
  readonly callers: readonly string[];
}

export interface Ground {
  readonly operations: readonly Operation[];
  readonly schemas: object;
  /** Headers `Authorization`: keys and tokens that may use every operation, and wrong ones. */
  readonly keys: readonly string[];
  readonly tokens: readonly string[];
}

type Fault = (r: Random, base: Case, operation: Operation) => Case;

const wrongKeys = [
  'Authorization: Bearer pk_aaaaaaaaaaaa_' + '0'.repeat(64),
  'Authorization: Bearer pk_',
  'Authorization: Bearer eyJhbGciOiJub25lIn0.e30.',
  'Authorization: Basic dXNlcjpwYXNz',
  'Authorization: Bearer',
  `Authorization: Bearer ${'x'.repeat(3000)}`,
];
const names = [
  '__proto__',
  'constructor',
  'colour',
  'toString',
  '',
  '%00',
  'limit[]',
  '%F0%9F%91%8D',
  'a.b',
  'hasOwnProperty',
];
const badLimits = ['-1', '0', '101', '1e9', '99999999999999999999', 'NaN', '', '1.5', '0x10', 'null', '%2B1', '1,2'];
const cursors = [
  'x',
  '',
  'WyJoaXN0b3J5IiwiYmVmb3JlIiwtMV0',
  'bnVsbA',
  '%00',
  'W10',
  'WyJub25lIiwiYWZ0ZXIiLDFd',
  'a'.repeat(2100),
];
const strange = [
  'X-Request-Id: a%0d%0aSet-Cookie: x=1',
  'traceparent: 00-00000000000000000000000000000000-0000000000000000-01',
  'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  'If-None-Match: *',
  'If-Match: "x", W/"y"',
  'Accept-Encoding: br;q=9, gzip;q=x',
  'Accept-Encoding: gzip',
  'Accept: text/html',
  'Parley-User: ../../etc',
  'Parley-User: fuzz-1',
  'Range: bytes=0-1',
  'Cookie: a=b',
  'X-HTTP-Method-Override: DELETE',
];
const fromAll = undefined;

const withQuery = (base: Case, name: string, right: Case['right'], ...entries: string[]): Case => ({
  ...base,
  name,
  query: [...base.query, ...entries],
  right,
});
const withHeader = (base: Case, name: string, right: Case['right'], ...headers: string[]): Case => ({
  ...base,
  name,
  headers: [...base.headers, ...headers],
  right,
});
const hasQuery = ({ parameters }: Operation, name: string): boolean =>
  parameters.some((one) => one.in === 'query' && one.name === name);

/** A segment of the path, a header of uWS or a rate may be refused before the fault is seen. */
const faults: readonly (readonly [share: number, fault: Fault])[] = [
  [16, (r, base) => withQuery(base, 'unknown query key', [400], `${r.pick(names)}=${r.pick(badLimits)}`)],
  [
    8,
    (r, base, operation) => {
      const [name = 'fields'] = operation.parameters.filter((one) => one.in === 'query').map((one) => one.name);
      const once = r.pick([`${name}=1`, `${name}=`]);
      return withQuery(base, 'repeated query key', [400], once, once);
    },
  ],
  [
    10,
    (r, base, operation) =>
      hasQuery(operation, 'limit')
        ? withQuery(base, 'limit', [400], `limit=${r.pick(badLimits)}`)
        : withQuery(base, 'unknown query key', [400], 'limit=1'),
  ],
  [
    8,
    (r, base, operation) =>
      withQuery(base, 'cursor', hasQuery(operation, 'cursor') ? [400] : [400], `cursor=${r.pick(cursors)}`),
  ],
  [
    6,
    (r, base) =>
      withQuery(
        base,
        'chosen fields',
        fromAll,
        `${r.pick(['fields', 'exclude'])}=${r.pick(['id', 'a.b.c', '', ',', '__proto__', 'x,'.repeat(40)])}`,
      ),
  ],
  [
    14,
    (r, base) => {
      if (base.body === undefined) return withQuery(base, 'unknown query key', [400], `${r.pick(names)}=`);
      const field = JSON.stringify(r.pick(['__proto__', 'constructor', 'colour', '', '\u0000', 'toString']));
      const body =
        base.body === '{}'
          ? `{${field}:1}`
          : base.body.replace(/}$/, `,${field}:${r.pick(['1', '{}', 'null', '[]'])}}`);
      return { ...base, name: 'unknown field', body, right: [400] };
    },
  ],
  [
    16,
    (r, base) => ({
      ...base,
      name: 'random body',
      body: base.body === undefined ? undefined : value(r),
      right: fromAll,
    }),
  ],
  [
    8,
    (r, base) => {
      if (base.body === undefined) return { ...base, name: 'valid', right: fromAll };
      const text = r.pick([
        '{',
        '[]',
        'null',
        '"x"',
        '{"a":}',
        '{"a":1}}',
        '\u0000',
        "{'a':1}",
        '{"a":1,}',
        '7',
        'true',
      ]);
      return { ...base, name: 'no object', body: text, right: [400] };
    },
  ],
  [
    6,
    (r, base) => ({
      ...base,
      name: 'unknown method',
      method: r.pick(['TRACE', 'PROPFIND', 'REPORT', 'LINK', 'get', 'ANY']),
      right: [405, 404, 400],
    }),
  ],
  [
    4,
    (r, base) => ({
      ...base,
      name: 'unknown address',
      path: r.pick([
        `${base.path}/`,
        `${base.path}/none`,
        '/__proto__',
        '/rooms//messages',
        '/rooms/%2e%2e/x',
        `/${'a/'.repeat(200)}`,
      ]),
      right: fromAll,
    }),
  ],
  [1, (_, base) => ({ ...base, name: '10,000 segments', path: '/a'.repeat(10_000), right: [404, 431, 0] })],
  [
    4,
    (r, base) =>
      base.body === undefined
        ? withHeader(base, 'strange header', fromAll, r.pick(strange))
        : withHeader(base, 'gzip body', [415], `Content-Encoding: ${r.pick(['gzip', 'br', 'deflate', 'x'])}`),
  ],
  [
    4,
    (r, base) =>
      base.body === undefined
        ? withHeader(base, 'strange header', fromAll, r.pick(strange))
        : {
            ...withHeader(base, 'wrong type', [415], ''),
            headers: [
              ...base.headers.filter((one) => !one.startsWith('Content-Type')),
              `Content-Type: ${r.pick(['text/plain', 'application/xml', 'multipart/form-data; boundary=x', '*/*'])}`,
            ],
          },
  ],
  [8, (r, base) => withHeader(base, 'strange header', fromAll, r.pick(strange), r.pick(strange))],
  [
    6,
    (r, base, { callers }) => ({
      ...base,
      name: 'wrong key',
      headers: [...base.headers.filter((one) => !one.startsWith('Authorization')), r.pick(wrongKeys)],
      right: callers.length === 0 ? fromAll : [401, 400],
    }),
  ],
  [
    3,
    (_, base, { callers }) => ({
      ...base,
      name: 'no key',
      headers: base.headers.filter((one) => !one.startsWith('Authorization')),
      right: callers.length === 0 ? fromAll : [401],
    }),
  ],
  [
    6,
    (r, base) => ({
      ...base,
      name: 'strange path',
      path: base.path.replace(/[^/]+$/, () =>
        r.pick(['%00', '%ff', '__proto__', '..%2f', '%F0%9F%91%8D', 'a'.repeat(300), '%', ':room', '*', '-1', '1e9']),
      ),
      right: fromAll,
    }),
  ],
  [
    4,
    (r, base) => ({
      ...base,
      name: 'large body',
      body: base.body === undefined ? undefined : `{"x":"${'y'.repeat(20_000 + r.int(20_000))}"}`,
      right: base.body === undefined ? fromAll : [400],
    }),
  ],
  [12, (_, base) => ({ ...base, name: 'valid', right: fromAll })],
];
const wheel = faults.flatMap(([share, fault]) => Array.from({ length: share }, () => fault));
/** Valid requests of these would end the attack itself. */
const spared = /^(sessionRevoke|roomDelete|keyRevoke)/;

export function caseOf(r: Random, { operations, schemas, keys, tokens }: Ground): Case {
  const operation = r.pick(operations);
  const room = r.pick(['fuzz-0', 'fuzz-1', 'fuzz-2', 'nowhere']);
  const sample = sampleInput(operation, schemas, { room, user: `fuzz-${r.int(4)}` });
  const [path = '', query = ''] = sample.path.split('?');
  const byKey = !operation.callers.includes('token') || r.chance(0.5);
  const key = r.pick(byKey ? keys : tokens);
  const headers = [key, ...(byKey && r.chance(0.7) ? [`Parley-User: fuzz-${r.int(4)}`] : [])];
  const base: Case = {
    name: 'valid',
    method: operation.method,
    path,
    query: query === '' ? [] : query.split('&'),
    headers: sample.body === undefined ? headers : [...headers, 'Content-Type: application/json'],
    body: sample.body === undefined ? undefined : JSON.stringify(sample.body),
    right: undefined,
  };
  const made = r.pick(wheel)(r, base, operation);
  if (made.right === undefined && spared.test(operation.operationId))
    return withQuery(base, 'unknown query key', [400], 'x=1');
  return made;
}

export function bytesOf({ method, path, query, headers, body }: Case): string {
  const target = `/api/v1${path}${query.length === 0 ? '' : `?${query.join('&')}`}`;
  const length = body === undefined ? [] : [`Content-Length: ${Buffer.byteLength(body)}`];
  const lines = [`${method} ${target} HTTP/1.1`, 'Host: localhost', ...headers.filter((one) => one !== ''), ...length];
  return `${lines.join('\r\n')}\r\n\r\n${body ?? ''}`;
}

/** Cases with one part less each, for shrinking. */
export function* smaller(whole: Case): Generator<Case> {
  for (const n of whole.query.keys()) yield { ...whole, query: whole.query.toSpliced(n, 1) };
  for (const n of whole.headers.keys()) yield { ...whole, headers: whole.headers.toSpliced(n, 1) };
  const { body } = whole;
  if (body === undefined) return;
  yield { ...whole, body: undefined };
  let object: unknown;
  try {
    object = JSON.parse(body);
  } catch {
    for (let size = body.length >> 1; size > 0; size >>= 1) yield { ...whole, body: body.slice(0, size) };
    return;
  }
  for (const name of Object.keys(object ?? {})) {
    const rest = Object.entries(object as object).filter(([other]) => other !== name);
    yield { ...whole, body: JSON.stringify(Object.fromEntries(rest)) };
  }
}
