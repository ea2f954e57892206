/**
 * `?fields=` and `?exclude=`: the parts of an object, or of the items of a list, that a client wants. The choice is made in the
 * JSON text of the answer, so that bodies stay the text of their senders.
 */
import { z } from 'zod';
import { InputError } from '../protocol/rest-errors.ts';
import { elementsOf, membersOf, valueEnd } from './json-text.ts';

/** The most paths of one request. */
const mostPaths = 32;

/** Chosen names, each with the choice inside of it; an empty choice is the whole value. */
export type Choice = ReadonlyMap<string, Choice>;

export interface Projection {
  readonly fields: Choice | undefined;
  readonly exclude: Choice | undefined;
}

interface JsonSchema {
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, JsonSchema>>;
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly additionalProperties?: JsonSchema | boolean;
}

/** Checks the paths of one kind of answer. */
export class Paths {
  readonly #schema: JsonSchema;
  readonly #defs: Readonly<Record<string, JsonSchema>>;

  /** @param list the name of the list whose items are chosen from; undefined: the answer is one object */
  constructor(output: z.ZodType, list: string | undefined) {
    const schema = z.toJSONSchema(output, { io: 'output', unrepresentable: 'any' }) as JsonSchema;
    this.#defs = schema.$defs ?? {};
    this.#schema = list === undefined ? schema : (this.#resolved(schema).properties?.[list]?.items ?? {});
  }

  /** @throws {InputError} for a path that the answer cannot have */
  parse(common: ReadonlyMap<string, string>): Projection | undefined {
    const fields = this.#choice('fields', common.get('fields'));
    const exclude = this.#choice('exclude', common.get('exclude'));
    return fields === undefined && exclude === undefined ? undefined : { fields, exclude };
  }

  #choice(parameter: 'fields' | 'exclude', text: string | undefined): Choice | undefined {
    if (text === undefined) return undefined;
    const fault = (message: string): InputError => new InputError([{ pointer: `/${parameter}`, in: 'query', message }]);
    const paths = text.split(',');
    if (paths.length > mostPaths) throw fault(`at most ${mostPaths} paths`);
    const choice = new Map<string, Choice>();
    for (const path of paths) {
      const names = path.split('.');
      if (names.length > 16 || !this.#has(this.#schema, names)) {
        throw fault(`the answer has no ${JSON.stringify(path.slice(0, 64))}`);
      }
      add(choice, names);
    }
    return choice;
  }

  /** @param seen the schemas that the way to this one has passed without a further name: the schema of JSON contains itself */
  #has(schema: JsonSchema, [name, ...rest]: readonly string[], seen: readonly string[] = []): boolean {
    if (name === undefined) return true;
    if (schema.$ref !== undefined && seen.includes(schema.$ref)) return false;
    const passed = schema.$ref === undefined ? seen : [...seen, schema.$ref];
    const { properties = {}, items, anyOf = [], oneOf = [], additionalProperties, type } = this.#resolved(schema);
    if (items !== undefined) return this.#has(items, [name, ...rest], passed);
    if (Object.hasOwn(properties, name)) return this.#has(properties[name] ?? {}, rest);
    const parts = [...anyOf, ...oneOf];
    if (parts.some((part) => this.#has(part, [name, ...rest], passed))) return true;
    if (typeof additionalProperties === 'object') return this.#has(additionalProperties, rest);
    // a schema without any rule, such as the body of a message, may have every field
    return parts.length === 0 && type === undefined && Object.keys(properties).length === 0;
  }

  #resolved(schema: JsonSchema): JsonSchema {
    const name = schema.$ref?.replace(/^#\/\$defs\//, '');
    return name === undefined ? schema : (this.#defs[name] ?? {});
  }
}

function add(choice: Map<string, Choice>, [name = '', ...rest]: readonly string[]): void {
  const known = choice.get(name) as Map<string, Choice> | undefined;
  if (rest.length === 0) choice.set(name, new Map());
  // the whole value is chosen already
  else if (known?.size === 0) return;
  else {
    const inner = known ?? new Map<string, Choice>();
    choice.set(name, inner);
    add(inner, rest);
  }
}

/** @returns the JSON text of the value with the chosen parts alone; the elements of an array each */
export function project(json: string, { fields, exclude }: Projection): string {
  const chosen = fields === undefined ? json : picked(json, 0, fields, true);
  return exclude === undefined ? chosen : picked(chosen, 0, exclude, false);
}

function picked(json: string, from: number, choice: Choice, keep: boolean): string {
  const first = json[from];
  if (first === '[')
    return `[${elementsOf(json, from)
      .map(([at]) => picked(json, at, choice, keep))
      .join(',')}]`;
  if (first !== '{') return json.slice(from, valueEnd(json, from));
  const parts: string[] = [];
  for (const [name, [at, end]] of membersOf(json, from)) {
    const inner = choice.get(name);
    const whole = inner === undefined ? !keep : inner.size === 0 && keep;
    if (inner !== undefined && inner.size > 0) parts.push(`${JSON.stringify(name)}:${picked(json, at, inner, keep)}`);
    else if (whole) parts.push(`${JSON.stringify(name)}:${json.slice(at, end)}`);
  }
  return `{${parts.join(',')}}`;
}
