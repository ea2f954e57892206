/** Bodies of requests: limits, lengths, encodings, time, and streams. */
import { request as nodeRequest } from 'node:http';
import { Hono } from 'hono';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Refusal } from '../../../src/api/bridge/refusal.ts';
import { until } from '../../support/until.ts';
import { exchange, maxBodyBytes, open, serve, type Served } from './served.ts';

const app = new Hono().basePath('/api');
app.onError((error, c) => c.text(error.name, (error instanceof Refusal ? error.status : 500) as 500));
app.post('/text', async (c) => c.text(`got ${(await c.req.text()).length}`));
app.post('/twice', async (c) => c.json([await c.req.text(), await c.req.text(), await c.req.json()]));
app.post('/form', async (c) => c.json(await c.req.parseBody()));
app.post('/blob', async (c) => c.text(`${(await c.req.blob()).size}`));
app.post('/bytes', async (c) => c.text(`${(await c.req.arrayBuffer()).byteLength}`));
app.post('/unread', (c) => c.text('unread'));
app.post('/unread-later', async (c) => {
  await Promise.resolve();
  return c.text('unread');
});
app.post('/again', async (c) => {
  await c.req.raw.text();
  await c.req.raw.text();
  return c.text('read twice');
});
let taken = 0;
let go: () => void = () => {};
app.post('/stream', async (c) => {
  taken = 0;
  const wait = new Promise<void>((resolve) => (go = resolve));
  await wait;
  for await (const part of c.req.raw.body ?? []) taken += (part as Uint8Array).byteLength;
  return c.text(`streamed ${taken}`);
});
app.post('/half', async (c) => {
  const reader = (c.req.raw.body as ReadableStream<Uint8Array>).getReader();
  const { value } = await reader.read();
  await reader.cancel();
  return c.text(`first ${value?.byteLength === 0 ? 'empty' : 'part'}`);
});

const streamBytes = 64 * 1024 * 1024;
let served: Served;
beforeAll(async () => {
  served = await serve(app.fetch, {
    maxBodyBytes: (_, path) => (/stream|half/.test(path) ? streamBytes : maxBodyBytes),
    bodyTimeoutMs: 300,
  });
});
afterAll(() => served.stop());

const head = (path: string, ...lines: string[]): string =>
  [`POST /api/${path} HTTP/1.1`, 'Host: x', ...lines, '', ''].join('\r\n');
const post = async (path: string, body: BodyInit): Promise<string> =>
  (await fetch(`${served.url}/${path}`, { method: 'POST', body })).text();
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;

it('reads a body at the limit and refuses one byte more, by length', async () => {
  expect(await post('text', 'x'.repeat(maxBodyBytes))).toBe(`got ${maxBodyBytes}`);
  const over = await fetch(`${served.url}/text`, { method: 'POST', body: 'x'.repeat(maxBodyBytes + 1) });
  expect([over.status, await over.json()]).toEqual([413, expect.objectContaining({ code: 'too_large' })]);
  expect(await post('text', 'x'.repeat(5_000_000))).toContain('too_large');
});

it('refuses a length over the limit before the body arrives, and reads the rest as no request', async () => {
  const raw = await open(served.port);
  raw.send(head('text', 'Content-Length: 1200'));
  await raw.reads(/^HTTP\/1\.1 413 Content Too Large/);
  const smuggled = 'POST /api/unread HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n';
  raw.send(smuggled + 'x'.repeat(1200 - smuggled.length) + head('bytes', 'Content-Length: 2') + 'ok');
  expect(await raw.reads(/\r\n\r\n2$/)).not.toContain('unread');
  raw.end();
});

it('reads a chunked body at the limit; refuses one byte more and closes the connection', async () => {
  const at = await open(served.port);
  at.send(head('text', 'Transfer-Encoding: chunked') + chunk('x'.repeat(600)));
  at.send(`${chunk('x'.repeat(400))}0\r\n\r\n`);
  await at.reads(/got 1000$/);
  at.end();
  const over = await open(served.port);
  over.send(head('text', 'Transfer-Encoding: chunked') + chunk('x'.repeat(600)));
  over.send(chunk('x'.repeat(401)));
  await over.reads(/^HTTP\/1\.1 413/);
  over.send(`${chunk('x')}0\r\n\r\n${head('bytes', 'Content-Length: 0')}`);
  expect((await over.untilClosed()).match(/HTTP\/1\.1/g)).toHaveLength(1);
  over.end();
});

