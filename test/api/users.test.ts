/** Profiles of users over REST. */
import { expect, it } from 'vitest';
import { stage } from '../stage.ts';
import { tokenOf } from '../support/server.ts';
import { makeKey, request, type Asking } from './keys-routes.ts';

const { server, sql, people, room, connect } = await stage({ people: ['owner', 'ann', 'stranger'] });
await room();
const call = (method: string, path: string, asking: Asking = {}) => request(server.url, method, path, asking);
const key = (await makeKey(sql, { scopes: ['users'] })).text;
const whole = { name: 'Bo', avatar: 'https://example.com/bo.png', locale: 'pt-BR', zone: 'Europe/Berlin' };

it('a key stores, reads, replaces and changes every user', async () => {
  const put = await call('PUT', '/users/bo', { bearer: key, body: whole });
  expect(put).toMatchObject({ status: 200, body: { id: 'bo', ...whole, createdAt: expect.any(Number) as unknown } });
  const patched = await call('PATCH', '/users/bo', { bearer: key, body: { locale: null, name: 'Bob' } });
  expect(patched.body).toMatchObject({ ...whole, name: 'Bob', locale: null });
  const replaced = await call('PUT', '/users/bo', { bearer: key, body: { name: 'Bo' } });
  expect(replaced.body).toMatchObject({ name: 'Bo', avatar: null, locale: null, zone: null });
  expect((await call('GET', '/users/bo', { bearer: key })).body).toEqual(replaced.body);
  expect((await call('GET', '/users/nobody', { bearer: key })).status).toBe(404);
  expect((await call('PATCH', '/users/nobody', { bearer: key, body: { name: 'X' } })).status).toBe(404);
});

it('refuses values that clients cannot show or use', async () => {
  const wrong: [field: string, value: unknown][] = [
    ['name', ''],
    ['name', 'x'.repeat(41)],
    ['name', 'a\u202eb'],
    ['avatar', 'http://example.com/a.png'],
    ['avatar', 'javascript:alert(1)'],
    ['avatar', 'https://user:secret@example.com/a.png'],
    ['avatar', `https://example.com/${'x'.repeat(1024)}`],
    ['avatar', 'https://example.com/a b'],
    ['locale', 'english please'],
    ['locale', 'en_US'],
    ['zone', 'Mars/Olympus'],
    ['zone', '+01:00'],
    ['zone', 7],
    ['color', 'red'],
  ];
  for (const [field, value] of wrong) {
    const answer = await call('PATCH', '/users/bo', { bearer: key, body: { [field]: value } });
    expect([field, value, answer.body]).toMatchObject([field, value, { status: 400, code: 'invalid' }]);
    expect(answer.body['errors']).toContainEqual(expect.objectContaining({ pointer: `/${field}`, in: 'body' }));
  }
});

it('a user reads themselves in full, and of users in a common room the name and the avatar', async () => {
  const ann = await tokenOf('ann', { name: 'ANN' });
  const changed = await call('PATCH', '/me', { bearer: ann, body: { avatar: whole.avatar, zone: 'UTC' } });
  expect(changed.body).toMatchObject({ id: 'ann', name: 'ANN', avatar: whole.avatar, zone: 'UTC', locale: null });
  expect((await call('GET', '/me', { bearer: ann })).body).toEqual(changed.body);
  expect((await call('GET', '/users/ann', { bearer: ann })).body).toEqual(changed.body);
  const seen = await call('GET', '/users/ann', { bearer: await tokenOf('owner') });
  expect(seen.body).toEqual({ id: 'ann', name: 'ANN', avatar: whole.avatar });
  const stranger = await tokenOf('stranger');
  expect((await call('GET', '/users/ann', { bearer: stranger })).status).toBe(404);
  expect((await call('GET', '/users/nobody', { bearer: stranger })).status).toBe(404);
  for (const method of ['PUT', 'PATCH'])
    expect((await call(method, '/users/ann', { bearer: stranger, body: { name: 'X' } })).status).toBe(403);
  expect((await call('PATCH', '/users/ann', { bearer: key, user: 'owner', body: { name: 'X' } })).status).toBe(403);
  expect((await call('GET', '/users/stranger', { bearer: key, user: 'owner' })).status).toBe(404);
});

it('a key is a user only where it names one', async () => {
  expect((await call('GET', '/me', { bearer: key })).body).toMatchObject({ code: 'invalid' });
  expect((await call('GET', '/me', { bearer: key, user: 'first-time' })).body).toMatchObject({
    id: 'first-time',
    name: null,
  });
  expect((await call('GET', '/me')).status).toBe(401);
});

it('a changed name is in the next message, in the history and in the list of members', async () => {
  await call('PATCH', '/users/owner', { bearer: key, body: { name: 'Renamed' } });
  const sent = { room: 'stage-1', id: crypto.randomUUID(), body: { text: 'whose name' } };
  await people.owner.ok('message:send', sent);
  expect(await people.ann.event('message')).toMatchObject({ id: sent.id, from: 'owner', name: 'Renamed' });
  const history = await people.ann.ok('history', { room: 'stage-1' });
  expect(history.messages.at(-1)).toMatchObject({ id: sent.id, name: 'Renamed' });
  const { members } = await people.ann.ok('room:members', { room: 'stage-1' });
  expect(members.find(({ user }) => user === 'owner')).toMatchObject({ name: 'Renamed' });
});

it('a name that was set counts against earlier tokens, and a token that was issued later replaces the name', async () => {
  const early = await tokenOf('ann', { name: 'Early' });
  await call('PATCH', '/me', { bearer: early, body: { name: 'Chosen' } });
  expect((await call('GET', '/me', { bearer: early })).body).toMatchObject({ name: 'Chosen' });
  const again = await connect('ann', { name: 'Other' });
  expect((await again.event('ready')).user).toEqual({ id: 'ann', name: 'Chosen' });
  // as if the name had been set an hour ago
  await sql`update users set named_at = named_at - interval '1 hour' where id = 'ann'`;
  const later = await connect('ann', { name: 'Later' });
  expect((await later.event('ready')).user).toEqual({ id: 'ann', name: 'Later' });
  expect((await call('GET', '/users/ann', { bearer: key })).body).toMatchObject({ name: 'Later' });
});

it('changes a profile only if it is the one that was read', async () => {
  const { headers } = await call('GET', '/users/bo', { bearer: key });
  const asking = { bearer: key, headers: { 'if-match': headers.get('etag') ?? '' } };
  expect((await call('PATCH', '/users/bo', { ...asking, body: { zone: 'UTC' } })).status).toBe(200);
  expect((await call('PATCH', '/users/bo', { ...asking, body: { zone: 'Asia/Tokyo' } })).status).toBe(412);
});
