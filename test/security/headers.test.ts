/** The headers of every answer of the port, and requests whose end is not certain. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openRawHttp, raw } from '../protocol/http.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

const directives = ['default-src', 'base-uri', 'form-action', 'frame-ancestors'];
const guest = '/api/v1/auth/guest';
const polling = '/socket.io/?EIO=4&transport=polling';

async function routes(): Promise<[method: string, path: string, status: number][]> {
  const page = await (await fetch(server.url)).text();
  const assets = [...page.matchAll(/(?:src|href)="\.?(\/[^"]+)"/g)].map(([, path = '']) => path);
  expect(assets.length).toBeGreaterThan(2);
  return [
    ['GET', '/', 200],
    ['HEAD', '/', 200],
    ...assets.map((path): [string, string, number] => ['GET', path, 200]),
    ['GET', '/health', 200],
    ['GET', '/ready', 200],
    ['GET', '/metrics', 200],
    ['POST', '/metrics', 405],
    ['GET', '/nowhere', 404],
    ['POST', guest, 403],
    ['OPTIONS', guest, 204],
    ['GET', guest, 404],
    ['GET', polling, 200],
    ['OPTIONS', polling, 204],
    ['HEAD', polling, 400],
    ['GET', '/socket.io/', 400],
    ['POST', `${polling}&sid=unknown`, 400],
  ];
}

it('every answer has a policy, is not guessed at, and names no software', async () => {
  for (const [method, path, status] of await routes()) {
    const answer = await fetch(server.url + path, { method });
    await answer.arrayBuffer();
    const of = (name: string): string => answer.headers.get(name) ?? '';
    const policy = of('content-security-policy');
    expect([method, path, answer.status]).toEqual([method, path, status]);
    for (const directive of directives) expect([path, policy]).toEqual([path, expect.stringContaining(directive)]);
    expect([path, of('x-content-type-options')]).toEqual([path, 'nosniff']);
    expect([path, of('referrer-policy')]).toEqual([path, 'no-referrer']);
    const names = [...answer.headers.keys()];
    expect([path, names.filter((name) => /^(server|x-powered-by|via|uwebsockets)$/.test(name))]).toEqual([path, []]);
    expect([path, /unsafe|\*/.test(policy)]).toEqual([path, false]);
  }
});

describe('a request with two lengths is refused, and nothing behind it is a request:', () => {
  const behind = 'GET /health HTTP/1.1\r\nHost: x\r\n\r\n';
  it.each([
    ['two Content-Lengths', 'Content-Length: 2\r\nContent-Length: 40\r\n'],
    ['two Content-Lengths, the first one the larger', 'Content-Length: 40\r\nContent-Length: 2\r\n'],
    ['the same twice', 'Content-Length: 2\r\nContent-Length: 2\r\n'],
    ['a length and chunks', 'Content-Length: 2\r\nTransfer-Encoding: chunked\r\n'],
    ['two codings', 'Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n'],
    ['a list of lengths', 'Content-Length: 2, 40\r\n'],
  ])('%s', async (_name, lengths) => {
    for (const path of [guest, polling, '/metrics', '/nowhere']) {
      const text = await raw(server.url, `POST ${path} HTTP/1.1\r\nHost: x\r\n${lengths}\r\n{}${behind}`);
      // closed without an answer, or uWS's own 400
      expect([path, text.match(/HTTP\/1\.1 \d+/g) ?? []]).toEqual([
        path,
        expect.not.arrayContaining([expect.stringMatching(/ [1235]/)]),
      ]);
      expect((text.match(/HTTP\/1\.1/g) ?? []).length).toBeLessThan(2);
    }
  });

  it('one length is taken, and what follows is the next request', async () => {
    const peer = openRawHttp(server.url);
    const one = 'Content-Length: 2\r\n\r\n{}';
    await peer.write(
      `POST ${guest} HTTP/1.1\r\nHost: x\r\n${one}GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
    );
    setTimeout(() => peer.destroy(), 1000);
    expect((await peer.answer).match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 403', 'HTTP/1.1 200']);
  });
});
