import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pollingLine, webSocketLine, type Line } from '../protocol/lines.ts';
import { signToken } from '../../src/sessions/tokens.ts';
import { connectRaw } from '../support/raw-client.ts';
import { startServer, testSecret, tokenOf, type TestServer } from '../support/server.ts';
import { connectError, connectStock, openStock, text } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

const previous = 'the secret before this one, of enough bytes';
let server: TestServer;

beforeAll(async () => {
  server = await startServer({ PARLEY_JWT_PREVIOUS_SECRET: previous });
});
afterAll(() => server.stop());

describe('CONNECT', () => {
  it.each([
    ['no auth', {}, 'unauthorized'],
    ['an empty token', { token: '' }, 'unauthorized'],
    ['a token that is no text', { token: { $ne: null } }, 'unauthorized'],
    ['garbage', { token: 'garbage' }, 'unauthorized'],
  ])('with %s is refused with a code', async (_, auth, code) => {
    const error = await connectError(server.url, auth);
    expect(error.data).toEqual({ code, message: error.message, retryable: false });
  });

  it('with an expired token is refused as such', async () => {
    const error = await connectError(server.url, { token: await tokenOf('ann', { ttlSeconds: -1 }) });
    expect(error.data).toMatchObject({ code: 'token_expired', retryable: false });
  });

  it('may be tried again on the same connection with a good token', async () => {
    const client = openStock(server.url, { token: 'bad' });
    await new Promise((resolve) => client.socket.once('connect_error', resolve));
    client.socket.auth = { token: await tokenOf('ann') };
    client.socket.connect();
    expect(await client.event('ready')).toMatchObject({ user: { id: 'ann' } });
    client.close();
  });

  it('takes the token from the Authorization header too, where allowed from the query, and its own before those', async () => {
    const token = await tokenOf('ann');
    const open = await startServer({ PARLEY_TOKEN_IN_URL: 'on' });
    for (const options of [{ query: { token } }, { headers: { Authorization: `Bearer ${token}` } }]) {
      const client = openStock(open.url, {}, options);
      expect(await client.event('ready')).toMatchObject({ user: { id: 'ann' } });
      client.close();
    }
    const client = openStock(open.url, { token: await tokenOf('ben') }, { query: { token } });
    expect(await client.event('ready')).toMatchObject({ user: { id: 'ben' } });
    client.close();
    await open.stop();
  });

  it('accepts the present and the previous secret', async () => {
    for (const secret of [testSecret, previous]) {
      const client = await connectStock(server.url, await signToken(secret, { user: 'ann', ttlSeconds: 60 }));
      client.close();
    }
    const neither = await signToken('a third secret, of as many bytes as needed', { user: 'ann', ttlSeconds: 60 });
    expect((await connectError(server.url, { token: neither })).data).toMatchObject({ code: 'unauthorized' });
  });

  it('stores the name of the token, and a later one without a name keeps it', async () => {
    (await connectStock(server.url, await tokenOf('named', { name: 'First Name' }))).close();
    (await connectStock(server.url, await tokenOf('named', { name: 'Second Name' }))).close();
    const client = await connectStock(server.url, await tokenOf('named'));
    expect(await client.event('ready')).toMatchObject({ user: { id: 'named', name: 'Second Name' } });
    client.close();
  });
});

describe.each([
  ['a WebSocket', webSocketLine],
  ['long-polling', pollingLine],
] as const)('the token of the handshake of %s', (_, open) => {
  it('is there for another CONNECT after one that failed', async () => {
    const narrow = await startServer({ PARLEY_MAX_CONNECTIONS_PER_USER: '1', PARLEY_TOKEN_IN_URL: 'on' });
    const token = await tokenOf('ann');
    const first = await connectRaw(narrow.url, token);
    const line = await open(narrow.url, `&token=${token}`);
    await line.send('40');
    expect(await received(line, '44')).toContain('"code":"limit_reached"');
    await first.close();
    await until('there is a place', async () => (await narrow.metrics()).get('parley_users') === 0);
    await line.send('40');
    await received(line, '42["ready"');
    // and dropped when it has been used
    await line.send('41', '40');
    expect(await received(line, '44')).toContain('"code":"unauthorized"');
    await line.close();
    await narrow.stop();
  });
});

it('a token in the URL counts only where the operator says so', async () => {
  const line = await webSocketLine(server.url, `&token=${await tokenOf('ann')}`);
  await line.send('40');
  expect(await received(line, '44')).toContain('"code":"unauthorized"');
  await line.close();
});

const received = (line: Line, prefix: string): Promise<string> =>
  until(`${prefix}… comes`, async () => {
    const frame = String(await line.next());
    return frame.startsWith(prefix) ? frame : undefined;
  });

describe('a live connection', () => {
  it('is closed when its token expires', async () => {
    const client = await connectRaw(server.url, await tokenOf('short', { ttlSeconds: 2 }));
    expect(await client.untilClosed()).toEqual({ code: 4402, reason: 'token_expired' });
  });

  it('lives on after auth:refresh', async () => {
    const client = await connectStock(server.url, await tokenOf('long', { ttlSeconds: 2 }));
    const witness = await connectRaw(server.url, await tokenOf('long', { ttlSeconds: 2 }));
    const { expires } = await client.ok('auth:refresh', { token: await tokenOf('long', { ttlSeconds: 600 }) });
    expect(expires).toBeGreaterThan(Date.now() + 500_000);
    await witness.untilClosed();
    const { room } = await client.ok('room:create', { kind: 'channel', name: 'Still here' });
    await client.ok('message:send', text(room.id, 'x'));
    expect(client.socket.connected).toBe(true);
    client.close();
  });

  it('is not refreshed by a bad token or that of somebody else', async () => {
    const client = await connectStock(server.url, await tokenOf('ann'));
    expect(await client.error('auth:refresh', { token: 'x' })).toMatchObject({ code: 'unauthorized' });
    expect(await client.error('auth:refresh', { token: await tokenOf('ann', { ttlSeconds: -5 }) })).toMatchObject({
      code: 'token_expired',
    });
    expect(await client.error('auth:refresh', { token: await tokenOf('ben') })).toMatchObject({ code: 'forbidden' });
    client.close();
  });
});
