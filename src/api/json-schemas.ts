/** JSON schemas of OpenAPI and AsyncAPI, made by zod's own writer. */
import { z } from 'zod';

export type Json = Readonly<Record<string, unknown>>;

/** JSON schemas, with those that have a name among the components. */
export class Schemas {
  readonly #components = new Map<string, unknown>();

  ofOutput(schema: z.ZodType): Json {
    return this.#hoist(z.toJSONSchema(schema, { io: 'output', unrepresentable: 'any' }) as Json);
  }

  /** @param names the fields that the body has; the others are in the path */
  ofInput(schema: z.ZodType, names: ReadonlySet<string>, optional?: string): Json {
    const whole = this.#hoist(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Json);
    return withOnly(whole, names, optional);
  }

  /** The input with all of its fields. */
  ofWhole(schema: z.ZodType): Json {
    return this.#hoist(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Json);
  }

  ofField(schema: object): Json {
    return this.#hoist(schema as Json);
  }

  all(): Json {
    return Object.fromEntries([...this.#components].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }

  #hoist({ $defs = {}, id, ...rest }: Json): Json {
    const schema = without(rest, '$schema');
    for (const [name, definition] of Object.entries($defs as Record<string, Json>)) {
      this.#components.set(name, pointed(without(definition, 'id')));
    }
    const body = pointed(schema) as Json;
    if (typeof id !== 'string') return body;
    this.#components.set(id, body);
    return { $ref: `#/components/schemas/${id}` };
  }
}

function without(schema: Json, name: string): Json {
  return Object.fromEntries(Object.entries(schema).filter(([key]) => key !== name));
}

/** References to `$defs` become references to components. */
function pointed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(pointed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, part]) => [
      key,
      key === '$ref' && typeof part === 'string' ? part.replace('#/$defs/', '#/components/schemas/') : pointed(part),
    ]),
  );
}

/**
 * A schema of objects with some of its properties, also inside a union.
 * @param optional a required property that a request may leave out
 */
function withOnly(schema: Json, names: ReadonlySet<string>, optional?: string): Json {
  const result: Record<string, unknown> = { ...schema };
  for (const key of ['anyOf', 'oneOf', 'allOf'] as const) {
    const parts = schema[key];
    if (Array.isArray(parts)) result[key] = parts.map((part) => withOnly(part as Json, names, optional));
  }
  const properties = schema['properties'];
  if (properties === undefined) return result;
  result['properties'] = Object.fromEntries(Object.entries(properties as Json).filter(([name]) => names.has(name)));
  const least = schema['minProperties'];
  const elsewhere = Object.keys(properties as Json).length - Object.keys(result['properties'] as Json).length;
  if (typeof least === 'number') result['minProperties'] = least - elsewhere;
  const required = ((schema['required'] ?? []) as string[]).filter((name) => names.has(name) && name !== optional);
  if (required.length > 0) result['required'] = required;
  else delete result['required'];
  result['additionalProperties'] = false;
  return result;
}
