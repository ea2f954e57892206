/** `POST /publish` and `POST /signals` with an API key over HTTP. */
import { expect, it } from 'vitest';
import { stage } from '../stage.ts';
import { makeKey, request } from './keys-routes.ts';

const { server, sql, people, room } = await stage({ people: ['owner', 'ann', 'stranger'] });
const hall = await room();
const other = await room();
const key = (await makeKey(sql, { scopes: ['publish'] })).text;
const limited = (await makeKey(sql, { scopes: ['publish'], rooms: [hall] })).text;
const post = (path: string, bearer: string, body: object, user?: string) =>
  request(server.url, 'POST', path, { bearer, body, ...(user === undefined ? {} : { user }) });
const note = (to: string, more: object = {}): object => ({ room: to, body: { text: 'by a key' }, ...more });

it('publishes as any sender, in the rooms of the key alone, and members receive the message', async () => {
  const messages = [note(hall, { sender: 'robot', senderName: 'Robot' }), note(other, { sender: 'robot' }), note(hall)];
  const { status, body } = await post('/publish', limited, { messages });
  expect(status).toBe(200);
  expect(body['results']).toMatchObject([{ seq: 1 }, { error: { code: 'forbidden' } }, { error: { code: 'invalid' } }]);
  expect(await people.ann.event('message', ({ from }) => from === 'robot')).toMatchObject({
    room: hall,
    name: 'Robot',
  });
});

it('publishes by the rights of the user that the key names', async () => {
  const { body } = await post('/publish', key, { messages: [note(hall)] }, 'ann');
  expect(body['results']).toMatchObject([{ seq: expect.any(Number) as unknown }]);
  const refused = await post('/publish', key, { messages: [note(hall)] }, 'stranger');
  expect(refused.body['results']).toMatchObject([{ error: { code: 'not_found' } }]);
  const foreign = await post('/publish', key, { messages: [note(hall, { sender: 'owner' })] }, 'ann');
  expect(foreign.body['results']).toMatchObject([{ error: { code: 'forbidden' } }]);
});

it('sends signals to a room and to a user, and a limited key to its rooms alone', async () => {
  const signals = [
    { to: { room: hall }, name: 'ping', data: { n: 1 } },
    { to: { user: 'ann' }, name: 'direct' },
  ];
  expect((await post('/signals', key, { signals })).body).toEqual({ results: [{}, {}] });
  expect(await people.ann.event('signal')).toMatchObject({ room: hall, name: 'ping', data: { n: 1 } });
  expect(await people.ann.event('signal:direct')).toMatchObject({ name: 'direct' });
  expect((await post('/signals', limited, { signals })).body).toMatchObject({
    results: [{}, { error: { code: 'forbidden' } }],
  });
});

it('a batch takes a unit of the rate for each message, and one over the rate stores nothing', async () => {
  const { text } = await makeKey(sql, { scopes: ['publish'], perHour: 10 });
  const batch = (n: number): object => ({ messages: Array.from({ length: n }, () => note(hall, { sender: 'robot' })) });
  const first = await post('/publish', text, batch(8));
  expect(first.headers.get('ratelimit')).toContain('"hour";r=2');
  const before = await sql`select from messages where room_id = ${hall}`;
  const over = await post('/publish', text, batch(3));
  expect(over).toMatchObject({ status: 429, body: { code: 'rate_limited' } });
  expect(await sql`select from messages where room_id = ${hall}`).toHaveLength(before.length);
});
