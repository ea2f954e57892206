/** Clients that go at every stage of a request. The server serves the next client each time. */
import { Hono } from 'hono';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { until } from '../../support/until.ts';
import { open, serve, type Raw, type Served } from './served.ts';

let stages: string[] = [];
let release: () => void = () => {};
const gate = (): Promise<void> => new Promise((resolve) => (release = resolve));
const app = new Hono().basePath('/api');
app.onError((error, c) => {
  stages.push(`error ${error.name}`);
  return c.text('error', 500);
});
app.post('/read', async (c) => {
  stages.push('reading');
  await c.req.text();
  return c.text('read');
});
app.post('/stream', async (c) => {
  stages.push('reading');
  for await (const part of c.req.raw.body ?? []) stages.push(`part ${(part as Uint8Array).byteLength}`);
  return c.text('streamed');
});
app.get('/wait', async (c) => {
  const { signal } = c.req.raw;
  signal.addEventListener('abort', () => stages.push('signal'));
  stages.push('waiting');
  await gate();
  stages.push(`released, aborted ${signal.aborted}`);
  return c.text('late');
});
app.get('/late-signal', async (c) => {
  stages.push('waiting');
  await gate();
  stages.push(`signal ${c.req.raw.signal.aborted}`);
  return c.text('late');
});
app.get('/late-throw', async () => {
  stages.push('waiting');
  await gate();
  throw new Error('late');
});
app.get('/late-stream', async () => {
  stages.push('waiting');
  await gate();
  return new Response(new ReadableStream({ cancel: () => void stages.push('cancelled') }));
});
app.get('/large', async (c) => {
  stages.push('waiting');
  await Promise.resolve();
  return c.body(new ArrayBuffer(64 * 1024 * 1024));
});
const cancel = (): void => void stages.push('cancelled');
const pull = (controller: ReadableStreamDefaultController): void => controller.enqueue(Buffer.alloc(100_000));
app.get('/endless', () => new Response(new ReadableStream({ pull, cancel })));
app.get('/silent', () => new Response(new ReadableStream({ cancel: () => void stages.push('cancelled') })));
app.get('/ok', (c) => c.text('ok'));

let served: Served;
beforeAll(async () => {
  served = await serve(app.fetch);
});
afterAll(() => served.stop());

const post = (path: string): string => `POST /api/${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n`;
const get = (path: string): string => `GET /api/${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
const stage = (name: string): Promise<boolean> =>
  until(
    () => `${name} among ${stages.join(', ')}`,
    () => stages.includes(name),
  );

/** Both ways of a client to go. */
const ways: readonly (readonly [string, (raw: Raw) => void])[] = [
  ['a reset', (raw) => raw.socket.resetAndDestroy()],
  ['a FIN', (raw) => void raw.socket.end()],
];

interface Case {
  readonly title: string;
  readonly bytes: string;
  /** Before the client goes. */
  readonly reached?: string;
  readonly afterwards?: string;
  readonly released?: string;
}

const cases: readonly Case[] = [
  { title: 'before a byte', bytes: '' },
  { title: 'within the head', bytes: 'GET /api/wait HTTP/1.1\r\nHo' },
  { title: 'before the body', bytes: post('read'), reached: 'reading', afterwards: 'error AbortError' },
  { title: 'within the body', bytes: `${post('read')}x`, reached: 'reading', afterwards: 'error AbortError' },
  { title: 'within a streamed body', bytes: `${post('stream')}xx`, reached: 'part 2', afterwards: 'error AbortError' },
  {
    title: 'while the handler works',
    bytes: get('wait'),
    reached: 'waiting',
    afterwards: 'signal',
    released: 'released, aborted true',
  },
  {
    title: 'before the handler takes the signal',
    bytes: get('late-signal'),
    reached: 'waiting',
    released: 'signal true',
  },
  { title: 'before the handler throws', bytes: get('late-throw'), reached: 'waiting', released: 'error Error' },
  { title: 'before a stream starts', bytes: get('late-stream'), reached: 'waiting', released: 'cancelled' },
  { title: 'before the first part', bytes: get('silent'), afterwards: 'cancelled' },
  { title: 'within a large answer', bytes: get('large'), reached: 'waiting' },
  { title: 'within a stream', bytes: get('endless'), afterwards: 'cancelled' },
];

const all = cases.flatMap((one) => ways.map(([way, go]) => ({ ...one, way, go })));
it.each(all)('$way $title', async ({ bytes, reached, afterwards, released, go }) => {
  stages = [];
  const raw = await open(served.port);
  raw.socket.pause();
  raw.send(bytes);
  if (reached !== undefined) await stage(reached);
  // a request that shows nothing has come when the server has answered one on a later connection
  expect(await (await fetch(`${served.url}/ok`)).text()).toBe('ok');
  go(raw);
  if (released !== undefined && afterwards === undefined) {
    expect(await (await fetch(`${served.url}/ok`)).text()).toBe('ok');
  }
  if (afterwards !== undefined) await stage(afterwards);
  release();
  if (released !== undefined) await stage(released);
  expect(await (await fetch(`${served.url}/ok`)).text()).toBe('ok');
  expect(served.failures).toEqual([]);
  raw.end();
});
