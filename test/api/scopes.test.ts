/**
 * Every operation with every kind of caller. The rows come from `/openapi.json` of a started server, so that a new operation
 * is a new row. A key reaches an operation by the declared scope, and by no other one.
 */
import { readdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import { commands } from '../../src/protocol/commands.ts';
import type { CommandSchema } from '../../src/protocol/command-schema.ts';
import type { RouteDeclarations } from '../../src/protocol/route-schema.ts';
import { scopes, type Scope } from '../../src/protocol/scopes.ts';
import { stage } from '../stage.ts';
import { tokenOf } from '../support/server.ts';
import { makeKey, request, type Answered, type Asking } from './keys-routes.ts';
import { sampleInput, type DescribedOperation } from './sample-input.ts';
import { until } from '../support/until.ts';

const { server, sql } = await stage({
  config: { PARLEY_TRUSTED_PROXIES: '127.0.0.1', PARLEY_API_KEY_FAILURES_PER_MINUTE_PER_ADDRESS: '100000' },
});

interface Row extends DescribedOperation {
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly scope: Scope | undefined;
  /** The kinds of callers: `token`, `key`; empty: everybody. */
  readonly callers: readonly string[];
}

interface Described extends DescribedOperation {
  readonly security: readonly object[];
  readonly servers?: object;
  readonly 'x-scope'?: Scope;
}

const document = (await request(server.url, 'GET', '/openapi.json')).body as {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
};
const all = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, described]) => ({
    ...described,
    name: `${method.toUpperCase()} ${path}`,
    method: method.toUpperCase(),
    path,
    scope: described['x-scope'],
    callers: described.security.flatMap((scheme) => Object.keys(scheme)),
  })),
);
/** A signed link has no other caller than its signature, and a server of its own: test/uploads/uploads.test.ts. */
const rows: readonly Row[] = all.filter(({ servers }) => servers === undefined);

let networks = 0;
/** Each request comes from an address of its own: an address that sends many wrong keys is blocked. */
function call(row: Row, asking: Asking, room = 'nowhere', address = `10.${networks >> 8}.${networks++ & 255}.1`) {
  const { path, body } = sampleInput(row, document.components.schemas, { room });
  const headers = { ...asking.headers, 'x-forwarded-for': address };
  const type = Object.keys(row.requestBody?.content ?? {})[0];
  return request(server.url, row.method, path, { ...asking, headers, ...(body === undefined ? {} : { body, type }) });
}

/** Calls each operation once, a few at a time. */
async function table(run: (row: Row, n: number) => Promise<unknown>): Promise<[name: string, outcome: unknown][]> {
  const outcomes: [string, unknown][] = [];
  const waiting = [...rows.entries()];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
      outcomes.push([next[1].name, await run(next[1], next[0])]);
  };
  await Promise.all(Array.from({ length: 8 }, work));
  return outcomes.toSorted(([a], [b]) => (a < b ? -1 : 1));
}

const expected = (outcome: (row: Row) => unknown): [string, unknown][] =>
  rows.map((row): [string, unknown] => [row.name, outcome(row)]).toSorted(([a], [b]) => (a < b ? -1 : 1));

/** Profiles are of no room. The messages of a deleted user are in every room. */
const ofNoRoom = ({ scope, path, method }: Row): boolean =>
  scope === undefined || (['/me', '/users/{user}'].includes(path) && method !== 'DELETE');

/** The error of the caller; `passed`: the caller may use the operation, whatever became of the input. */
function outcomeOf({ body }: Pick<Answered, 'body'>): string {
  const { code, detail, results } = body as { code?: string; detail?: string; results?: object[] };
  // a batch has an outcome for each of its parts
  const refusal = results?.map((result) => (result as { error?: { code: string; message: string } }).error)[0];
  if (refusal !== undefined) return outcomeOf({ body: { code: refusal.code, detail: refusal.message } });
  if (code === 'unauthorized') return code;
  return code === 'forbidden' && /\bAPI key\b/.test(detail ?? '') ? `${code}: ${detail}` : 'passed';
}

it('every command and every declared route is an operation with its scope', async () => {
  const declared: [string, { http: unknown; scope: Scope | null }][] = Object.entries<CommandSchema>(commands);
  const folder = new URL('../../src/protocol/routes/', import.meta.url);
  for (const file of readdirSync(folder)) {
    const module = (await import(new URL(file, folder).href)) as Readonly<Record<string, RouteDeclarations>>;
    for (const [name, value] of Object.entries(module))
      if (name.endsWith('Routes')) declared.push(...Object.entries(value));
  }
  const wanted = declared.flatMap(([name, { http, scope }]) => {
    if (http === 'connection') return [];
    const routes = [http].flat() as { readonly method?: string; readonly path?: string }[];
    return routes.map((route) => [name, `${route?.method} ${route?.path}`, scope ?? undefined]);
  });
  const known = new Map(all.map(({ name, scope }) => [name, scope]));
  expect(
    wanted.map(([name, route]) => [name, route, known.has(String(route)) ? known.get(String(route)) : 'missing']),
  ).toEqual(wanted);
  expect(wanted).toHaveLength(all.length);
});

