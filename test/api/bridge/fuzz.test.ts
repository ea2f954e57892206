/**
 * Random bytes to a server with an API. PARLEY_BRIDGE_FUZZ is the number of requests of the long form. After each connection
 * the process lives, no answer is malformed, and a well-formed request gets its answer.
 */
import * as fc from 'fast-check';
import { Hono } from 'hono';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { NodeResponse } from '../../../src/api/bridge/response.ts';
import { LightHeaders } from '../../../src/api/bridge/headers.ts';
import { open, serve, type Served } from './served.ts';

const runs = Number(process.env['PARLEY_BRIDGE_FUZZ'] ?? 5000);
const connectionsAtOnce = 50;

const app = new Hono().basePath('/api');
app.onError((error, c) => c.json({ error: error.name }, 500));
app.get('/echo/*', (c) => c.json({ path: c.req.path, query: c.req.query() }));
app.post('/echo', async (c) => c.text(String((await c.req.text()).length)));
app.post('/stream', async (c) => {
  let bytes = 0;
  for await (const part of c.req.raw.body ?? []) bytes += (part as Uint8Array).byteLength;
  return c.text(String(bytes));
});
app.post('/unread', (c) => c.text('unread'));
app.get('/headers', (c) => c.text('x', 200, { 'x-back': c.req.query('v') ?? '' }));

let served: Served;
beforeAll(async () => {
  served = await serve(app.fetch, { bodyTimeoutMs: 200, slowReaderMs: 200 });
});
afterAll(() => served.stop());

const text = fc.string({ unit: 'binary', maxLength: 20 });
const token = fc.constantFrom(
  'Content-Length',
  'Transfer-Encoding',
  'Content-Encoding',
  'Host',
  'Connection',
  'Expect',
);
const value = fc.oneof(
  text,
  fc.constantFrom('0', '5', '-1', '+5', '5, 5', '0x5', '99999999999999999999', 'chunked', 'gzip, chunked', 'close', ''),
);
const line = fc.tuple(fc.oneof(token, text), value).map(([name, written]) => `${name}: ${written}`);
const method = fc.oneof(fc.constantFrom('GET', 'POST', 'HEAD', 'PUT', 'OPTIONS', 'TRACE', 'get', 'ANY'), text);
const target = fc.oneof(
  fc
    .tuple(fc.constantFrom('echo/', 'echo', 'stream', 'unread', 'headers?v=', ''), fc.oneof(text, fc.webPath()))
    .map(([path, rest]) => `/api/${path}${rest}`),
  text,
);
const chunks = fc
  .tuple(fc.constantFrom('5', '0', 'g', 'ffffffff', '-1', '5;x=y'), text)
  .map(([size, bytes]) => `${size}\r\n${bytes}\r\n`);
const request = fc
  .tuple(method, target, fc.boolean(), fc.array(line, { maxLength: 4 }), fc.oneof(text, chunks))
  .map(([name, path, host, lines, body]) =>
    [`${name} ${path} HTTP/1.1`, ...(host ? ['Host: x'] : []), ...lines, '', body].join('\r\n'),
  );
const well = 'GET /api/echo/end HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';

/** Sends in two writes; the client goes after the answer, or at once. */
async function send(bytes: string, cut: number, leave: boolean): Promise<string> {
  const raw = await open(served.port);
  const all = Buffer.from(bytes, 'utf8');
  raw.send(all.subarray(0, cut % (all.length + 1)));
  await new Promise((resolve) => setImmediate(resolve));
  if (!raw.closed()) raw.send(all.subarray(cut % (all.length + 1)));
  if (!leave) raw.send(well);
  raw.socket.end();
  await raw.untilClosed();
  raw.end();
  return raw.text();
}

it(`answers ${runs} random requests, or closes their connections`, { timeout: runs * 20 + 60_000 }, async () => {
  const cases = fc.sample(fc.tuple(request, fc.nat(), fc.boolean()), { numRuns: runs, seed: 20261130 });
  for (let from = 0; from < cases.length; from += connectionsAtOnce) {
    const batch = cases.slice(from, from + connectionsAtOnce);
    const answers = await Promise.all(batch.map((one) => send(...one)));
    for (const [i, got] of answers.entries()) {
      expect(got, JSON.stringify(batch[i])).toMatch(/^(?:$|HTTP\/1\.1 \d{3} )/);
    }
  }
  const response = await fetch(`${served.url}/echo/end?__proto__=1`);
  expect(await response.json()).toEqual(JSON.parse('{"path":"/api/echo/end","query":{"__proto__":"1"}}'));
  expect(served.failures).toEqual([]);
});

it('reads each body in any parts as it was sent', async () => {
  const part = fc.string({ unit: 'grapheme', maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 8 }), fc.boolean(), fc.boolean(), async (parts, chunked, streamed) => {
      const path = streamed ? 'stream' : 'echo';
      const bytes = parts.map((one) => Buffer.from(one));
      const all = Buffer.concat(bytes);
      const raw = await open(served.port);
      const length = chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${all.length}`;
      raw.send(`POST /api/${path} HTTP/1.1\r\nHost: x\r\n${length}\r\n\r\n`);
      for (const one of bytes.filter(({ length: size }) => size > 0)) {
        if (chunked) raw.send(`${one.length.toString(16)}\r\n`);
        raw.send(one);
        if (chunked) raw.send('\r\n');
        await new Promise((resolve) => setImmediate(resolve));
      }
      if (chunked) raw.send('0\r\n\r\n');
      const size = streamed ? all.length : all.toString().length;
      if (all.length > 1000) await raw.reads(/ (413|500) /);
      else await raw.reads(new RegExp(`\r\n\r\n${size}$`));
      raw.send(well);
      await raw.untilClosed();
      raw.end();
    }),
    { numRuns: 200, seed: 1 },
  );
});

function outcome(make: () => Iterable<[string, string]>): unknown {
  try {
    return [...make()].sort();
  } catch (error) {
    return (error as Error).constructor.name;
  }
}

it('accepts and refuses the headers that Node does', () => {
  const header = fc.tuple(
    fc.oneof(fc.constantFrom('a', 'A', 'set-cookie', '__proto__', 'constructor', 'b'), fc.string({ maxLength: 3 })),
    fc.oneof(fc.string({ unit: 'binary', maxLength: 5 }), fc.constantFrom('é', '€', 'a\r\nb', ' a\t', '')),
  );
  fc.assert(
    fc.property(fc.array(header, { maxLength: 6 }), (pairs) => {
      const node = outcome(() => new Headers(pairs));
      expect(outcome(() => new LightHeaders(pairs))).toEqual(node);
    }),
    { numRuns: 5000, seed: 3 },
  );
  expect(NodeResponse).not.toBe(globalThis.Response);
});
