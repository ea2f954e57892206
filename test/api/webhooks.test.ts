/** Webhooks over REST: their management, the rights of keys, and the limits. */
import { expect, it } from 'vitest';
import { stage } from '../stage.ts';
import { tokenOf } from '../support/server.ts';
import { makeKey, request, type Answered, type Asking } from './keys-routes.ts';

const { server, sql } = await stage({
  people: ['ann'],
  config: { PARLEY_MAX_WEBHOOKS: '3', PARLEY_ROLES: 'gateway,api' },
});
const bearer = (await makeKey(sql, { scopes: ['webhooks'] })).text;
const call = (method: string, path: string, asking: Asking = {}): Promise<Answered> =>
  request(server.url, method, path, { bearer, ...asking });
const url = 'https://example.com/hook';
const create = (body: object = {}): Promise<Answered> => call('POST', '/webhooks', { body: { url, ...body } });
const idOf = ({ body }: Answered): string => (body as { webhook: { id: string } }).webhook.id;
const removeAll = () => sql`delete from webhooks`;

it('makes, lists, changes, rotates and deletes webhooks, and shows a secret once', async () => {
  await removeAll();
  const made = await create({ events: ['message.deleted', 'message.deleted'], rooms: ['team-*'], ordered: true });
  expect(made).toMatchObject({
    status: 201,
    body: {
      webhook: {
        url,
        events: ['message.deleted'],
        rooms: ['team-*'],
        format: 'standard',
        ordered: true,
        state: 'active',
      },
      secret: expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=$/) as unknown,
    },
  });
  expect(made.headers.get('cache-control')).toBe('no-store');
  const id = idOf(made);
  const secret = String(made.body['secret']);

  const list = await call('GET', '/webhooks');
  expect(list.body).toMatchObject({ items: [{ id, reason: null }], next: null, hasMore: false });
  expect(list.text).not.toContain(secret);
  const changed = await call('PATCH', `/webhooks/${id}`, { body: { format: 'cloudevents', rooms: ['*'] } });
  expect(changed.body).toMatchObject({
    url,
    events: ['message.deleted'],
    rooms: ['*'],
    format: 'cloudevents',
    ordered: true,
  });
  expect((await call('GET', `/webhooks/${id}`)).body).toEqual(changed.body);
  const off = await call('PATCH', `/webhooks/${id}`, { body: { enabled: false } });
  expect(off.body).toMatchObject({ state: 'disabled', reason: 'operator', disabledAt: expect.any(Number) as unknown });
  expect((await call('POST', `/webhooks/${id}/test`)).body).toMatchObject({ code: 'conflict' });
  expect((await call('PATCH', `/webhooks/${id}`, { body: { enabled: true } })).body).toMatchObject({ state: 'active' });

  const rotated = await call('POST', `/webhooks/${id}/rotate`, { body: { overlapMs: 60_000 } });
  expect(rotated.headers.get('cache-control')).toBe('no-store');
  expect(rotated.body).toMatchObject({ webhook: { id, previousUntil: expect.any(Number) as unknown } });
  expect(rotated.body['secret']).not.toBe(secret);
  expect((await call('DELETE', `/webhooks/${id}`)).body).toMatchObject({ id });
  for (const [method, path] of [
    ['GET', ''],
    ['DELETE', ''],
    ['POST', '/test'],
    ['POST', '/rotate'],
    ['GET', '/deliveries'],
    ['POST', `/deliveries/${crypto.randomUUID()}/replay`],
  ] as const)
    expect([
      path,
      (await call(method, `/webhooks/${id}${path}`, method === 'POST' ? { body: {} } : {})).status,
    ]).toEqual([path, 404]);
});

