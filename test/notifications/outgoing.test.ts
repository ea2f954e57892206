/** Requests to chosen addresses, against receivers on several addresses of this machine. */
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import {
  Outgoing,
  OutgoingFailed,
  OutgoingRefused,
  type OutgoingSettings,
  type Resolve,
} from '../../src/notifications/outgoing.ts';
import { closedGate } from '../support/gate.ts';
import { selfSigned } from '../support/certificate.ts';

/** The receivers are on 127.0.0.2, which the settings allow. 127.0.0.1 is a service that nobody may reach. */
const allowed = '127.0.0.2';
const settings: OutgoingSettings = { allowedNetworks: [`${allowed}/32`], timeoutMs: 5000, maxAnswerBytes: 64 * 1024 };

async function listen(server: Server, host = allowed): Promise<number> {
  server.listen(0, host);
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

const receiver = (listener: RequestListener, host?: string): Promise<number> => listen(createServer(listener), host);
const post = (outgoing: Outgoing, url: string) => outgoing.post(url, '{"a":"é"}', { 'x-test': 'yes' });

it('sends the body and the headers, and answers with status, headers and body', async () => {
  const port = await receiver((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      response.setHeader('x-seen', String(request.headers['x-test']));
      response.writeHead(202).end(`${request.method} ${request.url} ${Buffer.concat(parts).toString()}`);
    });
  });
  const answer = await post(new Outgoing(settings), `http://${allowed}:${port}/in?x=1`);
  expect(answer).toMatchObject({ status: 202, headers: { 'x-seen': 'yes' }, body: 'POST /in?x=1 {"a":"é"}' });
});

it.each([
  ['loopback', '127.0.0.1'],
  ['loopback as a decimal number', '2130706433'],
  ['loopback in octal', '0177.0.0.1'],
  ['loopback in hexadecimal', '0x7f.1'],
  ['loopback in short', '127.1'],
  ['loopback of IPv6', '[::1]'],
  ['loopback mapped into IPv6', '[::ffff:127.0.0.1]'],
  ['loopback mapped into IPv6, in hexadecimal', '[::ffff:7f00:1]'],
  ['any address', '0.0.0.0'],
  ['any address of IPv6', '[::]'],
  ['a private network', '10.0.0.1'],
  ['another private network', '172.16.0.1'],
  ['a third private network', '192.168.1.1'],
  ['the metadata of a cloud', '169.254.169.254'],
  ['carrier-grade NAT', '100.64.0.1'],
  ['multicast', '224.0.0.1'],
  ['broadcast', '255.255.255.255'],
  ['a unique local address', '[fd00::1]'],
  ['a link-local address', '[fe80::1]'],
  ['NAT64 of a private address', '[64:ff9b::a00:1]'],
  ['6to4 of a private address', '[2002:a00:1::]'],
])('refuses %s', async (_name, host) => {
  let connections = 0;
  const server = createServer().on('connection', () => connections++);
  const port = await listen(server, '127.0.0.1');
  await expect(post(new Outgoing({ ...settings, allowedNetworks: [] }), `https://${host}:${port}/`)).rejects.toThrow(
    OutgoingRefused,
  );
  expect(connections).toBe(0);
});

it('resolves a name once, and connects to no address that was not checked', async () => {
  let secret = 0;
  const port = await receiver((_request, response) => response.end('public'));
  const inner = createServer((_request, response) => response.end('secret')).on('connection', () => secret++);
  // an address of its own: another process may have the port on 127.0.0.1
  const forbidden = '127.0.0.77';
  inner.listen(port, forbidden);
  await once(inner, 'listening');
  onTestFinished(() => void inner.close());
  const answers = [allowed, forbidden];
  let questions = 0;
  const rebinding: Resolve = () => Promise.resolve([{ address: answers[questions++] ?? forbidden, family: 4 }]);
  const outgoing = new Outgoing(settings, rebinding);
  expect((await post(outgoing, `http://rebind.test:${port}/`)).body).toBe('public');
  expect(questions).toBe(1);
  await expect(post(outgoing, `http://rebind.test:${port}/`)).rejects.toThrow(OutgoingRefused);
  expect([questions, secret]).toEqual([2, 0]);
});

