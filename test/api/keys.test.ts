/** API keys over REST: their management, and the users that they act for. */
import { generateKeyPairSync } from 'node:crypto';
import { expect, it } from 'vitest';
import { stage } from '../stage.ts';
import { tokenOf } from '../support/server.ts';
import { makeKey, request, type Asking } from './keys-routes.ts';

const { nodes, sql, people, room, connect } = await stage({ people: ['owner', 'ann', 'stranger'], nodes: 2 });
const [first, second] = nodes;
await room();
const urls = [first?.url ?? '', second?.url ?? ''] as const;
const call = (method: string, path: string, asking: Asking = {}, node: 0 | 1 = 0) =>
  request(urls[node], method, path, asking);
const admin = (await makeKey(sql, { scopes: ['admin'] })).text;

it('makes, lists, rotates and revokes keys, and no cache keeps a secret', async () => {
  const made = await call('POST', '/keys', { bearer: admin, body: { name: 'shop', scopes: ['messages:read'] } });
  expect(made).toMatchObject({ status: 201, body: { key: { name: 'shop', rooms: ['*'], expiresAt: null } } });
  expect(made.headers.get('cache-control')).toBe('no-store');
  const { key, text } = made.body as { key: { id: string }; text: string };
  expect((await call('GET', '/rooms/stage-1/messages', { bearer: text })).status).toBe(200);

  const list = await call('GET', '/keys', { bearer: admin });
  expect(list.body).toMatchObject({ next: null, hasMore: false });
  expect(list.body['items']).toContainEqual(expect.objectContaining({ id: key.id, scopes: ['messages:read'] }));
  expect(list.text).not.toContain(text.split('_').at(-1));

  const rotated = await call('POST', `/keys/${key.id}/rotate`, { bearer: admin, body: { overlapMs: 0 } });
  expect(rotated.status).toBe(200);
  expect(rotated.headers.get('cache-control')).toBe('no-store');
  const next = rotated.body['text'] as string;
  expect((await call('GET', '/rooms/stage-1/messages', { bearer: text })).body['code']).toBe('unauthorized');
  expect((await call('GET', '/rooms/stage-1/messages', { bearer: next })).status).toBe(200);

  expect((await call('DELETE', `/keys/${key.id}`, { bearer: admin })).body).toMatchObject({ id: key.id });
  expect((await call('GET', '/rooms/stage-1/messages', { bearer: next })).body['code']).toBe('unauthorized');
  expect((await call('DELETE', `/keys/${key.id}`, { bearer: admin })).status).toBe(404);
});

it('keeps no answer that has a secret for an Idempotency-Key', async () => {
  const secrets: [path: string, body: object][] = [
    ['/keys', { name: 'shop', scopes: ['publish'] }],
    [`/keys/${'a'.repeat(12)}/rotate`, {}],
    ['/auth/token', { user: 'ann' }],
    ['/rooms/stage-1/links', {}],
  ];
  for (const [path, body] of secrets) {
    const refused = await call('POST', path, { bearer: admin, body, headers: { 'idempotency-key': 'once' } });
    expect([path, refused.body]).toMatchObject([path, { status: 400, code: 'invalid' }]);
    expect(refused.body['detail']).toContain('Idempotency-Key');
  }
  expect(await sql`select from idempotency`).toEqual([]);
});

it('gives keys to keys with the scope admin for every room alone', async () => {
  const body = { name: 'more', scopes: ['admin'] };
  const limited = (await makeKey(sql, { scopes: ['admin'], rooms: ['team-*'] })).text;
  const other = (await makeKey(sql, { scopes: ['publish', 'rooms', 'users', 'tokens'] })).text;
  for (const bearer of [limited, other, await tokenOf('owner', { backend: true })])
    expect((await call('POST', '/keys', { bearer, body })).body).toMatchObject({ status: 403, code: 'forbidden' });
  expect((await call('POST', '/keys', { body })).status).toBe(401);
  const wrong = await call('POST', '/keys', { bearer: admin, body: { name: '', scopes: ['all'], color: 'red' } });
  expect(wrong.body).toMatchObject({ code: 'invalid', errors: [{ pointer: '/color', in: 'body' }] });
});

it('refuses a revoked key on the other node within a second', async () => {
  const { key, text } = await makeKey(sql, { scopes: ['messages:read'] });
  const read = async () => (await call('GET', '/rooms/stage-1/messages', { bearer: text }, 1)).status;
  expect(await read()).toBe(200);
  expect((await call('DELETE', `/keys/${key.id}`, { bearer: admin })).status).toBe(200);
  const at = performance.now();
  let accepted = at;
  await expect
    .poll(
      async () => {
        const began = performance.now();
        const status = await read();
        if (status === 200) accepted = began;
        return status;
      },
      { interval: 20, timeout: 10_000 },
    )
    .toBe(401);
  expect(accepted - at).toBeLessThan(1000);
});

