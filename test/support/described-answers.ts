/**
 * Checks answers of REST against the OpenAPI document of the server: the status, the type, the headers and the JSON schema of
 * the body. An answer that the document does not have is a fault.
 */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

export interface DescribedAnswer {
  readonly method: string;
  /** The path and the query, with `/api/v1`. */
  readonly target: string;
  readonly status: number;
  readonly headers: Headers;
  /** Undefined: the body is not checked, as that of a stream. */
  readonly body: string | undefined;
}

type Json = Readonly<Record<string, unknown>>;

interface Response {
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly content?: Readonly<Record<string, unknown>>;
}

interface Header {
  readonly required?: boolean;
  readonly schema: { readonly pattern?: string };
}

interface Described {
  readonly method: string;
  /** The parts of the whole path. */
  readonly segments: readonly string[];
  /** The place of the operation in the document, as a JSON pointer. */
  readonly pointer: string;
  readonly responses: Readonly<Record<string, unknown>>;
}

const prefix = '/api/v1';
const problemType = 'application/problem+json';

/** The headers that HTTP, proxies and the rules of browsers add to every answer of the server. */
const ofEveryAnswer = new Set(
  (
    'content-type content-length transfer-encoding connection keep-alive date uwebsockets server via ' +
    'x-content-type-options content-security-policy referrer-policy x-accel-buffering ' +
    'access-control-allow-origin access-control-allow-credentials access-control-expose-headers'
  ).split(' '),
);

export class DescribedAnswers {
  readonly #document: Json;
  readonly #operations: readonly Described[];
  readonly #ajv: Ajv2020;
  readonly #compiled = new Map<string, ValidateFunction>();

  constructor(document: Json) {
    this.#document = document;
    this.#operations = operationsOf(document);
    this.#ajv = new Ajv2020({ strict: false, allErrors: true, validateSchema: false });
    // the module is CommonJS, and its default is inside of the default
    (addFormats as unknown as { default: (ajv: Ajv2020) => void }).default(this.#ajv);
    this.#ajv.addSchema(document, 'whole');
    // with `fields` or `exclude` an answer lacks fields, and has no other ones
    this.#ajv.addSchema(withoutRequired(document), 'chosen');
  }

  /** @returns the faults of the answer in words; none: the document describes it */
  faults(answer: DescribedAnswer): string[] {
    const { method, target, status } = answer;
    const url = new URL(target, 'http://localhost');
    const found = this.#find(method === 'HEAD' ? 'GET' : method, url.pathname);
    if (found === 'nothing') return this.#undescribed(answer, 404, 'not_found');
    if (method === 'OPTIONS') return status === 204 || status === 403 ? [] : [`OPTIONS has the status ${status}`];
    if (found === 'no method') return this.#undescribed(answer, 405, 'method_not_allowed');
    const place = `${found.pointer}/responses/${status}`;
    const response = this.#resolved(found.responses[String(status)]) as Response | undefined;
    if (response === undefined) return [`the status ${status} is not documented`];
    const chosen = url.searchParams.has('fields') || url.searchParams.has('exclude');
    return [...this.#headerFaults(answer, response), ...this.#bodyFaults(answer, response, place, chosen)];
  }

  /** The faults of a line of a stream. */
  lineFaults(path: string, line: string): string[] {
    const found = this.#find('GET', `${prefix}${path.replace(/\?.*/, '')}`);
    if (typeof found === 'string') return [`there is no operation for ${path}`];
    return this.#schemaFaults(`${found.pointer}/responses/200/content/application~1x-ndjson/schema`, line, false);
  }

  #find(method: string, path: string): Described | 'nothing' | 'no method' {
    const segments = path.split('/');
    const there = this.#operations.filter((one) => matches(one.segments, segments));
    if (there.length === 0) return 'nothing';
    return there.find((one) => one.method === method) ?? 'no method';
  }

  /** Refusals before any operation, which all have the form of a problem. */
  #undescribed(answer: DescribedAnswer, usual: number, code: string): string[] {
    const { status, method, headers, body } = answer;
    // the host, the origin, the length and the type are checked before the address is
    if (![usual, 400, 403, 413, 415].includes(status)) return [`the status is ${status} instead of ${usual}`];
    const faults = this.#schemaFaults('/components/schemas/Problem', method === 'HEAD' ? undefined : body, false);
    if (typeOf(headers) !== problemType) faults.push(`the type is ${typeOf(headers)}`);
    if (status === 405 && headers.get('allow') === null) faults.push('the header Allow is missing');
    if (status === usual && body !== undefined && method !== 'HEAD' && !body.includes(`"code":"${code}"`)) {
      faults.push(`the code is not ${code}`);
    }
    return faults;
  }

