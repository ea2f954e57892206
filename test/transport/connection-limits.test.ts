/** Limits of new connections and of the requests of one connection: each is reached, then passed by one. */
import { connect as connectTcp } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connectRaw, openRaw, refusedUpgrade, socketQuery, type RawClient } from '../support/raw-client.ts';
import { startServer, tokenOf, type TestServer } from '../support/server.ts';
import { connectError, connectStock } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

let server: TestServer;
const raws: RawClient[] = [];
afterEach(async () => {
  for (const raw of raws.splice(0)) await raw.close();
  await server.stop();
});

const metric = async (series: string): Promise<number> => (await server.metrics()).get(series) ?? 0;

it('one user has so many connections, and a place is free again after a close', async () => {
  server = await startServer({ PARLEY_MAX_CONNECTIONS_PER_USER: '2' });
  const token = await tokenOf('ann');
  const held = [await connectStock(server.url, token), await connectStock(server.url, token)];
  expect(await connectError(server.url, { token })).toMatchObject({
    data: { code: 'limit_reached', retryable: false },
  });
  (await connectStock(server.url, await tokenOf('ben'))).close();
  held[0]?.close();
  await until('a place is free', async () => (await metric('parley_connections')) === 1);
  held.push(await connectStock(server.url, token));
  for (const client of held) client.close();
});

it('one address connects so often, and another is not held back by it', async () => {
  server = await startServer({ PARLEY_CONNECTS_PER_SECOND_PER_ADDRESS: '1' });
  let refused: Awaited<ReturnType<typeof refusedUpgrade>> | undefined;
  for (let i = 0; i < 40 && refused === undefined; i++) {
    refused = await refusedUpgrade(server.url).catch(() => undefined);
  }
  expect(refused).toMatchObject({ status: 429, body: { code: 'rate_limited', retryable: true } });
  expect(Number(refused?.headers['retry-after'])).toBeGreaterThan(0);
  expect(await metric('parley_handshakes_refused_total{reason="connect_rate"}')).toBe(1);
  raws.push(await openRaw(server.url, { localAddress: '127.0.0.2' }));
});

describe('behind a trusted proxy', () => {
  beforeEach(async () => {
    server = await startServer({ PARLEY_TRUSTED_PROXIES: '127.0.0.1', PARLEY_MAX_CONNECTIONS_PER_ADDRESS: '1' });
  });

  it('clients are distinguished by X-Forwarded-For, and cannot invent addresses', async () => {
    raws.push(await openRaw(server.url, from('198.51.100.1')), await openRaw(server.url, from('198.51.100.2')));
    expect((await refusedUpgrade(server.url, from('198.51.100.1'))).status).toBe(429);
    expect((await refusedUpgrade(server.url, from('1.2.3.4, 198.51.100.1'))).status).toBe(429);
    // not from the proxy: the header is the client's own invention
    const direct = { ...from('198.51.100.7'), localAddress: '127.0.0.2' };
    raws.push(await openRaw(server.url, direct));
    expect((await refusedUpgrade(server.url, { ...direct, ...from('198.51.100.8') })).status).toBe(429);
  });

  it('a line that the client wrote is not the truth when the proxy adds one of its own', async () => {
    raws.push(await openRaw(server.url, forged('198.51.100.2')));
    expect((await refusedUpgrade(server.url, forged('198.51.100.3'))).status).toBe(429);
    raws.push(await openRaw(server.url, from('198.51.100.2')));
  });

  it('the addresses of one network of IPv6 count together, and each keeps its own text', async () => {
    const token = await tokenOf('ann');
    const host = await connectRaw(server.url, token, from('2001:db8:1:2::1'));
    raws.push(host);
    expect((await refusedUpgrade(server.url, from('2001:db8:1:2::2'))).status).toBe(429);
    expect((await refusedUpgrade(server.url, from('2001:db8:1:2:ffff::'))).status).toBe(429);
    raws.push(await openRaw(server.url, from('2001:db8:1:3::1')));
    host.send('420["session:list",{}]');
    expect(await host.next('430[')).toContain('"address":"2001:db8:1:2::1"');
  });

  it('clients are distinguished by the PROXY protocol', async () => {
    const first = await handshake('198.51.100.1');
    const second = await handshake('198.51.100.2');
    const third = await handshake('198.51.100.1');
    expect([first.status, second.status, third.status]).toEqual(['101', '101', '429']);
    for (const { end } of [first, second, third]) end();
    await until('all are gone', async () => (await metric('parley_connections')) === 0);
  });
});

const from = (address: string) => ({ headers: { 'x-forwarded-for': address } });
/** A line of the client's own, then that of the proxy. */
const forged = (first: string) => ({ headers: { 'x-forwarded-for': [first, '198.51.100.1'] } });

async function handshake(address: string): Promise<{ status: string; end: () => void }> {
  const socket = connectTcp(Number(new URL(server.url).port), '127.0.0.1');
  socket.write(Buffer.concat([proxyHeader(address), Buffer.from(upgradeRequest)]));
  let text = '';
  socket.on('data', (data) => (text += data.toString('latin1')));
  socket.on('error', () => {});
  const status = await until('it is answered', () => /^HTTP\/1.1 (\d+)/.exec(text)?.[1]);
  return { status, end: () => socket.destroy() };
}

const upgradeRequest = [
  `GET /socket.io/?${socketQuery} HTTP/1.1`,
  'Host: localhost',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  '\r\n',
].join('\r\n');

/** PROXY protocol v2: TCP over IPv4. */
function proxyHeader(address: string): Buffer {
  const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
  const head = Buffer.from([0x21, 0x11, 0, 12]);
  const ports = Buffer.from([0x12, 0x34, 0x0b, 0xb8]);
  return Buffer.concat([
    signature,
    head,
    Buffer.from(address.split('.').map(Number)),
    Buffer.from([127, 0, 0, 1]),
    ports,
  ]);
}

describe('commands', () => {
  it('that cost more take more of the rate, and a connection that ignores refusals is closed', async () => {
    server = await startServer({
      PARLEY_COMMANDS_PER_SECOND: '1',
      PARLEY_COMMAND_BURST: '10',
      PARLEY_MAX_REFUSED_COMMANDS: '5',
    });
    const raw = await connectRaw(server.url, await tokenOf('ann'));
    raws.push(raw);
    // two of weight 5 use up the burst of 10
    raw.send(...[1, 2, 3].map((n) => `42${n}["room:create",{"kind":"channel","name":"${n}","id":"w${n}"}]`));
    expect(await raw.next('431[')).toContain('"ok":true');
    expect(await raw.next('432[')).toContain('"ok":true');
    const { error } = (JSON.parse((await raw.next('433[')).slice(3)) as [{ error: object }])[0];
    expect(error).toMatchObject({ code: 'rate_limited', retryable: true, retryAfter: 5000 });
    for (let n = 10; n < 10 + 5; n++) raw.send(`42${n}["room:create",{"kind":"channel","name":"x"}]`);
    expect(await raw.untilClosed()).toEqual({ code: 4429, reason: 'rate_limited' });
    expect(await metric('parley_connections_closed_total{reason="rate_limited"}')).toBe(1);
  });
});