const both: Resolve = () =>
  Promise.resolve([
    { address: allowed, family: 4 },
    { address: '127.0.0.1', family: 4 },
  ]);

it('refuses a name with a private address among its addresses', async () => {
  await expect(post(new Outgoing(settings, both), 'https://both.test/')).rejects.toThrow(OutgoingRefused);
  await expect(post(new Outgoing(settings, both), 'http://both.test/')).rejects.toThrow(OutgoingRefused);
});

it.each([
  'ftp://127.0.0.2/',
  'https://user:password@127.0.0.2/',
  'https://127.0.0.2/#part',
  'not a url',
  `https://127.0.0.2/${'x'.repeat(2049 - 'https://127.0.0.2/'.length)}`,
])('refuses the form of %s', (url) => {
  expect(() => new Outgoing(settings).check(url)).toThrow(OutgoingRefused);
});

it('accepts a URL of the longest length, and http only with networks of the settings', () => {
  const longest = `https://127.0.0.2/${'x'.repeat(2048 - 'https://127.0.0.2/'.length)}`;
  expect(new Outgoing(settings).check(longest).href).toBe(longest);
  expect(() => new Outgoing({ ...settings, allowedNetworks: [] }).check('http://example.com/')).toThrow(/https/);
});

it('follows no redirect', async () => {
  let followed = 0;
  const target = await receiver((_request, response) => {
    followed++;
    response.end();
  });
  const port = await receiver((_request, response) =>
    response.writeHead(302, { location: `http://${allowed}:${target}/` }).end(),
  );
  expect((await post(new Outgoing(settings), `http://${allowed}:${port}/`)).status).toBe(302);
  expect(followed).toBe(0);
});

it('reads at most 64 KiB of an answer, and ends the connection', async () => {
  const closed = closedGate();
  const port = await receiver((request, response) => {
    request.socket.on('close', () => closed.open());
    response.on('error', () => {});
    const more = (): void => {
      while (response.write(Buffer.alloc(16 * 1024, 'x')));
      response.once('drain', more);
    };
    more();
  });
  const answer = await post(new Outgoing(settings), `http://${allowed}:${port}/`);
  expect([answer.status, answer.body.length]).toEqual([200, 64 * 1024]);
  await closed.opened;
});

it.each([
  ['no answer', () => {}],
  [
    'a body that does not end',
    (_request, response) => {
      response.writeHead(200);
      response.write('x');
    },
  ],
] satisfies [string, RequestListener][])(
  'fails after its time with %s, and ends the connection',
  async (_name, listener) => {
    const closed = closedGate();
    const port = await receiver((request, response) => {
      request.socket.on('close', () => closed.open());
      listener(request, response);
    });
    await expect(post(new Outgoing({ ...settings, timeoutMs: 200 }), `http://${allowed}:${port}/`)).rejects.toThrow(
      OutgoingFailed,
    );
    await closed.opened;
  },
);

it('fails where nobody listens, and where the caller ends the request', async () => {
  const port = await receiver(() => {});
  const stop = new AbortController();
  const url = `http://${allowed}:${port}/`;
  const sent = new Outgoing(settings).post(url, '', {}, stop.signal);
  stop.abort();
  await expect(sent).rejects.toThrow(OutgoingFailed);
  await expect(post(new Outgoing(settings), `http://${allowed}:1/`)).rejects.toThrow(/ECONNREFUSED/);
});

const resolve: Resolve = () => Promise.resolve([{ address: allowed, family: 4 }]);

it('fails with a certificate that nobody trusts, and sends nothing', async () => {
  let requests = 0;
  const server = createTlsServer(selfSigned('DNS:receiver.test'), (_request, response) => {
    requests++;
    response.end();
  });
  const port = await listen(server as unknown as Server);
  await expect(post(new Outgoing(settings, resolve), `https://receiver.test:${port}/`)).rejects.toThrow(
    /self-signed certificate/,
  );
  expect(requests).toBe(0);
});
