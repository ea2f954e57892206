/** Makes a small valid request of an operation from its description in OpenAPI. */

export interface DescribedOperation {
  readonly parameters: readonly {
    readonly name: string;
    readonly in: string;
    readonly required: boolean;
    readonly schema: Schema;
  }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
}

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly format?: string;
  readonly minimum?: number;
  readonly minItems?: number;
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly propertyNames?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly not?: Schema;
}

type Schemas = Readonly<Record<string, Schema>>;
type Named = Readonly<Record<string, string>>;

const uuid = '3f0e9a52-7c1b-4e5d-9a68-0d5b3c2f1a00';
/** Texts of the forms that inputs have; the first one that fits the pattern is taken. */
const texts = [
  'sample',
  uuid,
  '0x00',
  'abcdefghijkl',
  '0123456789abcdef',
  ...[22, 32, 43, 64].map((n) => 'a'.repeat(n)),
  'https://example.com/',
];
/** Fields whose rule a JSON schema cannot say. */
const usual: Named = {
  emoji: '👍',
  user: 'somebody',
  // a point of the curve
  p256dh: 'BFzGVtttpV-ABP7dmVlcoyMBZwrqb-mTIEszHmksQBzhSV_fgNGWKNdX_0c2h4FA2Rx6L1wITui2d3SerWRZ9RU',
};

/** @param named values of fields, such as the room @returns the path with its query, and the body */
export function sampleInput(
  { path, parameters, requestBody }: DescribedOperation & { readonly path: string },
  schemas: object,
  named: Named,
): { path: string; body: object | undefined } {
  const sampler = new Sampler(schemas as Schemas, { ...usual, ...named });
  let filled = path;
  const query = new URLSearchParams();
  for (const { name, in: place, required, schema } of parameters) {
    // the callers of this function send their own headers
    if (!required || place === 'header') continue;
    const value = sampler.value(schema, name);
    const text = Array.isArray(value) ? value.join(',') : String(value);
    if (place === 'path') filled = filled.replace(`{${name}}`, encodeURIComponent(text));
    else if (place === 'query') query.set(name, text);
  }
  // a body of another type is a stream, which the operation reads after its checks
  const content = requestBody?.content['application/json'];
  const body = content === undefined ? undefined : (sampler.value(content.schema, '') as object);
  return { path: query.size === 0 ? filled : `${filled}?${query.toString()}`, body };
}

class Sampler {
  readonly #schemas: Schemas;
  readonly #named: Named;

  constructor(schemas: Schemas, named: Named) {
    this.#schemas = schemas;
    this.#named = named;
  }

  value(schema: Schema, name: string): unknown {
    const { $ref, const: fixed, enum: values, anyOf, oneOf, allOf } = schema;
    if ($ref !== undefined) return this.value(this.#schemas[$ref.split('/').at(-1) ?? ''] ?? {}, name);
    if (fixed !== undefined) return fixed;
    if (values !== undefined) return values[0];
    const [type] = [schema.type ?? []].flat();
    if (type === 'object') return this.#object(schema);
    const [first] = anyOf ?? oneOf ?? allOf ?? [];
    if (first !== undefined) return this.value(first, name);
    if (type === 'array') return this.#array(schema, name);
    if (type === 'integer' || type === 'number') return Math.max(schema.minimum ?? 1, 1);
    if (type === 'boolean') return true;
    if (type === 'string') return this.#text(schema, name);
    return schema.not === undefined ? null : 'sample';
  }

  #object({ properties = {}, required = [], propertyNames, additionalProperties }: Schema): object {
    // without a required field the first one is there: some inputs need any
    const names = required.length > 0 ? required : Object.keys(properties).slice(0, 1);
    const object = Object.fromEntries(names.map((name) => [name, this.value(properties[name] ?? {}, name)]));
    if (propertyNames === undefined || typeof additionalProperties !== 'object') return object;
    // a map from rooms, such as the cursors of a client
    return { ...object, [this.#named['room'] ?? 'sample']: this.value(additionalProperties, '') };
  }

  #array({ items = {}, minItems = 1 }: Schema, name: string): unknown[] {
    return Array.from({ length: Math.max(minItems, 1) }, () => this.value(items, name.replace(/s$/, '')));
  }

  #text({ pattern, format }: Schema, name: string): string {
    const given = this.#named[name];
    if (given !== undefined) return given;
    if (format === 'uuid') return uuid;
    const fitting = texts.find((text) => pattern === undefined || new RegExp(pattern, 'u').test(text));
    if (fitting === undefined) throw new Error(`No sample fits ${name}: ${pattern}`);
    return fitting;
  }
}
