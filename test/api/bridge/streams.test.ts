/** Large answers and streams to clients that read, read slowly, or go. */
import { Hono } from 'hono';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { NodeResponse, type StreamContent } from '../../../src/api/bridge/response.ts';
import { until } from '../../support/until.ts';
import { open, serve, type Served } from './served.ts';

const parts = 500;
const part = Buffer.alloc(64 * 1024, 'x');
const large = Buffer.alloc(64 * 1024 * 1024, 'y');

/** The numbers of parts that were made, and whether the source was ended. */
let made = 0;
let ended = false;
async function* numbered(count: number, failAt = -1): AsyncGenerator<Uint8Array> {
  made = 0;
  ended = false;
  try {
    for (let i = 0; i < count; i++) {
      if (i === failAt) throw new Error('the source failed');
      made++;
      yield part;
      // a source that is always ready would keep the loop from the sockets
      await new Promise((resolve) => setImmediate(resolve));
    }
  } finally {
    ended = true;
  }
}
const content = (source: AsyncIterable<string | Uint8Array>, lastPart?: () => string): StreamContent =>
  lastPart === undefined ? source : { [Symbol.asyncIterator]: () => source[Symbol.asyncIterator](), lastPart };
const answer = (body: StreamContent): Response => new Response(body as unknown as ReadableStream);

let release: () => void = () => {};
let signal: AbortSignal | undefined;
const app = new Hono().basePath('/api');
app.get('/large', (c) => {
  signal = c.req.raw.signal;
  return c.body(large.buffer.slice(large.byteOffset, large.byteOffset + large.length));
});
app.get('/parts', () => answer(content(numbered(parts), () => '{"resume":7}\n')));
app.get('/readable', () => {
  const source = numbered(parts);
  return new Response(
    new ReadableStream({
      async pull(controller) {
        const { done, value } = await source.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await source.return(undefined);
      },
    }),
  );
});
app.get('/node', () => new NodeResponse(new Blob(['a', 'b']).stream()));
app.get('/empty', () => answer(content(numbered(0))));
app.get('/fails-first', () => answer(content(numbered(3, 0))));
app.get('/fails-later', () => answer(content(numbered(3, 1))));
app.get('/live', (c) => {
  signal = c.req.raw.signal;
  return answer(
    (async function* live() {
      try {
        yield '1\n';
        await new Promise<void>((resolve) => {
          release = resolve;
          c.req.raw.signal.addEventListener('abort', () => resolve());
        });
        yield '2\n';
      } finally {
        ended = true;
      }
    })(),
  );
});
app.use('/wrapped/*', async (c, next) => {
  await next();
  c.header('x-after', '1');
});
app.get('/wrapped/parts', () => answer(content(numbered(3))));
app.get('/wrapped/text', (c) => c.text('text'));

let served: Served;
/** With the time limit of slow readers that is the default. */
let patient: Served;
beforeAll(async () => {
  served = await serve(app.fetch, { slowReaderMs: 500 });
  patient = await serve(app.fetch);
});
afterAll(() => {
  served.stop();
  patient.stop();
});

const get = (path: string): string => `GET /api/${path} HTTP/1.1\r\nHost: x\r\n\r\n`;

it.each(['parts', 'readable'])('sends all %s of a stream to a client that reads', async (path) => {
  const response = await fetch(`${served.url}/${path}`);
  let bytes = 0;
  for await (const piece of response.body ?? []) bytes += (piece as Uint8Array).byteLength;
  expect(bytes).toBe(parts * part.length);
  expect(ended).toBe(true);
});

it('sends a large body in parts', async () => {
  const bytes = Buffer.from(await (await fetch(`${served.url}/large`)).arrayBuffer());
  expect(bytes.equals(large)).toBe(true);
});

it('keeps content through middleware that sets headers later', async () => {
  const response = await fetch(`${served.url}/wrapped/parts`);
  expect(response.headers.get('x-after')).toBe('1');
  expect((await response.arrayBuffer()).byteLength).toBe(3 * part.length);
  const text = await fetch(`${served.url}/wrapped/text`);
  expect([text.headers.get('x-after'), text.headers.get('content-length'), await text.text()]).toEqual([
    '1',
    '4',
    'text',
  ]);
});

it('sends streams of Node, and a stream without parts', async () => {
  expect(await (await fetch(`${served.url}/node`)).text()).toBe('ab');
  const empty = await fetch(`${served.url}/empty`);
  expect([empty.status, await empty.text()]).toEqual([200, '']);
});

it('waits for a slow reader, and goes on when the client reads', async () => {
  const raw = await open(patient.port);
  raw.socket.pause();
  raw.send(get('readable'));
  let before = -1;
  await until('the source is stopped', async () => {
    const same = made > 0 && made === before;
    before = made;
    await new Promise((resolve) => setTimeout(resolve, 20));
    return same;
  });
  // the buffers of both sockets, and a piece
  expect(made).toBeLessThan(parts / 2);
  raw.socket.resume();
  await until('the answer ends', () => raw.text().endsWith('\r\n0\r\n\r\n'));
  expect(made).toBe(parts);
  raw.end();
});

it('cuts a slow reader of a stream; the last part says where to resume', async () => {
  const raw = await open(served.port);
  raw.socket.pause();
  raw.send(get('parts'));
  await until('the source is ended', () => ended && made < parts);
  raw.socket.resume();
  await until('the answer ends', () => raw.text().endsWith('\r\n0\r\n\r\n'));
  expect(raw.text().slice(-40)).toMatch(/x\r\nd\r\n{"resume":7}\n\r\n0\r\n\r\n$/);
  expect(made).toBeLessThan(parts / 2);
  raw.end();
});

it('cuts a slow reader of a large body', async () => {
  const raw = await open(served.port);
  raw.socket.pause();
  signal = undefined;
  raw.send(get('large'));
  await until('the server closes the connection', () => signal?.aborted);
  raw.socket.resume();
  expect((await raw.untilClosed()).length).toBeLessThan(large.length);
});

it('answers 500 if a stream fails before its first part, and breaks off later', async () => {
  const first = await fetch(`${served.url}/fails-first`);
  expect(first.status).toBe(500);
  const later = await fetch(`${served.url}/fails-later`);
  expect(later.status).toBe(200);
  await expect(later.arrayBuffer()).rejects.toThrow();
  expect(served.failures.map((error) => (error as Error).message)).toEqual(['the source failed', 'the source failed']);
});

it('sends each part of a live stream at once, and ends the source when the client goes', async () => {
  ended = false;
  const raw = await open(served.port);
  raw.send(get('live'));
  await raw.reads(/1\n/);
  release();
  await raw.reads(/2\n\r\n0\r\n\r\n$/);
  ended = false;
  raw.send(get('live'));
  await raw.reads(/1\n[^]*1\n/);
  raw.end();
  await until('the source is ended', () => ended);
  expect(signal?.aborted).toBe(true);
});

it('starts no stream for HEAD', async () => {
  made = 0;
  const response = await fetch(`${served.url}/parts`, { method: 'HEAD' });
  expect(response.status).toBe(200);
  expect(made).toBe(0);
});
