/** Answers of a Hono app on uWebSockets.js, as clients receive them. */
import { request as nodeRequest, type IncomingMessage } from 'node:http';
import { Hono } from 'hono';
import { cors } from 'hono/cors';
import { etag } from 'hono/etag';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { RequestEnv } from '../../../src/api/bridge/bridge.ts';
import { NodeResponse } from '../../../src/api/bridge/response.ts';
import { exchange, open, serve, type Served } from './served.ts';

const large = 'ä'.repeat(1_000_000);
const app = new Hono<{ Bindings: RequestEnv }>().basePath('/api');
app.get('/json', (c) => c.json({ hello: 'wörld' }));
app.get('/text', async (c) => {
  await Promise.resolve();
  return c.text('text');
});
app.get('/bytes', (c) => c.body(new Uint8Array([0, 255, 128]).buffer));
app.get('/large', (c) => c.text(large));
app.get('/nothing', (c) => c.body(null, 204));
app.get('/same', () => new Response(null, { status: 304, headers: { etag: '"1"' } }));
app.get('/redirect', (c) => c.redirect('/api/json?a=1', 308));
app.get('/created', (c) => c.json({}, 201, { location: '/api/x', 'content-type': 'application/problem+json' }));
app.get('/cookies', (c) => {
  c.header('set-cookie', 'a=1; Path=/', { append: true });
  c.header('set-cookie', 'b=2, c=3', { append: true });
  return c.text('two');
});
app.get('/latin', (c) => c.text('x', 200, { 'x-name': 'é' }));
app.get('/inject', (c) => c.text('x', 200, { 'x-name': c.req.query('value') ?? '' }));
app.get('/throws', () => {
  throw new Error('secret');
});
app.get('/rejects', () => Promise.reject(new Error('secret')));
app.get('/echo/*', (c) =>
  c.json({ url: c.req.url, query: c.req.query(), headers: c.req.header(), from: c.env.address }),
);
app.get('/name/:name', (c) => c.json({ name: c.req.param('name') }));
app.get('/node', () => new NodeResponse('of node', { headers: { 'x-node': '1' } }));
app.get('/own', (c) => c.text('x', 200, { 'content-security-policy': "default-src 'self'" }));
app.get('/blob', () => new Response(new Blob(['blob'], { type: 'text/x-blob' })));
app.get('/lie', () => new Response('12345', { headers: { 'content-length': '3', 'transfer-encoding': 'chunked' } }));
app.get('/static-json', () => Response.json({ made: true }, { status: 202 }));
app.use('/after/*', cors({ origin: 'https://example.org' }), async (c, next) => {
  await next();
  c.header('x-after', '1');
  c.res.headers.append('set-cookie', 'late=1');
});
app.get('/after/next', (c) => c.json({ ok: true }));
app.use('/etag/*', etag());
app.get('/etag/one', (c) => c.text('same'));

const paths = [
  '/json',
  '/text',
  '/bytes',
  '/large',
  '/nothing',
  '/redirect',
  '/created',
  '/cookies',
  '/node',
  '/blob',
  '/static-json',
  '/after/next',
  '/etag/one',
  '/unknown',
];

let served: Served;
beforeAll(async () => {
  served = await serve(app.fetch);
});
afterAll(() => served.stop());

it.each(paths)('answers %s as Hono does without a server', async (path) => {
  const own = await app.request(`http://127.0.0.1/api${path}`);
  const got = await fetch(served.url + path, { redirect: 'manual' });
  expect(got.status).toBe(own.status);
  expect(Buffer.from(await got.arrayBuffer()).equals(Buffer.from(await own.arrayBuffer()))).toBe(true);
  for (const [name, value] of own.headers) if (name !== 'set-cookie') expect(got.headers.get(name)).toBe(value);
  expect(got.headers.getSetCookie()).toEqual(own.headers.getSetCookie());
});

it.each(paths)('answers HEAD %s with the headers of GET and no body', async (path) => {
  const [get, head] = [await heads('GET', path), await heads('HEAD', path)];
  expect(head.statusCode).toBe(get.statusCode);
  // the length of a stream is unknown before its end
  const { 'transfer-encoding': _, ...known } = get.headers;
  expect({ ...head.headers, date: '' }).toEqual({ ...known, date: '' });
});

function heads(method: string, path: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = nodeRequest(served.url + path, { method, agent: false }, (response) => {
      let bytes = 0;
      response.on('data', (data: Buffer) => (bytes += data.length));
      response.on('end', () => (method === 'HEAD' && bytes > 0 ? reject(new Error('a body')) : resolve(response)));
    });
    request.on('error', reject).end();
  });
}