it('belongs to keys with the scope for every room', async () => {
  const limited = (await makeKey(sql, { scopes: ['webhooks'], rooms: ['team-*'] })).text;
  const other = (await makeKey(sql, { scopes: ['publish', 'rooms', 'operate'] })).text;
  for (const asking of [{ bearer: limited }, { bearer: other }, { bearer: await tokenOf('ann', { backend: true }) }])
    for (const [method, body] of [
      ['GET', undefined],
      ['POST', { url }],
    ] as const)
      expect(
        (await call(method, '/webhooks', { ...asking, ...(body === undefined ? {} : { body }) })).body,
      ).toMatchObject({ status: 403, code: 'forbidden' });
  expect((await request(server.url, 'GET', '/webhooks')).status).toBe(401);
});

it('refuses one webhook over the limit', async () => {
  await removeAll();
  const made = await Promise.all([create(), create(), create(), create()]);
  expect(made.map(({ status }) => status).toSorted()).toEqual([201, 201, 201, 409]);
  expect((await create()).body).toMatchObject({ code: 'limit_reached' });
});

it.each([
  [{ rooms: Array(32).fill('a') }, 201],
  [{ rooms: Array(33).fill('a') }, 400],
  [{ rooms: ['a'.repeat(64)] }, 201],
  [{ rooms: ['a'.repeat(65)] }, 400],
  [{ rooms: [] }, 400],
  [{ rooms: ['a b'] }, 400],
  [{ events: [] }, 400],
  [{ events: ['message.read'] }, 400],
  [{ url: `https://example.com/${'x'.repeat(2028)}` }, 201],
  [{ url: `https://example.com/${'x'.repeat(2029)}` }, 400],
  [{ url: 'http://example.com/' }, 400],
  [{ url: 'https://user:password@example.com/' }, 400],
  [{ url: 'https://example.com/#here' }, 400],
  [{ url: 'ftp://example.com/' }, 400],
  [{ format: 'xml' }, 400],
  [{ colour: 'red' }, 400],
])('checks the input %#', async (body, status) => {
  await removeAll();
  const made = await create(body);
  expect([made.status, status === 400 ? made.body['code'] : undefined]).toEqual([
    status,
    status === 400 ? 'invalid' : undefined,
  ]);
});

it('lists deliveries in pages, and replays a delivery that has ended three times at most', async () => {
  await removeAll();
  const id = idOf(await create());
  const sent: string[] = [];
  for (let n = 0; n < 3; n++) {
    const test = await call('POST', `/webhooks/${id}/test`);
    expect(test).toMatchObject({ status: 202, body: { event: 'webhook.test', room: null, state: 'waiting' } });
    sent.unshift(String(test.body['id']));
  }
  const first = await call('GET', `/webhooks/${id}/deliveries?limit=2`);
  const items = first.body['items'] as { id: string }[];
  expect(items.map((item) => item.id)).toEqual(sent.slice(0, 2));
  expect(first.body).toMatchObject({ next: expect.any(String) as unknown, hasMore: true });
  const second = await call('GET', `/webhooks/${id}/deliveries?limit=2&cursor=${String(first.body['next'])}`);
  expect(second.body).toMatchObject({ items: [{ id: sent[2] }], next: null, hasMore: false });

  const replay = `/webhooks/${id}/deliveries/${sent[0]}/replay`;
  await sql`update webhook_deliveries set state = 'sending' where id = ${sent[0] ?? ''}::uuid`;
  expect((await call('POST', replay)).body).toMatchObject({ code: 'conflict' });
  for (let n = 1; n <= 3; n++) {
    await sql`update webhook_deliveries set state = 'dead', ended_at = clock_timestamp() where id = ${sent[0] ?? ''}::uuid`;
    expect((await call('POST', replay)).body).toMatchObject({ id: sent[0], state: 'waiting', attempts: 0, replays: n });
  }
  await sql`update webhook_deliveries set state = 'dead', ended_at = clock_timestamp() where id = ${sent[0] ?? ''}::uuid`;
  expect((await call('POST', replay)).body).toMatchObject({ code: 'limit_reached' });
  const dead = await call('GET', `/webhooks/${id}/deliveries?state=dead`);
  expect(dead.body['items']).toMatchObject([{ id: sent[0] }]);
});
