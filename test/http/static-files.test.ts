/** Files of the demo, as the build compressed them. `npm run build` must have been run. */
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { request, type IncomingHttpHeaders } from 'node:http';
import { afterAll, expect, it } from 'vitest';
import { startServer } from '../support/server.ts';

const server = await startServer();
afterAll(() => server.stop());

interface Got {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** As `fetch`, but without its own Accept-Encoding and decompression. */
function get(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Got> {
  return new Promise((resolve, reject) => {
    const sent = request(server.url + path, { method, headers, agent: false }, (answer) => {
      const parts: Buffer[] = [];
      answer.on('data', (part: Buffer) => parts.push(part));
      answer.on('end', () =>
        resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(parts) }),
      );
    });
    sent.on('error', reject).end();
  });
}

const page = (await get('/')).body.toString();
const [script, style] = [/\/assets\/[^"]+\.js/, /\/assets\/[^"]+\.css/].map((pattern) => pattern.exec(page)?.[0] ?? '');

it('each text is sent in the compression that the client takes', async () => {
  for (const path of [script, style] as string[]) {
    const plain = await get(path);
    expect(plain.headers).toMatchObject({ vary: 'Accept-Encoding', 'content-length': String(plain.body.length) });
    expect(plain.headers).not.toHaveProperty('content-encoding');
    const brotli = await get(path, { 'accept-encoding': 'gzip, deflate, br, zstd' });
    expect(brotli.headers).toMatchObject({ 'content-encoding': 'br', etag: `W/${plain.headers.etag ?? ''}` });
    expect(brotliDecompressSync(brotli.body).equals(plain.body)).toBe(true);
    const gzip = await get(path, { 'accept-encoding': 'gzip' });
    expect(gzip.headers).toMatchObject({ 'content-encoding': 'gzip', 'content-type': plain.headers['content-type'] });
    expect(gunzipSync(gzip.body).equals(plain.body)).toBe(true);
    expect(brotli.body.length).toBeLessThan(plain.body.length / 3);
    const head = await get(path, { 'accept-encoding': 'br' }, 'HEAD');
    expect(head).toMatchObject({ status: 200, headers: { 'content-length': String(brotli.body.length) } });
    for (const refused of ['br;q=0, gzip;q=0', 'identity', 'zstd', '*;q=0'])
      expect((await get(path, { 'accept-encoding': refused })).headers).not.toHaveProperty('content-encoding');
  }
});

it('a file that the client has already is not sent, in whichever compression the client has it', async () => {
  const { headers } = await get(script ?? '', { 'accept-encoding': 'br' });
  const tag = headers.etag ?? '';
  for (const known of [tag, tag.replace('W/', ''), `"other", ${tag}`]) {
    const again = await get(script ?? '', { 'accept-encoding': 'br', 'if-none-match': known });
    expect(again).toMatchObject({ status: 304, headers: { etag: tag } });
    expect(again.body).toHaveLength(0);
  }
  expect((await get(script ?? '', { 'if-none-match': '"other"' })).status).toBe(200);
});

it('compressed forms have no address of their own', async () => {
  expect((await get(`${script}.br`)).status).toBe(404);
  expect((await get(`${script}.gz`)).status).toBe(404);
});