it('writes no body and no length for 204 and 304, and serves the next request', async () => {
  for (const path of ['nothing', 'same']) {
    const raw = await open(served.port);
    raw.send(`GET /api/${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    const first = await raw.reads(/\r\n\r\n/);
    expect(first).not.toMatch(/content-length|transfer-encoding/i);
    raw.send('GET /api/text HTTP/1.1\r\nHost: x\r\n\r\n');
    await raw.reads(/text$/);
    raw.end();
  }
});

it('writes two set-cookie lines', async () => {
  const text = await exchange(served.port, 'GET /api/cookies HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  expect(text.match(/^set-cookie: .*$/gim)).toEqual(['set-cookie: a=1; Path=/', 'set-cookie: b=2, c=3']);
});

it('writes the safe headers, a reason, and no name of the server', async () => {
  const text = await exchange(served.port, 'GET /api/created HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  expect(text).toMatch(/^HTTP\/1\.1 201 Created\r\n/);
  expect(text).toMatch(/^X-Content-Type-Options: nosniff\r$/m);
  expect(text).not.toMatch(/uWebSockets/i);
  const own = await exchange(served.port, 'GET /api/own HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  expect(own.match(/^content-security-policy: .*$/gim)).toEqual(["content-security-policy: default-src 'self'"]);
});

it('frames a body by its real length', async () => {
  const text = await exchange(served.port, 'GET /api/lie HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  expect(text.match(/^(content-length|transfer-encoding):.*$/gim)).toEqual(['Content-Length: 5']);
});

it('writes header values as latin1', async () => {
  const text = await exchange(served.port, 'GET /api/latin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  expect(text).toContain('x-name: é\r\n');
});

it.each(['a%0d%0ax-evil: 1', 'a%0ax-evil: 1', '%00', '%E2%82%AC'])('refuses the header value %s', async (value) => {
  const response = await fetch(`${served.url}/inject?value=${value}`);
  expect(response.status).toBe(500);
  expect(response.headers.has('x-evil')).toBe(false);
});

it('answers 500 without the error, and stays, when a fetch function throws or rejects', async () => {
  const seen: unknown[] = [];
  const secret = new Error('secret');
  const broken = await serve(
    (request) => {
      if (request.url.endsWith('/throws')) throw secret;
      if (request.url.endsWith('/nonsense')) return 'nonsense' as unknown as Response;
      return Promise.reject(secret);
    },
    { failed: (error) => seen.push(error) },
  );
  for (const path of ['/throws', '/rejects']) {
    const response = await fetch(broken.url + path);
    expect(response.status).toBe(500);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    const text = await response.text();
    expect(JSON.parse(text)).toMatchObject({ status: 500, code: 'internal', title: 'Internal Server Error' });
    expect(text).not.toContain('secret');
    expect(seen.at(-1)).toBe(secret);
  }
  expect((await fetch(`${broken.url}/nonsense`)).status).toBe(500);
  broken.stop();
  expect((await fetch(`${served.url}/throws`)).status).toBe(500);
});

it('ends the connection without an answer if the problem fails too', async () => {
  const broken = await serve(() => Promise.reject(new Error('first')), {
    problem: () => {
      throw new Error('second');
    },
  });
  await expect(fetch(`${broken.url}/x`)).rejects.toThrow();
  broken.stop();
});

it('gives the request as the client sent it', async () => {
  const response = await fetch(`${served.url}/echo/a%20b?q=1&q=2&__proto__=x&constructor=y`, {
    headers: { 'X-One': 'two', __proto__: 'z', 'x-dup': '1' },
  });
  const echo = (await response.json()) as { url: string; query: object; headers: Record<string, string>; from: string };
  expect(echo.url).toBe(`${served.url}/echo/a%20b?q=1&q=2&__proto__=x&constructor=y`);
  expect(Object.entries(echo.query)).toEqual([
    ['q', '1'],
    ['__proto__', 'x'],
    ['constructor', 'y'],
  ]);
  expect(echo.headers['x-one']).toBe('two');
  expect(echo.from).toBe('127.0.0.1');
});

it.each([
  ['10,000 segments', `/api${'/s'.repeat(10_000)}`, /^HTTP\/1\.1 (404|431)/],
  ['1,000 segments', `/api${'/s'.repeat(1000)}`, /^HTTP\/1\.1 404/],
  ['a prototype as a path', '/api/name/__proto__', /{"name":"__proto__"}$/],
  ['a bad escape', '/api/name/%zz%', /{"name":"%zz%"}$/],
  ['a half escape', '/api/name/%E2%82', /{"name":"%E2%82"}$/],
  ['a NUL escape', '/api/name/%00', /{"name":"\\u0000"}$/],
  ['a query of escapes', '/api/echo/?%=%&%zz=%E0%A4%A', /^HTTP\/1\.1 200/],
  ['a fragment', '/api/name/a#b', /{"name":"a"}$/],
  ['two slashes', '//api/name/a', /^HTTP\/1\.1 404/],
])('answers %s', async (_, target, pattern) => {
  const text = await exchange(served.port, `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  expect(text).toMatch(pattern);
});

it.each(['a/b', 'a?b', 'a b', 'a@b', 'ä', 'a#b', 'a\\b'])('refuses the host %s', async (host) => {
  const text = await exchange(served.port, `GET /api/json HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request/);
});

it('closes a connection whose client sends a second request before the answer', async () => {
  const text = await exchange(
    served.port,
    'GET /api/text HTTP/1.1\r\nHost: x\r\n\r\nGET /api/text HTTP/1.1\r\nHost: x\r\n\r\n',
  );
  expect(text.match(/^HTTP/gm)?.length ?? 0).toBeLessThan(2);
});
