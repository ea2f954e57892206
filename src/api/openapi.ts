/**
 * OpenAPI 3.1 of all operations, made from their declarations. Schemas come from zod's own writer of JSON Schema 2020-12, which
 * is the dialect of OpenAPI 3.1.
 */
import { z } from 'zod';
import { errorCatalogue, type ErrorCode } from '../protocol/errors.ts';
import { restErrorKinds, type RestErrorCode } from '../protocol/rest-errors.ts';
import { scopeMeanings } from '../protocol/scopes.ts';
import { Schemas, type Json } from './json-schemas.ts';
import type { Operation } from './operation.ts';
import { problem, problemType } from './problem.ts';
import { fieldsOf, inputPlan, pageSize, pathFields } from './request-input.ts';

type AnyCode = ErrorCode | RestErrorCode;

export interface OpenApi {
  readonly openapi: '3.1.0';
  readonly info: Json;
  readonly servers: readonly Json[];
  readonly tags: readonly Json[];
  readonly paths: Readonly<Record<string, Json>>;
  readonly components: { readonly schemas: Json; readonly securitySchemes: Json; readonly responses: Json };
}

/** Every operation may fail with these. */
export const commonErrors: readonly AnyCode[] = [
  'invalid',
  'unauthorized',
  'token_expired',
  'forbidden',
  'rate_limited',
  'internal',
  'overloaded',
  'unavailable',
  'draining',
  'timeout',
];

