import { afterAll, beforeAll, expect } from 'vitest';
import { refusedUpgrade } from '../support/raw-client.ts';
import { startConformance, type Conformance } from './conformance.ts';
import { cover } from './cover.ts';
import { path, pollingQuery, raw, request, type Answer, type RequestOptions } from './http.ts';
import { openPolling, pollingLine, webSocketLine } from './lines.ts';

let server: Conformance;
let choosy: Conformance;

beforeAll(async () => {
  [server, choosy] = await Promise.all([
    startConformance(),
    startConformance({ origins: 'https://chat.example,https://other.example' }),
  ]);
});
afterAll(async () => {
  await Promise.all([server?.stop(), choosy?.stop()]);
});

const errors = {
  transport: { code: 0, message: 'Transport unknown' },
  session: { code: 1, message: 'Session ID unknown' },
  method: { code: 2, message: 'Bad handshake method' },
  request: { code: 3, message: 'Bad request' },
  version: { code: 5, message: 'Unsupported protocol version' },
};

async function expectRefused(options: RequestOptions, error: object): Promise<void> {
  const answer = await request(server.url, options);
  expect({ options, status: answer.status, body: parsed(answer) }).toEqual({ options, status: 400, body: error });
  expect(answer.headers['content-type']).toMatch(/^application\/json/);
}

async function expectUpgradeRefused(
  query: string,
  error: object,
  headers: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { status, body } = await refusedUpgrade(server.url, { query, headers });
  expect({ query, status, body }).toEqual({ query, status: 400, body: error });
}

