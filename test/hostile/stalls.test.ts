/** Clients that begin something and stop, or flood: each is answered, or let go of after its time. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectRaw } from '../support/raw-client.ts';
import { startServer, tokenOf, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';
import { frameOf, textFrame, upgradeRequest } from '../support/ws-frame.ts';
import { Peer } from './fuzz/peer.ts';

let server: TestServer;
let token: string;
let port: number;

beforeAll(async () => {
  server = await startServer({
    PARLEY_PING_INTERVAL_MS: '2000',
    PARLEY_PING_TIMEOUT_MS: '2000',
    PARLEY_CONNECT_TIMEOUT_MS: '1000',
  });
  token = await tokenOf('mallory');
  port = Number(new URL(server.url).port);
});
afterAll(async () => {
  await until('no connection is left', async () => (await server.metrics()).get('parley_connections') === 0);
  expect([...(await server.metrics())].filter(([name]) => name.startsWith('parley_internal_errors'))).toEqual([]);
  await server.stop();
});

const polling = '/socket.io/?EIO=4&transport=polling';

async function openPolling(peer: Peer): Promise<string> {
  peer.write(`GET ${polling} HTTP/1.1\r\nHost: x\r\n\r\n`);
  await peer.until('the session is open', () => peer.statuses.length === 1);
  return `${polling}&sid=${/"sid":"([^"]+)"/.exec(peer.lastBody)?.[1]}`;
}

describe('the server lets go of', () => {
  it.concurrent.each([
    ['a connection that says nothing', ''],
    ['half a request line', 'GET /socket.io/?EIO=4'],
    ['headers without an end', 'GET / HTTP/1.1\r\nHost: x\r\nX: '],
    ['half an upgrade', upgradeRequest('/socket.io/?EIO=4&transport=websocket').slice(0, -2)],
    ['a body that stops', 'POST /api/v1/auth/guest HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{'],
    ['a chunk that stops', 'POST /api/v1/auth/guest HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{'],
  ])(
    '%s',
    async (_, bytes) => {
      const peer = new Peer(port, '127.0.0.1');
      peer.write(bytes);
      expect(await peer.until('the server closes it', () => false)).toBe(false);
      expect(peer.upgraded).toBe(false);
    },
    40_000,
  );

  it.concurrent(
    'headers that trickle in',
    async ({ expect: expectIn }) => {
      const peer = new Peer(port, '127.0.0.1');
      peer.write('GET / HTTP/1.1\r\nHost: x\r\nX: ');
      const trickle = setInterval(() => peer.write('x'), 500);
      try {
        expectIn(await peer.until('the server closes it', () => false)).toBe(false);
      } finally {
        clearInterval(trickle);
      }
    },
    40_000,
  );

  it.concurrent(
    'a long-polling session whose POST stops in the middle',
    async ({ expect: expectIn }) => {
      const peer = new Peer(port, '127.0.0.1');
      const path = await openPolling(peer);
      peer.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n40`);
      expectIn(await peer.until('the server closes it', () => peer.statuses.length > 1)).toBe(false);
    },
    40_000,
  );

  it.concurrent(
    'an unmasked frame and what follows it',
    async ({ expect: expectIn }) => {
      const peer = new Peer(port, '127.0.0.1');
      peer.write(upgradeRequest('/socket.io/?EIO=4&transport=websocket'));
      await peer.until('it is a WebSocket', () => peer.upgraded);
      peer.write(Buffer.from([0x81, 2, 0x34, 0x31]));
      expectIn(await peer.until('the server closes it', () => false)).toBe(false);
    },
    40_000,
  );
});

describe('a connection past CONNECT', () => {
  it('that announces attachments and sends none is closed with 4400 after the connect timeout', async () => {
    const client = await connectRaw(server.url, token);
    client.send('451-1["signal",{"_placeholder":true,"num":0}]');
    expect(await client.untilClosed()).toEqual({ code: 4400, reason: 'protocol_error' });
  });

  it('that sends one attachment too many is closed with 4400, its command answered', async () => {
    const client = await connectRaw(server.url, token);
    client.send('451-1["signal",{"room":"none","name":"x","data":{"_placeholder":true,"num":0}}]');
    client.ws.send(Buffer.from([1]));
    client.ws.send(Buffer.from([2]));
    expect(await client.next('431[')).toContain('"code":"not_member"');
    expect((await client.untilClosed()).code).toBe(4400);
  });

  it('may send ten thousand pings', async () => {
    const client = await connectRaw(server.url, token);
    let pongs = 0;
    client.ws.on('pong', () => pongs++);
    for (let n = 0; n < 10_000; n++) client.ws.ping();
    client.send('421["room:list",{}]');
    expect(await client.next('431[')).toContain('"ok":true');
    expect(pongs).toBe(10_000);
    await client.close();
  });

  it('may name 500 rooms in a sync and not 501', async () => {
    const client = await connectRaw(server.url, token);
    for (const [rooms, expected] of [
      [500, '"ok":true,"rooms":{}'],
      [501, '"code":"invalid"'],
      [4000, '"code":"invalid"'],
    ] as const) {
      const cursors = Object.fromEntries(Array.from({ length: rooms }, (_, n) => [`r${n}`, 1]));
      client.send(`421["sync",${JSON.stringify({ cursors })}]`);
      expect([rooms, await client.next('431[')]).toEqual([rooms, expect.stringContaining(expected)]);
    }
    await client.close();
  });

  it.each([
    ['an impossible code', Buffer.from([0, 1])],
    ['half a code', Buffer.from([3])],
    ['a reason that is no UTF-8', Buffer.from([3, 232, 255, 254])],
    ['no payload', Buffer.alloc(0)],
  ])('that closes with %s is closed', async (_, payload) => {
    const peer = new Peer(port, '127.0.0.1');
    peer.write(upgradeRequest('/socket.io/?EIO=4&transport=websocket'));
    // uWS drops what comes in one segment with the handshake
    await peer.until('it is a WebSocket', () => peer.upgraded);
    peer.write(textFrame(`40${JSON.stringify({ token })}`));
    peer.write(frameOf(0x88, payload));
    expect(await peer.until('the server closes it', () => false)).toBe(false);
    expect(peer.ended).toMatch(/^close 100\d$|^dropped$/);
  });
});

async function ask(peer: Peer, bytes: string): Promise<number | undefined> {
  const before = peer.statuses.length;
  peer.write(bytes);
  await peer.until('the answer comes', () => peer.statuses.length > before);
  return peer.statuses[before];
}

describe('long-polling', () => {
  it.each([
    ['a payload over the limit', 413, '4'.repeat(70_000)],
    ['garbage', 400, 'hello'],
    ['an empty payload', 400, ''],
    ['bad base64', 400, 'b!!'],
    ['binary that nobody announced', 400, 'bAAAA'],
    ['an empty packet among others', 400, '3\x1e\x1e3'],
  ])('answers %s with %i and ends the session', async (_, status, body) => {
    const peer = new Peer(port, '127.0.0.1');
    const path = await openPolling(peer);
    const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`;
    expect(await ask(peer, head + body)).toBe(status);
    const again = new Peer(port, '127.0.0.1');
    expect(await ask(again, `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)).toBe(400);
    await Promise.all([peer.finish(), again.finish()]);
  });
});