export function openApi(operations: readonly Operation[], version: string): OpenApi {
  const schemas = new Schemas();
  schemas.ofOutput(problem);
  const paths: Record<string, Record<string, unknown>> = {};
  for (const operation of operations) {
    const { method, path } = operation.route;
    const methods = (paths[path] ??= {});
    methods[method.toLowerCase()] = operationObject(operation, schemas);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Parley',
      version,
      description:
        'Messages that are stored, numbered and delivered once. Errors are `application/problem+json`. Lists are pages of ' +
        '`{items, next, hasMore}`; pass `next` as `cursor`.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/api/v1' }],
    tags: [...new Set(operations.map(tagOf))].map((name) => ({ name })),
    paths,
    components: {
      schemas: schemas.all(),
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'the token of a user' },
        key: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'pk_<id>_<secret>',
          description: `an API key. Scopes: ${Object.entries(scopeMeanings)
            .map(([scope, meaning]) => `\`${scope}\` ${meaning}`)
            .join('; ')}.`,
        },
      },
      responses: {},
    },
  };
}

function tagOf({ route }: Operation): string {
  return route.path.split('/')[1] ?? 'api';
}

function operationObject(operation: Operation, schemas: Schemas): Json {
  const { id, about, route, scope, callers, errors } = operation;
  const status = String(route.status ?? 200);
  const [summary = about] = about.split('. ');
  const security = callers === 'anyone' ? [] : callers === 'key' ? [{ key: [] }] : [{ token: [] }, { key: [] }];
  return {
    operationId: id,
    summary: summary.endsWith('.') ? summary : `${summary}.`,
    description: about,
    tags: [tagOf(operation)],
    security,
    ...(scope === null ? {} : { 'x-scope': scope }),
    'x-weight': operation.weight,
    parameters: parametersOf(operation, schemas),
    ...bodyOf(operation, schemas),
    responses: {
      [status]: {
        description: 'The request succeeded.',
        headers: rateHeaders,
        content: { ...contentOf(operation, schemas), ...linesOf(operation, schemas) },
      },
      ...errorResponses([...commonErrors, ...errors]),
    },
  };
}

const rateHeaders = {
  RateLimit: { schema: { type: 'string' }, description: 'what is left of the rate' },
  'RateLimit-Policy': { schema: { type: 'string' }, description: 'the rate' },
  'X-Request-Id': { schema: { type: 'string' } },
};

function parametersOf(operation: Operation, schemas: Schemas): Json[] {
  const { route, produces } = operation;
  const inPath = new Set(pathFields(route.path));
  const found: Json[] = [];
  const fields = fieldsOf(operation.input);
  for (const [name, { place, type }] of inputPlan(operation).fields) {
    if (place === 'body' || place === 'header') continue;
    const list = type === 'list' ? { style: 'form', explode: false } : {};
    const { description, ...schema } = schemas.ofField(fields.get(name) ?? {});
    const required = inPath.has(name) || requiredFields(operation.input).has(name);
    const about = typeof description === 'string' ? { description } : {};
    const own = name === 'limit' ? { ...schema, default: pageSize.usual, maximum: pageSize.most } : schema;
    found.push({ name, in: place, required, ...about, ...list, schema: own });
  }
  if (route.pages !== undefined && !found.some(({ name }) => name === 'cursor')) {
    found.push(textParameter('cursor', 'the `next` of the page before'));
  }
  if (produces === undefined) {
    found.push(
      textParameter('fields', 'the fields that the answer has, such as `id,body.text`; for a list those of its items'),
      textParameter('exclude', 'the fields that the answer does not have'),
    );
  }
  if (operation.callers === 'caller' || operation.callers === 'user') {
    found.push({
      name: 'Parley-User',
      in: 'header',
      required: false,
      description: 'the user for whom an API key acts',
      schema: { type: 'string', maxLength: 64 },
    });
  }
  return found;
}

function textParameter(name: string, description: string): Json {
  return { name, in: 'query', required: false, description, schema: { type: 'string', minLength: 1 } };
}

function bodyOf(operation: Operation, schemas: Schemas): Json {
  if (operation.consumes !== undefined) {
    const content = { [operation.consumes]: { schema: { type: 'string' } } };
    return { requestBody: { required: operation.route.method === 'PATCH', content } };
  }
  const { fields, hasBody } = inputPlan(operation);
  if (!hasBody) return {};
  const names = new Set([...fields].filter(([, { place }]) => place === 'body').map(([name]) => name));
  const schema = schemas.ofInput(operation.input, names, operation.route.generates);
  return { requestBody: { required: true, content: { 'application/json': { schema } } } };
}

function contentOf({ output, produces, route }: Operation, schemas: Schemas): Json {
  if (route.status === 204) return {};
  const schema = schemas.ofOutput(output);
  if (produces !== undefined) return { [produces]: { schema: { type: 'string' } } };
  if (route.pages === undefined) return { 'application/json': { schema } };
  const { items, next } = route.pages;
  const own = new Set([items, 'more', ...next.map(({ from }) => from)]);
  const properties = (schema['properties'] ?? {}) as Json;
  const rest = Object.fromEntries(Object.entries(properties).filter(([name]) => !own.has(name)));
  const required = ((schema['required'] ?? []) as string[]).filter((name) => !own.has(name));
  return {
    'application/json': {
      schema: {
        type: 'object',
        properties: {
          items: properties[items] ?? { type: 'array' },
          next: { type: ['string', 'null'], description: 'pass as `cursor` for the next page; null: there is none' },
          hasMore: { type: 'boolean' },
          ...rest,
        },
        required: ['items', 'next', 'hasMore', ...required],
        additionalProperties: false,
      },
    },
  };
}

/** The schema of a stream is that of one line. */
function linesOf({ lines }: Operation, schemas: Schemas): Json {
  return lines === undefined ? {} : { [lines.type]: { schema: schemas.ofOutput(lines.line) } };
}

function errorResponses(codes: readonly AnyCode[]): Json {
  const byStatus = new Map<number, Set<string>>();
  for (const code of codes) {
    const { httpStatus } =
      code in restErrorKinds ? restErrorKinds[code as RestErrorCode] : errorCatalogue[code as ErrorCode];
    byStatus.set(httpStatus, (byStatus.get(httpStatus) ?? new Set()).add(code));
  }
  return Object.fromEntries(
    [...byStatus].map(([status, names]) => [
      String(status),
      {
        description: [...names].map((name) => `\`${name}\``).join(', '),
        content: { [problemType]: { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    ]),
  );
}

function requiredFields(schema: z.ZodType): ReadonlySet<string> {
  const { required = [] } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as { required?: string[] };
  return new Set(required);
}
