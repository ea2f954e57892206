/** Commands over REST, against a started server. */
import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { stage } from '../stage.ts';
import { tokenOf } from '../support/server.ts';
import { until } from '../support/until.ts';

const { server, people, room } = await stage({ people: ['owner', 'ann', 'stranger'] });
await room();

interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

async function call(
  user: string,
  method: string,
  path: string,
  body?: object,
  headers: object = {},
): Promise<Answered> {
  const response = await fetch(`${server.url}/api/v1${path}`, {
    method,
    headers: {
      ...headers,
      authorization: `Bearer ${await tokenOf(user, { name: user.toUpperCase() })}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, headers: response.headers, body: read(await response.text()) };
}

function read(text: string): Answered['body'] {
  return text === '' ? {} : (JSON.parse(text) as Answered['body']);
}

it('stores a message that reaches the members and stands in the history', async () => {
  const id = crypto.randomUUID();
  const sent = await call('owner', 'POST', '/rooms/stage-1/messages', { id, body: { text: 'by REST' } });
  expect(sent).toMatchObject({ status: 201, body: { seq: 1 } });
  expect(await people.ann.event('message')).toMatchObject({ id, seq: 1, body: { text: 'by REST' } });
  const page = await call('ann', 'GET', '/rooms/stage-1/messages');
  expect(page).toMatchObject({ status: 200, body: { items: [{ id }], hasMore: false, next: null } });
});

it('pages by cursor to the end, without a repeated or skipped message', async () => {
  for (let n = 0; n < 7; n++)
    await call('owner', 'POST', '/rooms/stage-1/messages', { id: crypto.randomUUID(), body: n });
  const seen: unknown[] = [];
  let cursor = '';
  for (;;) {
    const page = await call('ann', 'GET', `/rooms/stage-1/messages?limit=3${cursor}`);
    seen.push(...(page.body['items'] as { seq: number }[]).map(({ seq }) => seq).toReversed());
    if (page.body['next'] === null) break;
    expect(page.headers.get('link')).toContain('rel="next"');
    cursor = `&cursor=${page.body['next'] as string}`;
  }
  expect(seen).toEqual([8, 7, 6, 5, 4, 3, 2, 1]);
});

it('answers a problem with the place of each fault', async () => {
  expect(await call('ann', 'GET', '/rooms/stage-1/messages?limit=1000&color=red')).toMatchObject({
    status: 400,
    body: {
      code: 'invalid',
      errors: [
        { pointer: '/color', in: 'query' },
        { pointer: '/limit', in: 'query' },
      ],
    },
  });
  expect(await call('stranger', 'GET', '/rooms/stage-1/messages')).toMatchObject({ status: 404 });
});

it('answers the chosen fields alone, in the text of the sender', async () => {
  const chosen = await call('ann', 'GET', '/rooms/stage-1/messages?limit=1&fields=seq,body.text');
  expect(chosen.body['items']).toEqual([{ seq: 8, body: 6 }]);
  const rest = await call('ann', 'GET', '/rooms/stage-1/messages/1?exclude=message.body');
  expect(rest.body['message']).not.toHaveProperty('body');
  expect(rest.body['message']).toHaveProperty('seq', 1);
  expect(await call('ann', 'GET', '/rooms/stage-1/messages?fields=colour')).toMatchObject({
    status: 400,
    body: { errors: [{ pointer: '/fields' }] },
  });
});

it('answers 304 for a known tag, and 412 for a change of an object that has changed', async () => {
  // no message is sent there, so nothing but this test changes the room
  await call('owner', 'POST', '/rooms', { kind: 'group', name: 'Tagged', id: 'tagged' });
  const tagged = await call('owner', 'GET', '/rooms/tagged');
  const tag = String(tagged.headers.get('etag'));
  expect(await call('owner', 'GET', '/rooms/tagged', undefined, { 'if-none-match': tag })).toMatchObject({
    status: 304,
  });
  const renamed = await call('owner', 'PATCH', '/rooms/tagged', { topic: 'new' }, { 'if-match': tag });
  expect(renamed).toMatchObject({ status: 200, body: { room: { topic: 'new' } } });
  const late = await call('owner', 'PATCH', '/rooms/tagged', { topic: 'newer' }, { 'if-match': tag });
  expect(late).toMatchObject({ status: 412, body: { code: 'precondition_failed' } });
});

it('describes itself as OpenAPI 3.1, with every command', async () => {
  const { body } = await call('ann', 'GET', '/openapi.json');
  expect(body).toMatchObject({ openapi: '3.1.0', paths: { '/rooms/{room}/messages': { get: {}, post: {} } } });
});

it('gives a repeated write its first answer, and stores one message', async () => {
  const key = { 'idempotency-key': 'order-4711' };
  const first = await call('owner', 'POST', '/rooms/stage-1/messages', { body: 'paid' }, key);
  expect(first).toMatchObject({ status: 201 });
  const again = await call('owner', 'POST', '/rooms/stage-1/messages', { body: 'paid' }, key);
  expect(again).toMatchObject({ status: 201, body: first.body });
  expect(again.headers.get('idempotency-replay')).toBe('true');
  const other = await call('owner', 'POST', '/rooms/stage-1/messages', { body: 'unpaid' }, key);
  expect(other).toMatchObject({ status: 422, body: { code: 'idempotency_mismatch' } });
  // another user may have the same key
  expect(await call('ann', 'POST', '/rooms/stage-1/messages', { body: 'paid' }, key)).toMatchObject({ status: 201 });
});

it('runs one of many equal requests that come at once', async () => {
  const key = { 'idempotency-key': crypto.randomUUID() };
  const path = '/rooms/stage-1/messages';
  const all = await Promise.all(Array.from({ length: 20 }, () => call('owner', 'POST', path, { body: 'once' }, key)));
  expect(new Set(all.map(({ status }) => status)).size).toBeLessThanOrEqual(2);
  expect(all.every(({ status }) => status === 201 || status === 409)).toBe(true);
  const page = await call('ann', 'GET', path);
  expect((page.body['items'] as { body: unknown }[]).filter(({ body }) => body === 'once')).toHaveLength(1);
});

it('a client that goes in the middle of its body is no fault of the server', async () => {
  const metrics = async (): Promise<string> => (await fetch(`${server.url}/metrics`)).text();
  const refused = async (): Promise<string> =>
    /parley_http_requests_total\{route="message:send",status="4xx"\} (\d+)/.exec(await metrics())?.[1] ?? '0';
  const before = await refused();
  const { hostname, port } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  const head =
    'POST /api/v1/rooms/stage-1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n' +
    `Authorization: Bearer ${await tokenOf('owner')}\r\nContent-Length: 100\r\n\r\n{"body":`;
  socket.write(head, () => socket.destroy());
  await until('the request has ended', async () => (await refused()) !== before);
  expect(await metrics()).not.toMatch(/parley_internal_errors_total\{where="http"\} [1-9]/);
});
