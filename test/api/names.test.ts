/** The name of a user for whom an API key acts: from the cache, and never older than a finished rename. */
import { expect, it } from 'vitest';
import { StoredKeys } from '../../src/api/keys/stored-keys.ts';
import { stage } from '../stage.ts';
import { settings } from './keys/nodes.ts';

const { server, people, room, connect, sql } = await stage({ people: ['owner', 'ann'] });
const id = await room();
const { text: key } = await new StoredKeys(sql, settings).create({
  name: 'shop',
  scopes: ['publish', 'messages:read'],
  rooms: ['*'],
  networks: [],
});

async function sendAs(user: string, text: string): Promise<Response> {
  return fetch(`${server.url}/api/v1/rooms/${id}/messages`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'parley-user': user, 'content-type': 'application/json' },
    body: JSON.stringify({ body: text }),
  });
}

async function nameOf(text: string): Promise<unknown> {
  const { name } = await people.owner.event('message', ({ body }) => body === text);
  return name;
}

it('is the stored one, and the new one after a token has brought another', async () => {
  expect((await sendAs('ann', 'first')).status).toBe(201);
  expect(await nameOf('first')).toBe('ANN');
  await connect('ann', { name: 'Anna' });
  expect((await sendAs('ann', 'second')).status).toBe(201);
  expect(await nameOf('second')).toBe('Anna');
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  expect(metrics).toMatch(/parley_cache_reads_total\{[^}]*kind="user"[^}]*\} [1-9]/);
});

it('reads a room with the rights of its owner, if the key names no user', async () => {
  const response = await fetch(`${server.url}/api/v1/rooms/${id}/messages`, {
    headers: { authorization: `Bearer ${key}` },
  });
  expect(await response.json()).toMatchObject({ items: [{ body: 'first' }, { body: 'second' }] });
});
