/**
 * OpenAPI 3.1 of all operations, made from their declarations. Schemas come from zod's own writer of JSON Schema 2020-12, which
 * is the dialect of OpenAPI 3.1.
 */
import { z } from 'zod';
import type { RequestHeader } from '../protocol/http-route.ts';
import { fileRoutes } from '../protocol/routes/files.ts';
import { scopeMeanings } from '../protocol/scopes.ts';
import { userId } from '../protocol/model.ts';
import { Schemas, type Json } from './json-schemas.ts';
import { Responses, responseHeaders } from './openapi-responses.ts';
import { describedOperations, isKeyed, type DescribedOperation } from './operation.ts';
import { problem } from './problem.ts';
import { fieldsOf, inputPlan, pageSize, pathFields } from './request-input.ts';

export interface OpenApi {
  readonly openapi: '3.1.0';
  readonly info: Json;
  readonly servers: readonly Json[];
  readonly tags: readonly Json[];
  readonly paths: Readonly<Record<string, Json>>;
  readonly components: {
    readonly schemas: Json;
    readonly securitySchemes: Json;
    readonly responses: Json;
    readonly headers: Json;
  };
}

/** @param served the operations of REST; links to files have their own place in the server */
export function openApi(served: readonly DescribedOperation[], version: string): OpenApi {
  const file = fileRoutes['file:read'];
  const operations = [...served, ...describedOperations('file:read', file, file.callers)];
  const schemas = new Schemas();
  schemas.ofOutput(problem);
  const responses = new Responses(operations);
  const paths: Record<string, Record<string, unknown>> = {};
  for (const operation of operations) {
    const { method, path } = operation.route;
    const methods = (paths[path] ??= {});
    methods[method.toLowerCase()] = operationObject(operation, schemas, responses);
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
      responses: responses.shared(),
      headers: responseHeaders,
    },
  };
}

function tagOf({ route }: DescribedOperation): string {
  return route.path.split('/')[1] ?? 'api';
}

function operationObject(operation: DescribedOperation, schemas: Schemas, responses: Responses): Json {
  const { id, about, scope, callers } = operation;
  const [summary = about] = about.split('. ');
  const security = callers === 'anyone' ? [] : callers === 'key' ? [{ key: [] }] : [{ token: [] }, { key: [] }];
  return {
    operationId: id,
    summary: summary.endsWith('.') ? summary : `${summary}.`,
    description: about,
    tags: [tagOf(operation)],
    ...(operation.route.isOutside === true ? { servers: [{ url: '/' }] } : {}),
    security,
    ...(scope === null ? {} : { 'x-scope': scope }),
    ...(callers === 'user' ? { 'x-needs-user': true } : {}),
    'x-weight': operation.weight,
    parameters: parametersOf(operation, schemas),
    ...bodyOf(operation, schemas),
    responses: responses.of(operation, { ...contentOf(operation, schemas), ...linesOf(operation, schemas) }),
  };
}

function parametersOf(operation: DescribedOperation, schemas: Schemas): Json[] {
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
    const own = name === 'limit' && place === 'query' ? pageLimit(schema) : schema;
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
  return [...found, ...headerParameters(operation)];
}

/** The limit of a page is the smaller one of its command and of REST. */
function pageLimit(schema: Json): Json {
  const { maximum } = schema;
  const most = typeof maximum === 'number' ? Math.min(maximum, pageSize.most) : pageSize.most;
  return { ...schema, default: pageSize.usual, maximum: most };
}