const parsed = ({ body }: Answer): unknown => (body === '' ? '' : JSON.parse(body));
const upgradeHeaders = { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13' };
const key = { 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' };

cover('HTTP requests', {
  'no `transport`, or an unknown one': async () => {
    await expectRefused({ query: '' }, errors.transport);
    await expectRefused({ query: 'EIO=4' }, errors.transport);
    await expectRefused({ query: 'EIO=4&transport=carrier-pigeon' }, errors.transport);
    await expectRefused({ query: 'EIO=4&transport=__proto__' }, errors.transport);
    await expectRefused({ query: 'EIO=4&transport=carrier-pigeon', method: 'POST', body: '40' }, errors.transport);
    await expectUpgradeRefused('EIO=4', errors.transport);
  },
  'no `EIO`, or another than 4': async () => {
    for (const query of ['transport=polling', 'EIO=3&transport=polling', 'EIO=abc&transport=polling']) {
      await expectRefused({ query }, errors.version);
    }
    await expectUpgradeRefused('EIO=3&transport=websocket', errors.version);
    await expectUpgradeRefused('transport=websocket', errors.version);
  },
  'a `sid` that is unknown, in a GET, a POST or a WebSocket handshake': async () => {
    for (const sid of ['nobody', '', '__proto__', 'x'.repeat(500)]) {
      await expectRefused({ query: `${pollingQuery}&sid=${sid}` }, errors.session);
      await expectRefused({ query: `${pollingQuery}&sid=${sid}`, method: 'POST', body: '40' }, errors.session);
      await expectUpgradeRefused(`EIO=4&transport=websocket&sid=${sid}`, errors.session);
    }
  },
  'the `sid` of a session that began on a WebSocket': async () => {
    const line = await webSocketLine(server.url);
    const { sid } = line.open;
    await expectRefused({ query: `${pollingQuery}&sid=${sid}` }, errors.session);
    await expectRefused({ query: `${pollingQuery}&sid=${sid}`, method: 'POST', body: '40' }, errors.session);
    await expectUpgradeRefused(`EIO=4&transport=websocket&sid=${sid}`, errors.session);
    await line.send('40');
    expect(await line.next()).toMatch(/^40/);
    await line.close();
  },
  'a handshake that is no GET; a method besides GET and POST': async () => {
    await expectRefused({ method: 'POST', body: '40' }, errors.method);
    for (const method of ['PUT', 'DELETE', 'PATCH']) await expectRefused({ method }, errors.method);
    const { sid } = await openPolling(server.url);
    await expectRefused({ method: 'PUT', query: `${pollingQuery}&sid=${sid}`, body: '40' }, errors.method);
    expect(await request(server.url, { method: 'HEAD' })).toMatchObject({ status: 400, body: '' });
  },
  '`transport=websocket` without Upgrade': async () => {
    await expectRefused({ query: 'EIO=4&transport=websocket' }, errors.request);
    await expectRefused({ query: 'EIO=4&transport=websocket', method: 'POST', body: '40' }, errors.method);
  },
  '`transport=polling` with Upgrade': async () => {
    await expectUpgradeRefused(pollingQuery, errors.request);
    await expectRefused({ headers: { Upgrade: 'websocket' } }, errors.request);
    const { sid } = await openPolling(server.url);
    await expectUpgradeRefused(`${pollingQuery}&sid=${sid}`, errors.request);
  },
  'a `Sec-WebSocket-Version` besides 13': async () => {
    const query = 'EIO=4&transport=websocket';
    for (const version of ['8', '12', '14', '13, 8', 'x']) {
      const headers = { ...upgradeHeaders, ...key, 'Sec-WebSocket-Version': version };
      await expectRefused({ query, headers }, errors.request);
    }
    await expectRefused({ query, headers: { Connection: 'Upgrade', Upgrade: 'websocket', ...key } }, errors.request);
  },
  'a WebSocket handshake without its key': async () => {
    await expectRefused({ query: 'EIO=4&transport=websocket', headers: upgradeHeaders }, errors.request);
  },
  'unknown keys in the query, in any order': async () => {
    const { status, body } = await request(server.url, { query: 'b64=1&t=Pk1&transport=polling&x=%F0%9F%98&EIO=4&&=' });
    expect([status, body[0]]).toEqual([200, '0']);
    const line = await webSocketLine(server.url, '&x=y&sort=%');
    expect(line.open.sid).toHaveLength(20);
    await line.close();
  },
  '`Connection: close`': async () => {
    const text = await raw(
      server.url,
      `GET ${path}?${pollingQuery} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
    );
    expect(text).toMatch(/^HTTP\/1\.1 200 /);
    expect(text).toMatch(/\r\nConnection: close\r\n/);
    const refused = await raw(server.url, `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    expect(refused).toMatch(/^HTTP\/1\.1 400 [\s\S]*\r\nConnection: close\r\n/);
  },
  'a page of another origin, allowed': async () => {
    const headers = { Origin: 'https://chat.example' };
    const allowed = {
      'access-control-allow-origin': 'https://chat.example',
      'access-control-allow-credentials': 'true',
      vary: 'Origin',
    };
    const handshake = await request(choosy.url, { headers });
    expect(handshake).toMatchObject({ status: 200, headers: allowed });
    const { sid } = JSON.parse(handshake.body.slice(1)) as { sid: string };
    const query = `${pollingQuery}&sid=${sid}`;
    expect(await request(choosy.url, { query, headers, method: 'POST', body: '40' })).toMatchObject({
      status: 200,
      headers: allowed,
    });
    expect(await request(choosy.url, { query, headers })).toMatchObject({ status: 200, headers: allowed });
    expect(await request(choosy.url, { query: 'EIO=3', headers })).toMatchObject({ status: 400, headers: allowed });
    const unasked = await request(choosy.url);
    expect(Object.keys(unasked.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
  },
  'a preflight': async () => {
    const headers = { Origin: 'https://other.example', 'Access-Control-Request-Method': 'POST' };
    const answer = await request(choosy.url, { method: 'OPTIONS', headers });
    expect(answer).toMatchObject({
      status: 204,
      body: '',
      headers: {
        'access-control-allow-origin': 'https://other.example',
        'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE',
        'access-control-allow-headers':
          'Content-Type, Authorization, Idempotency-Key, If-Match, If-None-Match, X-Request-Id, traceparent, ' +
          'Parley-User, Range, If-Range, Tus-Resumable, Upload-Length, Upload-Offset, Upload-Metadata',
      },
    });
    expect(answer.headers['content-length']).toBeUndefined();
  },
  'an origin that is not allowed': async () => {
    const foreign = { code: 4, message: 'Origin not allowed' };
    for (const origin of ['https://evil.example', 'https://chat.example.evil.example', 'null', 'http://localhost:1']) {
      const headers = { Origin: origin };
      const answer = await request(choosy.url, { headers });
      expect([answer.status, parsed(answer)]).toEqual([403, foreign]);
      expect(answer.headers['access-control-allow-origin']).toBeUndefined();
      expect((await request(choosy.url, { headers, method: 'OPTIONS' })).status).toBe(403);
      expect(await refusedUpgrade(choosy.url, { headers })).toMatchObject({ status: 403, body: foreign });
    }
  },
});

cover('Handshake', {
  'long-polling': async () => {
    const { status, headers, body } = await request(server.url);
    expect(status).toBe(200);
    expect(headers).toMatchObject({ 'content-type': 'text/plain; charset=UTF-8', 'cache-control': 'no-store' });
    expect(headers['set-cookie']).toBeUndefined();
    expect(body[0]).toBe('0');
    const sid = expect.stringMatching(/^[\w-]{20}$/) as string;
    expect(JSON.parse(body.slice(1))).toEqual({ sid, upgrades: ['websocket'], ...announced });
  },
  WebSocket: async () => {
    const line = await webSocketLine(server.url);
    const sid = expect.stringMatching(/^[\w-]{20}$/) as string;
    expect(line.open).toEqual({ sid, upgrades: [], ...announced });
    await line.close();
  },
  'many handshakes': async () => {
    const lines = await Promise.all(
      Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? pollingLine : webSocketLine)(server.url)),
    );
    expect(new Set(lines.map(({ open }) => open.sid)).size).toBe(20);
    await Promise.all(lines.map((line) => line.close()));
  },
});

const announced = { pingInterval: 25_000, pingTimeout: 20_000, maxPayload: 100_000 };