it.each(scopes)('a key with the scope %s reaches the operations of the scope alone', async (scope) => {
  const { text } = await makeKey(sql, { scopes: [scope] });
  const reached = await table(async (row) => outcomeOf(await call(row, { bearer: text, user: `of-${scope}` })));
  expect(reached).toEqual(
    expected((row) =>
      row.scope === undefined || row.scope === scope || scope === 'admin'
        ? 'passed'
        : `forbidden: The API key does not have the scope ${row.scope}.`,
    ),
  );
});

it('a key for the rooms team-* reaches no other room, and nothing that names no room', async () => {
  const every = (await makeKey(sql, { scopes: ['admin'] })).text;
  const team = (await makeKey(sql, { scopes: ['admin'], rooms: ['team-*'] })).text;
  const body = { kind: 'group', name: 'Other', id: 'other' };
  expect((await request(server.url, 'POST', '/rooms', { bearer: every, user: 'actor', body })).status).toBe(201);
  const refused = await request(server.url, 'POST', '/rooms', {
    bearer: team,
    user: 'actor',
    body: { ...body, id: 'other-2' },
  });
  expect(outcomeOf(refused)).toBe('forbidden: The API key may not use the room other-2.');

  // once with the user and once as the owner of the room
  for (const user of [{ user: 'actor' }, {}]) {
    const outcomes = await table(async (row) => {
      const answer = outcomeOf(await call(row, { bearer: team, ...user }, 'other'));
      return answer.replace(/: .*/, '');
    });
    expect(outcomes).toEqual(expected((row) => (ofNoRoom(row) ? 'passed' : 'forbidden')));
  }
  // the requests were valid: a key for every room passes with each of them
  const outcomes = await table(async (row) => {
    const answer = await call(row, { bearer: every, user: 'actor' }, 'other');
    return answer.body['errors'] ?? outcomeOf(answer);
  });
  expect(outcomes).toEqual(expected(() => 'passed'));
});

it('a user reaches what is not for keys alone, and nobody in particular what is for everybody', async () => {
  const ofUsers = await table(async (row, n) => outcomeOf(await call(row, { bearer: await tokenOf(`user-${n}`) })));
  const keysAlone = 'forbidden: An API key is needed here.';
  expect(ofUsers).toEqual(
    expected(({ callers }) => (callers.length > 0 && !callers.includes('token') ? keysAlone : 'passed')),
  );
  const ofNobody = await table(async (row) => outcomeOf(await call(row, {})));
  expect(ofNobody).toEqual(expected(({ callers }) => (callers.length === 0 ? 'passed' : 'unauthorized')));
});

it('a key from another network, an expired key and a revoked key reach nothing', async () => {
  const elsewhere = (await makeKey(sql, { scopes: ['admin'], networks: ['203.0.113.0/24'] })).text;
  const refused = await table(async (row) => outcomeOf(await call(row, { bearer: elsewhere })));
  expect(refused).toEqual(expected(() => 'forbidden: The API key may not be used from this network.'));
  const fromThere = await call(
    rows.find(({ path }) => path === '/keys') as Row,
    { bearer: elsewhere },
    '',
    '203.0.113.7',
  );
  expect(fromThere.status).toBe(200);

  const expired = await makeKey(sql, { scopes: ['admin'] });
  await sql`update api_keys set expires_at = now() - interval '1 second' where id = ${expired.key.id}`;
  const revoked = await makeKey(sql, { scopes: ['admin'] });
  await sql`delete from api_keys where id = ${revoked.key.id}`;
  await sql`update api_key_changes set version = gen_random_uuid()`;
  // the node may have read the keys in between, and reads the table again within a second
  const keysRow = rows.find(({ path }) => path === '/keys') as Row;
  for (const { text } of [expired, revoked])
    await until('the key is refused', async () => (await call(keysRow, { bearer: text })).status === 401);
  for (const [{ text }, detail] of [
    [expired, 'The API key has expired.'],
    [revoked, 'The API key is wrong, or was revoked.'],
  ] as const) {
    const outcomes = await table(async (row) => {
      const { status, body } = await call(row, { bearer: text });
      return [status, body['code'], body['detail']];
    });
    expect(outcomes).toEqual(expected(() => [401, 'unauthorized', detail]));
  }
});
