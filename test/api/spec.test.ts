/** The descriptions of the server's own interfaces, as a client reads them. */
import { createRequire } from 'node:module';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { expect, it } from 'vitest';
import { commands } from '../../src/protocol/commands.ts';
import { events } from '../../src/protocol/events.ts';
import { limits } from '../../src/protocol/limits.ts';
import { stage } from '../stage.ts';
import { tokenOf } from '../support/test-token.ts';

const { server } = await stage();

/** The module is CommonJS, and its default is inside of the default. */
const plugin = (module: unknown): ((ajv: Ajv | Ajv2020) => void) =>
  typeof module === 'function' ? (module as () => void) : (module as { default: () => void }).default;

async function read(path: string): Promise<Record<string, unknown>> {
  const response = await fetch(`${server.url}/api/v1${path}`);
  expect(response.status).toBe(200);
  return (await response.json()) as Record<string, unknown>;
}

/** Every reference of a document, without its `#/`. */
function references(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(references);
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, part]) =>
    key === '$ref' && typeof part === 'string' ? [part.slice(2)] : references(part),
  );
}

function has(document: unknown, path: string): boolean {
  let part = document;
  for (const name of path.split('/')) part = (part as Record<string, unknown> | undefined)?.[name];
  return part !== undefined;
}

it('OpenAPI is valid by the official schema of 3.1', async () => {
  const { valid, errors } = await new Validator().validate({ ...(await read('/openapi.json')) });
  expect(errors ?? []).toEqual([]);
  expect(valid).toBe(true);
});

it('OpenAPI without an operation id, or with a false type, is not valid', async () => {
  const document = await read('/openapi.json');
  const broken = { ...document, paths: { '/x': { get: { responses: { 200: {} }, parameters: [{ in: 'nowhere' }] } } } };
  expect((await new Validator().validate(broken)).valid).toBe(false);
});

it('AsyncAPI is valid by the official schema of 3.0', async () => {
  const ajv = new Ajv({ strict: false, allErrors: true, logger: false });
  plugin(addFormats)(ajv);
  const validate = ajv.compile(
    createRequire(import.meta.url)('@asyncapi/specs/schemas/3.0.0-without-$id.json') as object,
  );
  const document = await read('/asyncapi.json');
  expect([validate(document), validate.errors]).toEqual([true, null]);
  expect(validate({ ...document, channels: { socket: { address: 7 } } })).toBe(false);
});

it('every schema of a payload in AsyncAPI is a valid JSON schema', async () => {
  const { components } = (await read('/asyncapi.json')) as {
    components: { messages: Record<string, { payload: object }>; schemas: object };
  };
  const ajv = new Ajv2020({ strict: false });
  plugin(addFormats)(ajv);
  ajv.addSchema({ $id: 'parley:asyncapi', components });
  for (const name of Object.keys(components.messages)) {
    expect(() => ajv.compile({ $ref: `parley:asyncapi#/components/messages/${name}/payload` }), name).not.toThrow();
  }
});

it.each(['/openapi.json', '/asyncapi.json'])('%s has the target of each of its references', async (path) => {
  const document = await read(path);
  expect(references(document).length).toBeGreaterThan(20);
  expect(references(document).filter((target) => !has(document, target))).toEqual([]);
});

it('AsyncAPI has every command with its ack, and every event', async () => {
  const { asyncapi, operations } = await read('/asyncapi.json');
  expect(asyncapi).toBe('3.0.0');
  const titles = Object.values(operations as Record<string, { title: string; action: string }>);
  const of = (action: string): string[] => titles.filter((one) => one.action === action).map(({ title }) => title);
  expect(of('receive')).toEqual(Object.keys(commands));
  expect(of('send')).toEqual(Object.keys(events));
});

it('the page has every error, and loads nothing from elsewhere', async () => {
  const response = await fetch(`${server.url}/api/v1/docs`);
  expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
  expect(response.headers.get('content-security-policy')).toContain("default-src 'none'; style-src 'sha256-");
  const html = await response.text();
  expect(html).toContain('id="error-rate_limited"');
  expect(html).toContain('id="error-idempotency_mismatch"');
  expect(html).not.toMatch(/<script|<link|<img|src=|@import|url\(/);
});

interface Described {
  readonly paths: Readonly<Record<string, { readonly get?: { readonly parameters?: readonly Parameter[] } }>>;
}

interface Parameter {
  readonly name: string;
  readonly schema: { readonly maximum?: number; readonly maxLength?: number };
}

it('the greatest limit of each list is accepted, and one more is not', async () => {
  const { paths } = (await read('/openapi.json')) as unknown as Described;
  const headers = { Authorization: `Bearer ${await tokenOf('ann')}` };
  const lists = Object.entries(paths).flatMap(([path, { get }]) => {
    const limit = get?.parameters?.find(({ name }) => name === 'limit');
    if (limit === undefined || path.includes('{')) return [];
    const needed = get?.parameters?.some(({ name }) => name === 'query') === true ? 'query=a&' : '';
    return [{ path, needed, most: limit.schema.maximum ?? NaN }];
  });
  expect(lists.map(({ path }) => path)).toContain('/search');
  for (const { path, needed, most } of lists) {
    const statusOf = async (limit: number): Promise<number> =>
      (await fetch(`${server.url}/api/v1${path}?${needed}limit=${limit}`, { headers })).status;
    expect([path, await statusOf(most)]).not.toEqual([path, 400]);
    // keys and operators have lists too, which a user may not read
    expect([400, 403], path).toContain(await statusOf(most + 1));
  }
});

it('the greatest length of a text counts the spaces around the text', async () => {
  const headers = { Authorization: `Bearer ${await tokenOf('ann')}`, 'Content-Type': 'application/json' };
  const { paths } = (await read('/openapi.json')) as unknown as Described;
  const most = paths['/search/rooms']?.get?.parameters?.find(({ name }) => name === 'query')?.schema.maxLength ?? NaN;
  const search = async (text: string): Promise<number> =>
    (await fetch(`${server.url}/api/v1/search/rooms?query=${encodeURIComponent(text)}`, { headers })).status;
  expect([await search('a'.padEnd(most)), await search('a'.padEnd(most + 1))]).toEqual([200, 400]);
  const rename = async (name: string): Promise<[number, unknown]> => {
    const init = { method: 'PATCH', headers, body: JSON.stringify({ name }) };
    const response = await fetch(`${server.url}/api/v1/me`, init);
    return [response.status, ((await response.json()) as { name?: unknown }).name];
  };
  expect(await rename('Ann'.padEnd(limits.userNameLength))).toEqual([200, 'Ann']);
  expect(await rename('Ann'.padEnd(limits.userNameLength + 1))).toEqual([400, undefined]);
});

it('a link to a file is at the root of the server, with the statuses of ranges and caches', async () => {
  const { paths } = (await read('/openapi.json')) as unknown as {
    paths: Record<string, { get: { servers: object; responses: Record<string, { headers: object }> } }>;
  };
  const { servers, responses } = paths['/files/{id}/{name}']?.get ?? {};
  expect(servers).toEqual([{ url: '/' }]);
  const statuses = Object.keys(responses ?? {});
  expect(statuses).toEqual(['200', '206', '304', '400', '403', '404', '413', '415', '416', '429', '500', '503']);
  expect(Object.keys(responses?.['206']?.headers ?? {})).toEqual(
    expect.arrayContaining(['ETag', 'Content-Disposition', 'Content-Range', 'Accept-Ranges', 'Last-Modified']),
  );
});
