/** Requests to the socket path that are no good handshake: the right answer to each, and a server that lives on. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openRaw, socketQuery } from '../support/raw-client.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let port: number;

beforeAll(async () => {
  server = await startServer({ PARLEY_ORIGINS: 'https://chat.example' });
  port = Number(new URL(server.url).port);
});
afterAll(async () => {
  await (await openRaw(server.url)).close();
  expect([...(await server.metrics())].filter(([name]) => name.startsWith('parley_internal_errors'))).toEqual([]);
  await server.stop();
});

const upgradeHeaders = {
  Host: 'localhost',
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
};

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Writes a request as it is given: no client library would send these. */
async function request(method: string, path: string, headers: Record<string, string | undefined>): Promise<Answer> {
  const lines = Object.entries(headers).flatMap(([name, value]) => (value === undefined ? [] : `${name}: ${value}`));
  const socket = connect(port, '127.0.0.1');
  socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
  let text = '';
  socket.setEncoding('latin1').on('data', (part: string) => {
    text += part;
    const length = /content-length: (\d+)/i.exec(text)?.[1];
    const end = text.indexOf('\r\n\r\n');
    if (end !== -1 && (length === undefined || text.length >= end + 4 + Number(length))) socket.destroy();
  });
  socket.on('error', () => {});
  await once(socket, 'close');
  const [head = '', body = ''] = text.split('\r\n\r\n');
  return { status: Number(/^HTTP\/1.1 (\d+)/.exec(head)?.[1]), body };
}

const upgrade = (query: string, headers: Record<string, string | undefined> = {}) =>
  request('GET', `/socket.io/?${query}`, { ...upgradeHeaders, ...headers });

describe('an upgrade', () => {
  it('with everything right is accepted, whatever else the query has and in any order', async () => {
    expect((await upgrade('x=1&transport=websocket&t=abc&EIO=4&b64=1')).status).toBe(101);
  });

  it.each([
    ['transport=polling', 'EIO=4&transport=polling', {}, 3, 'Bad request'],
    ['an unknown transport', 'EIO=4&transport=webtransport', {}, 0, 'Transport unknown'],
    ['no transport', 'EIO=4', {}, 0, 'Transport unknown'],
    ['a transport called __proto__', 'EIO=4&transport=__proto__', {}, 0, 'Transport unknown'],
    ['no query', '', {}, 0, 'Transport unknown'],
    ['EIO=3', 'EIO=3&transport=websocket', {}, 5, 'Unsupported protocol version'],
    ['no EIO', 'transport=websocket', {}, 5, 'Unsupported protocol version'],
    ['a sid', `${socketQuery}&sid=AAAAAAAAAAAAAAAAAAAA`, {}, 1, 'Session ID unknown'],
    ['an empty sid', `${socketQuery}&sid=`, {}, 1, 'Session ID unknown'],
    ['an old WebSocket version', socketQuery, { 'Sec-WebSocket-Version': '8' }, 3, 'Bad request'],
    ['no WebSocket version', socketQuery, { 'Sec-WebSocket-Version': undefined }, 3, 'Bad request'],
    ['no key', socketQuery, { 'Sec-WebSocket-Key': undefined }, 3, 'Bad request'],
    ['a key that is too short', socketQuery, { 'Sec-WebSocket-Key': 'c2hvcnQ=' }, 3, 'Bad request'],
    [
      'another protocol to upgrade to',
      socketQuery,
      { Upgrade: 'h2c', 'Sec-WebSocket-Key': undefined },
      3,
      'Bad request',
    ],
    ['broken escapes', '%E0%A4%A&EIO=4&transport=%', {}, 0, 'Transport unknown'],
  ])('with %s is refused with 400', async (_, query, headers, code, message) => {
    const { status, body } = await upgrade(query, headers);
    expect({ status, body: JSON.parse(body) as unknown }).toEqual({ status: 400, body: { code, message } });
  });

  it('from a page of another origin is refused with 403, and from ours accepted', async () => {
    expect(await upgrade(socketQuery, { Origin: 'https://evil.example' })).toMatchObject({ status: 403 });
    expect(await upgrade(socketQuery, { Origin: 'null' })).toMatchObject({ status: 403 });
    expect(await upgrade(socketQuery, { Origin: 'https://chat.example' })).toMatchObject({ status: 101 });
  });

  it('at another path is none', async () => {
    for (const path of ['/', '/socket.iox', '/socket.io/x/', '/health']) {
      const { status } = await request('GET', `${path}?${socketQuery}`, upgradeHeaders);
      expect([path, status === 101]).toEqual([path, false]);
    }
  });
});

describe('a plain request', () => {
  it.each([
    ['GET', 'EIO=4&transport=websocket', 3],
    ['GET', 'EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA', 1],
    ['GET', '', 0],
    ['POST', 'EIO=4&transport=polling', 2],
    ['POST', 'EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA', 1],
    ['POST', 'EIO=4&transport=websocket', 2],
    ['PUT', 'EIO=4&transport=websocket', 2],
    ['DELETE', 'EIO=4&transport=websocket', 2],
  ])('%s %s is refused with 400', async (method, query, code) => {
    const response = await fetch(`${server.url}/socket.io/?${query}`, {
      method,
      ...(method === 'POST' ? { body: '40' } : {}),
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code });
  });

  it('with a body that never ends is let go of when its client goes', async () => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write('POST /api/v1/auth/guest HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{"name":');
    await new Promise((resolve) => socket.once('ready', resolve));
    socket.resetAndDestroy();
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
  });
});