it('acts for the user that the key names, and stores a user that is new', async () => {
  const { text } = await makeKey(sql, { scopes: ['publish', 'members', 'messages:read'] });
  const sent = { id: crypto.randomUUID(), body: { text: 'for ann' } };
  const path = '/rooms/stage-1/messages';
  expect(await call('POST', path, { bearer: text, user: 'ann', body: sent })).toMatchObject({ status: 201 });
  expect(await people.owner.event('message')).toMatchObject({ id: sent.id, from: 'ann', name: 'ANN' });

  const fresh = { bearer: text, user: 'never.seen' };
  expect((await call('POST', path, { ...fresh, body: { ...sent, id: crypto.randomUUID() } })).body).toMatchObject({
    code: 'not_found',
  });
  expect(await sql`select id, name from users where id = 'never.seen'`).toEqual([{ id: 'never.seen', name: null }]);
  expect((await call('GET', path, { bearer: text, user: 'not a user' })).body).toMatchObject({ code: 'invalid' });
  expect((await call('GET', path, { bearer: await tokenOf('ann'), user: 'owner' })).body).toMatchObject({
    code: 'forbidden',
  });
});

it('acts as the owner of the room without a user, where the command is not about a user', async () => {
  const { text } = await makeKey(sql, { scopes: ['rooms', 'members', 'messages:read', 'publish'] });
  expect((await call('PATCH', '/rooms/stage-1', { bearer: text, body: { topic: 'by a key' } })).status).toBe(200);
  expect((await call('PUT', '/rooms/stage-1/bans/stranger', { bearer: text })).status).toBe(200);
  expect((await call('DELETE', '/rooms/stage-1/bans/stranger', { bearer: text })).status).toBe(200);
  const unnamed = await call('PUT', '/rooms/stage-1/read', { bearer: text, body: { seq: 1 } });
  expect(unnamed.body).toMatchObject({ code: 'invalid', detail: expect.stringContaining('Parley-User') as unknown });
  expect((await call('GET', '/rooms/no-such-room', { bearer: text })).status).toBe(404);
});

it('makes tokens of users that every node accepts', async () => {
  const { text } = await makeKey(sql, { scopes: ['tokens'] });
  const body = { user: 'zoe', name: 'Zoe', ttlSeconds: 60 };
  const made = await call('POST', '/auth/token', { bearer: text, body });
  expect(made).toMatchObject({ status: 201, body: { user: { id: 'zoe', name: 'Zoe' } } });
  expect(made.headers.get('cache-control')).toBe('no-store');
  const left = Number(made.body['expires']) - Date.now();
  expect(left > 50_000 && left <= 60_000).toBe(true);
  const me = await call('GET', '/me', { bearer: made.body['token'] as string }, 1);
  expect(me.body).toMatchObject({ id: 'zoe', name: 'Zoe' });
  for (const wrong of [{ ...body, ttlSeconds: 86_401 }, { ...body, user: 'backend:shop' }, { ...body, name: '' }, {}])
    expect((await call('POST', '/auth/token', { bearer: text, body: wrong })).body).toMatchObject({ code: 'invalid' });
  const limited = (await makeKey(sql, { scopes: ['tokens'], rooms: ['team-*'] })).text;
  expect((await call('POST', '/auth/token', { bearer: limited, body })).body).toMatchObject({ code: 'forbidden' });
});

it('lists and ends the sessions of the user that the key names', async () => {
  const { text } = await makeKey(sql, { scopes: ['tokens'] });
  const client = await connect('visitor', { node: 1 });
  const asking = { bearer: text, user: 'visitor' };
  await expect
    .poll(async () => (await call('GET', '/auth/sessions', asking)).body['sessions'], { timeout: 5000 })
    .toHaveLength(1);
  expect((await call('GET', '/auth/sessions', { bearer: text })).body).toMatchObject({ code: 'invalid' });
  expect((await call('DELETE', '/auth/sessions', asking)).status).toBe(200);
  expect(await client.event('session:revoked')).toBeDefined();
});

it('signs tokens with the issuer and the audience that the server checks', async () => {
  const { server, sql: keys } = await stage({ config: { PARLEY_JWT_ISSUER: 'us', PARLEY_JWT_AUDIENCE: 'chat' } });
  const { text } = await makeKey(keys, { scopes: ['tokens'] });
  const made = await request(server.url, 'POST', '/auth/token', { bearer: text, body: { user: 'zoe' } });
  expect(made).toMatchObject({ status: 201, body: { user: { id: 'zoe', name: null } } });
  const me = await request(server.url, 'GET', '/me', { bearer: made.body['token'] as string });
  expect(me).toMatchObject({ status: 200, body: { id: 'zoe' } });
});

it('makes no tokens on a server that only checks tokens', async () => {
  const pem = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const { server, sql: keys } = await stage({ config: { PARLEY_JWT_SECRET: '', PARLEY_JWT_PUBLIC_KEY: pem } });
  const { text } = await makeKey(keys, { scopes: ['tokens'] });
  const made = await request(server.url, 'POST', '/auth/token', { bearer: text, body: { user: 'zoe' } });
  expect(made.body).toMatchObject({ status: 501, code: 'unsupported', retryable: false });
});
