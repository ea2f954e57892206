/**
 * Clients that request files of the demo and read nothing. The server keeps one copy of a file for all clients, so the only
 * memory for such a client is the buffer of its socket. `npm run build` must have been run.
 */
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

/** Far more than the sockets of a connection hold. */
const most = 100 * 1024 ** 2;

/** Asks again and again in one write, so that the server reads all requests before the client reads an answer. */
async function ask(path: string, times: number, all: number): Promise<{ bytes: number; closed: boolean }> {
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  await new Promise((resolve) => socket.once('connect', resolve));
  let bytes = 0;
  const closed = await new Promise<boolean>((resolve) => {
    // a connection that is cut off with data on the way ends with an error
    socket.on('error', () => resolve(true)).on('close', () => resolve(true));
    socket.on('data', (data) => {
      bytes += data.length;
      if (bytes >= all) resolve(false);
    });
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(times));
  });
  socket.destroy();
  return { bytes, closed };
}

it('a file that a client asks for again and again is not kept for each request', async () => {
  const page = await (await fetch(server.url)).text();
  const path = /\/assets\/[^"]+\.js/.exec(page)?.[0] ?? '';
  const file = await (await fetch(server.url + path)).arrayBuffer();
  expect(file.byteLength).toBeGreaterThan(50_000);
  const times = Math.ceil(most / file.byteLength);
  const { bytes, closed } = await ask(path, times, times * file.byteLength);
  expect(closed).toBe(true);
  expect(bytes).toBeLessThan(most / 2);
  // a client that reads gets the whole file
  expect(Buffer.from(await (await fetch(server.url + path)).arrayBuffer()).equals(Buffer.from(file))).toBe(true);
});

it('small answers that a client does not read are kept to what the sockets hold', async () => {
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  await new Promise((resolve) => socket.once('connect', resolve));
  socket.pause();
  // the kernel takes a part of these requests; the rest is taken only if the server answers on and on
  const requests = 'GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(1_000_000);
  const closed = await new Promise<boolean>((resolve) => {
    socket.on('error', () => resolve(true)).on('close', () => resolve(true));
    socket.write(requests, (error) => resolve(error instanceof Error));
  });
  socket.destroy();
  expect(closed).toBe(true);
}, 60_000);
