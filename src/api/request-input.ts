/** The input of an operation, gathered from the path, the query and the body of its request. */
import { z } from 'zod';
import { RestError, InputError, type InputFault } from '../protocol/rest-errors.ts';
import type { Operation } from './operation.ts';
import { readCursor } from './pages.ts';

/** Parameters of every operation with an answer that is JSON. */
export const commonParameters = ['fields', 'exclude'] as const;
/** The greatest `limit` of a page, and the one of a request that names none. */
export const pageSize = { most: 100, usual: 20 } as const;

type Place = InputFault['in'];

interface Field {
  readonly place: Place;
  readonly type: 'number' | 'boolean' | 'list' | 'text' | 'any';
}

/** How the requests of an operation are read. Made once for each operation. */
export interface InputPlan {
  readonly fields: ReadonlyMap<string, Field>;
  readonly hasBody: boolean;
  /** The fields that the query may have, for the text of an error. */
  readonly query: readonly string[];
}

interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
}

/** The fields of a schema for objects, also of a union of them. */
export function fieldsOf(schema: z.ZodType): ReadonlyMap<string, JsonSchema> {
  const fields = new Map<string, JsonSchema>();
  const gather = ({ properties = {}, anyOf = [], oneOf = [], allOf = [] }: JsonSchema): void => {
    for (const [name, field] of Object.entries(properties)) fields.set(name, field);
    for (const part of [...anyOf, ...oneOf, ...allOf]) gather(part);
  };
  gather(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema);
  return fields;
}

export function pathFields(path: string): string[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);
}

export function inputPlan({ route, input, consumes }: Pick<Operation, 'route' | 'input' | 'consumes'>): InputPlan {
  const inPath = new Set(pathFields(route.path));
  const left = new Set([...(route.without ?? []), ...Object.keys(route.fixed ?? {})]);
  const inBody = route.method !== 'GET' && route.method !== 'DELETE' && consumes === undefined;
  const fields = new Map<string, Field>();
  for (const [name, schema] of fieldsOf(input)) {
    if (left.has(name)) continue;
    const place = inPath.has(name) ? 'path' : inBody ? 'body' : 'query';
    fields.set(name, { place, type: typeOf(schema) });
  }
  const query = [...fields].filter(([, { place }]) => place === 'query').map(([name]) => name);
  return { fields, hasBody: inBody && [...fields.values()].some(({ place }) => place === 'body'), query };
}

function typeOf({ type, anyOf = [] }: JsonSchema): Field['type'] {
  const types = [type, ...anyOf.map((part) => part.type)].flat();
  if (types.includes('integer') || types.includes('number')) return 'number';
  if (types.includes('boolean')) return 'boolean';
  if (types.includes('array')) return 'list';
  return types.includes('string') ? 'text' : 'any';
}

export interface RawInput {
  readonly path: Readonly<Record<string, string>>;
  readonly query: string;
  /** The text of the body; '' is no body. */
  readonly body: string;
}

/** @returns the input before its schema checks it, and the common parameters. @throws {InputError} */
export function gatherInput(
  { fields, query, hasBody }: InputPlan,
  { name, route }: Pick<Operation, 'name' | 'route'>,
  raw: RawInput,
): { readonly input: object; readonly common: ReadonlyMap<string, string> } {
  const faults: InputFault[] = [];
  // a map: a client may name a field __proto__
  const values = new Map<string, unknown>();
  const common = new Map<string, string>();
  for (const [field, text] of Object.entries(raw.path)) values.set(field, fromText(text, fields.get(field)?.type));
  for (const [key, text] of new URLSearchParams(raw.query)) {
    const field = fields.get(key);
    if (common.has(key) || values.has(key)) faults.push(fault('query', key, 'the parameter is there twice'));
    else if (field?.place === 'query' && !(key === 'cursor' && route.pages !== undefined)) {
      values.set(key, fromText(text, field.type));
    } else if (isCommon(key, route.pages !== undefined)) common.set(key, text);
    else
      faults.push(
        fault('query', key, `there is no such parameter; there are ${listed([...query, ...commonParameters])}`),
      );
  }
  if (hasBody)
    for (const [key, value] of Object.entries(objectIn(raw.body))) {
      if (fields.get(key)?.place === 'body') values.set(key, value);
      else faults.push(fault('body', key, 'the body has no such field'));
    }
  readPage({ name, fields, values, common, faults });
  if (faults.length > 0) throw new InputError(faults);
  for (const [key, value] of Object.entries(route.fixed ?? {})) values.set(key, value);
  return { input: Object.fromEntries(values), common };
}

interface Gathered extends Pick<Operation, 'name'> {
  readonly fields: InputPlan['fields'];
  readonly values: Map<string, unknown>;
  readonly common: Map<string, string>;
  readonly faults: InputFault[];
}

function readPage({ name, fields, values, common, faults }: Gathered): void {
  if (fields.get('limit')?.place === 'query') {
    const limit = values.get('limit') ?? pageSize.usual;
    if (typeof limit === 'number' && limit > pageSize.most) {
      faults.push(fault('query', 'limit', `the greatest limit is ${pageSize.most}`));
    }
    values.set('limit', limit);
  }
  const cursor = common.get('cursor');
  if (cursor === undefined) return;
  const next = readCursor(name, cursor);
  if (next === undefined) faults.push(fault('query', 'cursor', 'this is not a cursor of this list'));
  else if (values.has(next.field)) faults.push(fault('query', 'cursor', `the request has ${next.field} too`));
  else values.set(next.field, next.value);
}

/** The faults of an input, with the part of the request that has each of them. */
export function inputError(error: z.ZodError, { fields }: InputPlan): InputError {
  return new InputError(
    error.issues.slice(0, 20).map(({ path, message }) => ({
      pointer: path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join(''),
      in: fields.get(String(path[0]))?.place ?? 'body',
      message,
    })),
  );
}

function isCommon(key: string, pages: boolean): boolean {
  return key === 'fields' || key === 'exclude' || (pages && key === 'cursor');
}

function fault(place: Place, key: string, message: string): InputFault {
  return { pointer: `/${key.slice(0, 64)}`, in: place, message };
}

function listed(names: readonly string[]): string {
  return names.join(', ');
}

/** Text that is not of the type stays text, which the schema refuses with the name of the type. */
function fromText(text: string, type: Field['type'] | undefined): unknown {
  if (type === 'number') return /^-?\d{1,16}(\.\d{1,16})?$/.test(text) ? Number(text) : text;
  if (type === 'boolean') return text === 'true' ? true : text === 'false' ? false : text;
  return type === 'list' ? text.split(',') : text;
}

function objectIn(body: string): object {
  if (body === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (error) {
    throw new RestError('bad_json', placeOf(error as Error, body), { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InputError([{ pointer: '', in: 'body', message: 'expected an object' }]);
  }
  return value;
}

/** Node names the place as a number of characters, or not at all at the end of the text. */
function placeOf({ message }: Error, body: string): string {
  const at = Number(/position (\d+)/.exec(message)?.[1] ?? body.length);
  const before = body.slice(0, at).split('\n');
  return `The body is not valid JSON at line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}.`;
}