function headerParameters(operation: DescribedOperation): Json[] {
  const { route, callers, produces } = operation;
  const found = [
    headerParameter(
      'X-Request-Id',
      'an id of the request for the log and the answer, of at most 64 `A-Z a-z 0-9 _ . : -`',
    ),
    headerParameter('traceparent', 'the place of the request in a trace (W3C Trace Context)'),
  ];
  if (callers !== 'anyone') {
    // an empty header names nobody
    const pattern = String((z.toJSONSchema(userId) as Json)['pattern']).replace('{1,', '{0,');
    const about = `the user for whom an API key acts${callers === 'user' ? '; a key has to name one here' : ''}`;
    found.push(headerParameter('Parley-User', about, { type: 'string', pattern }));
  }
  for (const name of route.requestHeaders ?? []) {
    const { description, schema, isOptional = false } = requestHeaders[name];
    found.push({ ...headerParameter(name, description, schema), required: !isOptional });
  }
  if (isKeyed(operation)) {
    const schema = { type: 'string', minLength: 1, maxLength: 255, pattern: '^[\\x21-\\x7e]+$' };
    found.push(
      headerParameter('Idempotency-Key', 'a request with the same key gets the first answer, for a day', schema),
    );
  }
  if (route.method === 'GET' && produces === undefined) {
    found.push(headerParameter('If-None-Match', 'the ETag that the client has; an equal answer is 304'));
  }
  if (route.ifMatch !== undefined) {
    found.push(headerParameter('If-Match', 'the ETag that the client has read; a changed object answers 412'));
  }
  return found;
}

interface DescribedHeader {
  readonly description: string;
  readonly schema: Json;
  readonly isOptional?: true;
}

const optionalText = (description: string): DescribedHeader => ({
  description,
  schema: { type: 'string' },
  isOptional: true,
});

const requestHeaders: Readonly<Record<RequestHeader, DescribedHeader>> = {
  'If-None-Match': optionalText('the ETag that the client has; the same file is 304'),
  'If-Range': optionalText('the ETag that the client has; another file is sent whole'),
  Range: optionalText('one range of bytes, such as `bytes=0-1023`; the server ignores several ranges and other units'),
  'Tus-Resumable': { description: 'the version of the tus protocol', schema: { type: 'string', const: '1.0.0' } },
  'Upload-Length': {
    description: 'the bytes of the whole file',
    schema: { type: 'integer', minimum: 1, maximum: 999_999_999_999_999 },
  },
  'Upload-Metadata': {
    description: 'the name of the file, as `filename` and the name in base64',
    schema: { type: 'string', maxLength: 4096, pattern: '(^|, *)(filename|name) [A-Za-z0-9+/]+=*(,|$)' },
  },
  'Upload-Offset': {
    description: 'the bytes that the server has',
    schema: { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
  },
};

function headerParameter(name: string, description: string, schema: Json = { type: 'string' }): Json {
  return { name, in: 'header', required: false, description, schema };
}

function textParameter(name: string, description: string): Json {
  return { name, in: 'query', required: false, description, schema: { type: 'string', minLength: 1 } };
}

function bodyOf(operation: DescribedOperation, schemas: Schemas): Json {
  if (operation.consumes !== undefined) {
    // lines are text; other bodies are bytes, which no schema describes
    const isText = operation.consumes.endsWith('json');
    const content = { [operation.consumes]: isText ? { schema: { type: 'string', minLength: 1 } } : {} };
    return { requestBody: { required: operation.needsBody, content } };
  }
  const { fields, hasBody } = inputPlan(operation);
  if (!hasBody) return {};
  const names = new Set([...fields].filter(([, { place }]) => place === 'body').map(([name]) => name));
  const schema = schemas.ofInput(operation.input, names, operation.route.generates);
  return { requestBody: { required: needsFields(schema), content: { 'application/json': { schema } } } };
}

/** A request without a body is one with an empty object. */
function needsFields(schema: Json): boolean {
  const fields = ['required', 'minProperties', '$ref', 'anyOf', 'oneOf', 'allOf'];
  return fields.some((name) => schema[name] !== undefined);
}

function contentOf({ output, produces, route }: DescribedOperation, schemas: Schemas): Json {
  if (route.status === 204) return {};
  const schema = schemas.ofOutput(output);
  // bytes of any type, which no schema describes
  if (route.hasRanges === true && produces !== undefined) return { [produces]: {} };
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
function linesOf({ lines }: DescribedOperation, schemas: Schemas): Json {
  return lines === undefined ? {} : { [lines.type]: { schema: schemas.ofOutput(lines.line) } };
}

function requiredFields(schema: z.ZodType): ReadonlySet<string> {
  const { required = [] } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as { required?: string[] };
  return new Set(required);
}