  #headerFaults({ headers, method }: DescribedAnswer, response: Response): string[] {
    const faults: string[] = [];
    const described = new Map(
      Object.entries(response.headers ?? {}).map(([name, header]) => [
        name.toLowerCase(),
        this.#resolved(header) as Header,
      ]),
    );
    for (const [name, { required, schema }] of described) {
      const value = headers.get(name);
      if (value === null && required === true) faults.push(`the header ${name} is missing`);
      if (value !== null && schema.pattern !== undefined && !new RegExp(schema.pattern, 'u').test(value)) {
        faults.push(`the header ${name} is ${JSON.stringify(value)}`);
      }
    }
    for (const name of headers.keys()) {
      if (!described.has(name) && !ofEveryAnswer.has(name)) faults.push(`the header ${name} is not documented`);
    }
    const types = Object.keys(response.content ?? {});
    const type = typeOf(headers);
    if (types.length > 0 && !types.includes(type) && !(types.includes('*/*') && type !== ''))
      faults.push(`the type is ${type} instead of ${types.join(' or ')}`);
    if (types.length === 0 && type !== '' && method !== 'HEAD') faults.push(`there is the type ${type} and no content`);
    return faults;
  }

  #bodyFaults(
    { method, headers, body }: DescribedAnswer,
    response: Response,
    place: string,
    chosen: boolean,
  ): string[] {
    if (body === undefined) return [];
    if (method === 'HEAD' || response.content === undefined) return body === '' ? [] : ['there is a body'];
    const type = typeOf(headers);
    // the client of streams checks their lines
    if (!type.endsWith('json') || type === 'application/x-ndjson') return [];
    const at = `${this.#target(place)}/content/${type.replaceAll('/', '~1')}/schema`;
    return this.#schemaFaults(at, body, chosen && !type.includes('problem'));
  }

  #schemaFaults(pointer: string, body: string | undefined, chosen: boolean): string[] {
    if (body === undefined) return [];
    const name = `${chosen ? 'chosen' : 'whole'}#${encodeURI(pointer)}`;
    let validate = this.#compiled.get(name);
    if (validate === undefined) this.#compiled.set(name, (validate = this.#ajv.compile({ $ref: name })));
    let value: unknown;
    try {
      value = JSON.parse(body);
    } catch {
      return [`the body is no JSON: ${body.slice(0, 100)}`];
    }
    if (validate(value)) return [];
    return (validate.errors ?? []).slice(0, 8).map(({ instancePath, message, params }) => {
      return `the body${instancePath} ${message} ${JSON.stringify(params)}`;
    });
  }

  /** The pointer of a response, or of the component that it refers to. */
  #target(pointer: string): string {
    const { $ref } = valueAt(this.#document, pointer) as { $ref?: string };
    return $ref?.slice(1) ?? pointer;
  }

  #resolved(value: unknown): unknown {
    const { $ref } = (value ?? {}) as { $ref?: string };
    return $ref === undefined ? value : valueAt(this.#document, $ref.slice(1));
  }
}

function operationsOf(document: Json): Described[] {
  return Object.entries(document['paths'] as Readonly<Record<string, Json>>).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => {
      const { responses, servers } = operation as Pick<Described, 'responses'> & { servers?: object };
      return {
        method: method.toUpperCase(),
        // an operation with a server of its own is not under the common prefix
        segments: `${servers === undefined ? prefix : ''}${path}`.split('/'),
        pointer: `/paths/${path.replaceAll('~', '~0').replaceAll('/', '~1')}/${method}`,
        responses,
      };
    }),
  );
}

function matches(template: readonly string[], segments: readonly string[]): boolean {
  if (template.length !== segments.length) return false;
  return template.every((part, n) => (part.startsWith('{') ? segments[n] !== '' : part === segments[n]));
}

function typeOf(headers: Headers): string {
  return (headers.get('content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
}

function valueAt(document: Json, pointer: string): unknown {
  let value: unknown = document;
  for (const part of pointer.split('/').slice(1)) {
    value = (value as Json | undefined)?.[part.replaceAll('~1', '/').replaceAll('~0', '~')];
  }
  return value;
}

/** The document with schemas of objects that may lack fields. Several parts of a union may fit such an object. */
function withoutRequired(value: unknown): Json {
  const open = (part: unknown): unknown => {
    if (Array.isArray(part)) return part.map(open);
    if (typeof part !== 'object' || part === null) return part;
    return Object.fromEntries(
      Object.entries(part)
        .filter(([key, inner]) => !(key === 'required' && Array.isArray(inner)))
        .map(([key, inner]) => [key === 'oneOf' ? 'anyOf' : key, open(inner)]),
    );
  };
  return open(value) as Json;
}