it('sends 413 to clients of Node and of undici that send chunks', async () => {
  const parts = new Blob(['x'.repeat(maxBodyBytes * 2)]).stream();
  const init = { method: 'POST', body: parts, duplex: 'half' } as RequestInit;
  expect((await fetch(`${served.url}/text`, init)).status).toBe(413);
  const status = await new Promise((resolve, reject) => {
    const request = nodeRequest(`${served.url}/text`, { method: 'POST' }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on('error', reject);
    request.write('x'.repeat(900));
    request.end('x'.repeat(900));
  });
  expect(status).toBe(413);
});

it.each(['gzip', 'br', 'identity, gzip', 'x'])('refuses the encoding %s', async (encoding) => {
  const response = await fetch(`${served.url}/text`, {
    method: 'POST',
    body: 'x',
    headers: { 'content-encoding': encoding },
  });
  expect([response.status, response.statusText]).toEqual([415, 'Unsupported Media Type']);
});

it('accepts the encoding identity', async () => {
  const headers = { 'content-encoding': 'Identity' };
  expect((await fetch(`${served.url}/text`, { method: 'POST', body: 'x', headers })).status).toBe(200);
});

it.each([
  ['by length', 'Content-Length: 10'],
  ['in chunks', 'Transfer-Encoding: chunked'],
])('answers 408 to a body that stops %s, and closes the connection', async (_, line) => {
  const raw = await open(served.port);
  raw.send(`${head('text', line)}3\r\nx`);
  expect(await raw.untilClosed()).toMatch(/^HTTP\/1\.1 408 Request Timeout/);
  raw.end();
});

it('closes a connection with two lengths without an answer', async () => {
  for (const lines of [
    ['Content-Length: 1', 'Content-Length: 1'],
    ['Content-Length: 1', 'Transfer-Encoding: chunked'],
    ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'],
  ]) {
    expect(await exchange(served.port, `${head('text', ...lines)}x`)).not.toMatch(/^HTTP\/1\.1 200/);
  }
});

it('ends at the length that the client wrote', async () => {
  expect(await exchange(served.port, `${head('text', 'Content-Length: 2')}abc`)).not.toContain('got 3');
  const raw = await open(served.port);
  raw.send(`${head('text', 'Content-Length: 5')}abc`);
  raw.socket.end();
  expect(await raw.untilClosed()).toBe('');
  raw.end();
});

it('reads bodies of all forms', async () => {
  expect(JSON.parse(await post('twice', '{"a":1}'))).toEqual(['{"a":1}', '{"a":1}', { a: 1 }]);
  expect(JSON.parse(await post('form', new URLSearchParams({ a: '1', __proto__: 'x' })))).toEqual({ a: '1' });
  const form = new FormData();
  form.set('file', new File(['12'], 'f.txt'));
  form.set('name', 'ä');
  expect(JSON.parse(await post('form', form))).toMatchObject({ name: 'ä' });
  expect(await post('blob', new Uint8Array(7))).toBe('7');
  expect(await post('bytes', '')).toBe('0');
  expect(await post('text', '﻿x')).toBe('got 1');
  expect(await post('again', 'x')).toBe('TypeError');
});

it.each(['unread', 'unread-later'])('serves the next request after a body that %s did not read', async (path) => {
  const raw = await open(served.port);
  raw.send(`${head(path, 'Content-Length: 900')}${'x'.repeat(450)}`);
  await raw.reads(/unread$/);
  raw.send(`${'x'.repeat(450)}${head('text', 'Content-Length: 2')}ok`);
  await raw.reads(/got 2$/);
  raw.end();
});

it('streams a body with back-pressure on the client', async () => {
  const bytes = Buffer.alloc(streamBytes, 'x');
  const raw = await open(served.port);
  raw.send(head('stream', `Content-Length: ${bytes.length}`));
  raw.send(bytes);
  let before = -1;
  // the kernel takes what its buffers hold; the client keeps the rest until the handler reads
  await until('the client is stopped', async () => {
    const now = raw.socket.writableLength === 0 ? 0 : raw.socket.bytesWritten;
    const same = now === before && now > 0;
    before = now;
    await new Promise((resolve) => setTimeout(resolve, 50));
    return same;
  });
  expect(raw.socket.writableLength).toBeGreaterThan(0);
  expect(taken).toBe(0);
  go();
  await raw.reads(new RegExp(`streamed ${bytes.length}$`));
  raw.end();
});

it('streams a chunked body, and closes after a stream that the handler leaves', async () => {
  const raw = await open(served.port);
  raw.send(head('stream', 'Transfer-Encoding: chunked') + chunk('x'.repeat(1000)));
  await until('the handler waits', () => taken === 0);
  go();
  await until('the first part arrives', () => taken === 1000);
  raw.send(`${chunk('y')}0\r\n\r\n`);
  await raw.reads(/streamed 1001$/);
  raw.end();
  const half = await open(served.port);
  half.send(head('half', 'Transfer-Encoding: chunked') + chunk('x'));
  expect(await half.untilClosed()).toMatch(/first part$/);
  half.end();
});
