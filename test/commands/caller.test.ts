/** The caller that handlers get: kept for a connection, and never older than its token and its user's name. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startServer, tokenOf, type TestServer } from '../support/server.ts';
import { connectStock, type StockClient } from '../support/stock-client.ts';

let server: TestServer;
const clients: StockClient[] = [];
const open = async (user: string, more: Parameters<typeof tokenOf>[1] = {}): Promise<StockClient> => {
  const client = await connectStock(server.url, await tokenOf(user, more));
  clients.push(client);
  return client;
};

beforeAll(async () => {
  server = await startServer({ PARLEY_ADDING: 'consent' });
});
afterAll(async () => {
  for (const client of clients) client.close();
  await server.stop();
});

it('the rights of a refreshed token count from its ack on, and those of the one before no longer', async () => {
  const ann = await open('ann');
  for (const user of ['ben', 'cid', 'dan']) await open(user);
  await ann.ok('room:create', { kind: 'group', name: 'R', id: 'r' });
  expect(await ann.ok('room:invite', { room: 'r', user: 'ben' })).toHaveProperty('invitation');
  await ann.ok('auth:refresh', { token: await tokenOf('ann', { backend: true }) });
  expect(await ann.ok('room:invite', { room: 'r', user: 'cid' })).toHaveProperty('member');
  await ann.ok('auth:refresh', { token: await tokenOf('ann') });
  expect(await ann.ok('room:invite', { room: 'r', user: 'dan' })).toHaveProperty('invitation');
  expect(await ann.error('room:create', { kind: 'group', name: 'B', id: 'backend:b' })).toMatchObject({
    code: 'forbidden',
  });
});

it('two connections of a user have the rights of their own tokens', async () => {
  const plain = await open('eve');
  const backend = await open('eve', { backend: true });
  const room = { kind: 'group', name: 'B', id: 'backend:e' } as const;
  expect(await plain.error('room:create', room)).toMatchObject({ code: 'forbidden' });
  await backend.ok('room:create', room);
});

it('a name that another connection of the user brings stands in the next signal', async () => {
  const fay = await open('fay');
  await fay.ok('room:create', { kind: 'channel', name: 'C', id: 'c' });
  const gus = await open('gus');
  await gus.ok('room:join', { room: 'c' });
  await fay.ok('signal', { room: 'c', name: 'before' });
  expect(await gus.event('signal', ({ name }) => name === 'before')).toMatchObject({ fromName: null });
  await open('fay', { name: 'Fay' });
  await fay.ok('signal', { room: 'c', name: 'after' });
  expect(await gus.event('signal', ({ name }) => name === 'after')).toMatchObject({ fromName: 'Fay' });
});
