/** Exchanges over HTTP: bad requests that are answered, bytes that are no request, and long-polling misused. */
import { textFrame, upgradeRequest } from '../../support/ws-frame.ts';
import type { Exchange } from './exchange.ts';
import { command, value } from './json.ts';
import { Peer } from './peer.ts';
import type { Random } from './random.ts';

const methods = ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'];
const queries = [
  'EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA',
  'EIO=4&transport=websocket',
  'EIO=3&transport=polling',
  '',
  'EIO=4',
  'EIO=4&transport=__proto__',
  'EIO=4&EIO=3&transport=polling&sid=',
  '%E0%A4%A&=&&&',
  'transport=polling',
  'EIO=4&transport=polling&sid=__proto__',
  'EIO=4&transport=polling&sid=%00',
  'EIO=4&transport=websocket&sid=x',
];
const strangeHeaders = [
  'Upgrade: websocket',
  'Upgrade: h2c',
  'Sec-WebSocket-Version: 8',
  'Origin: null',
  'Origin: http://evil.example',
  'X-Forwarded-For: 1.2.3.4, ::1, x',
  'Authorization: Bearer x',
  'Connection: keep-alive',
  'Cookie: a=b',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Extensions: permessage-deflate; x=1',
];

function request(method: string, path: string, headers: readonly string[], body: Buffer | string = ''): Buffer {
  const bytes = Buffer.from(body);
  const length = method === 'GET' && bytes.length === 0 ? [] : [`Content-Length: ${bytes.length}`];
  return Buffer.concat([
    Buffer.from(`${[`${method} ${path} HTTP/1.1`, 'Host: localhost', ...headers, ...length].join('\r\n')}\r\n\r\n`),
    bytes,
  ]);
}

function headersOf(r: Random): string[] {
  const headers = Array.from({ length: r.int(4) }, () => r.pick(strangeHeaders));
  if (r.chance(0.05)) headers.push(`X-Long: ${'x'.repeat(r.int(2500))}`);
  return headers;
}

/** @returns the status of the next answer; undefined if the connection ended first. */
async function answered(peer: Peer, bytes: Buffer): Promise<number | undefined> {
  const before = peer.statuses.length;
  peer.write(bytes);
  const came = await peer.until('the request is answered', () => peer.statuses.length > before);
  return came ? peer.statuses.at(-1) : undefined;
}

/** Requests that are HTTP, but not to be granted: each has its answer, on one connection as long as it lasts. */
export async function badRequests(exchange: Exchange): Promise<void> {
  const { r, tally } = exchange;
  const peer = new Peer(exchange.port, exchange.address);
  for (let n = 0, count = 4 + r.int(28); n < count; n++) {
    const path = r.chance(0.9) ? '/socket.io/' : r.pick(['/api/v1/none', '/socket.io', '/..%2f', '/%', '/metricsx']);
    const body = r.chance(0.3) ? value(r) : '';
    const status = await answered(peer, request(r.pick(methods), `${path}?${r.pick(queries)}`, headersOf(r), body));
    if (status !== undefined && status >= 500 && status !== 503) throw new Error(`answered ${status}; ${peer.sent()}`);
    tally(status === undefined ? 'request, dropped' : `request, answered ${status}`);
    if (status === undefined || peer.upgraded) break;
  }
  await peer.finish();
}

/** Bytes that are no request, or the half of one. */
export async function brokenRequest(exchange: Exchange): Promise<void> {
  const { r, tally } = exchange;
  const peer = new Peer(exchange.port, exchange.address);
  const path = `/socket.io/?${r.pick(queries)}`;
  const whole = request(r.pick(methods), path, headersOf(r), value(r));
  const chunked = `POST /api/v1/auth/guest HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`;
  const bytes = r.pick([
    () => whole.subarray(0, r.int(whole.length)),
    () => r.bytes(r.int(400)),
    () => Buffer.from(`GET ${path} HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(4000 + r.int(70_000))}\r\n\r\n`),
    () => Buffer.from(`GET ${path} HTTP/1.1\r\n${'A: b\r\n'.repeat(20 + r.int(500))}\r\n`),
    () =>
      Buffer.from(`${chunked}${r.pick(['ffffffffffffffffff', '-1', 'zz', '5;x=y', '0x5', '7fffffff', ''])}\r\nhello`),
    () =>
      Buffer.from(
        `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${r.pick(['-1', '1e9', '99999999999999999999', '5, 6', '5\r\nContent-Length: 6'])}\r\n\r\nhello`,
      ),
    () => Buffer.concat([whole, whole, whole]),
    () =>
      Buffer.from(
        upgradeRequest(path).replace(/Version: 13|HTTP\/1.1|GET|websocket|Host/, (part) =>
          r.pick([part + part, '', '\0', part.toLowerCase()]),
        ),
      ),
    () => {
      const altered = Buffer.from(whole);
      for (let times = 1 + r.int(4); times > 0; times--) altered[r.int(altered.length)] = r.int(256);
      return altered;
    },
  ])();
  const cut = r.int(bytes.length + 1);
  peer.write(bytes.subarray(0, cut));
  if (r.chance(0.5)) await new Promise(setImmediate);
  peer.write(bytes.subarray(cut));
  if (r.chance(0.2)) {
    await peer.connected();
    peer.reset();
  } else {
    await peer.finish();
  }
  tally(`bytes, ${peer.ended ?? 'reset'}`);
}

const separator = '\x1e';

function payload(r: Random, token: string): string {
  const packets = Array.from({ length: 1 + r.int(4) }, () =>
    r.pick([
      () => `42${r.int(99)}${command(r)}`,
      () => `40${r.chance(0.5) ? JSON.stringify({ token }) : value(r)}`,
      () => '3',
      () => `b${r.bytes(r.int(30)).toString('base64')}`,
      () => r.pick(['', 'b', 'b!', 'b=', 'bA', 'b====', '9', '1', '2', '6', '41', 'hello', '4', '5']),
      () => `451-["signal",{"_placeholder":true,"num":0}]${separator}b${r.bytes(5).toString('base64')}`,
      () => r.bytes(r.int(30)).toString('latin1'),
    ])(),
  );
  return packets.join(r.chance(0.95) ? separator : r.pick(['', separator + separator, '\n']));
}

/** A session by long-polling, and everything that may be done wrong with one. */
export async function pollingSession(exchange: Exchange): Promise<void> {
  const { r, token, tally } = exchange;
  const open = () => new Peer(exchange.port, exchange.address);
  const [main, other] = [open(), open()];
  const peers = [main, other];
  const base = '/socket.io/?EIO=4&transport=polling';
  await answered(main, request('GET', `${base}${r.chance(0.2) ? '&parser=msgpack' : ''}`, []));
  const sid = /"sid":"([^"]+)"/.exec(main.lastBody)?.[1];
  if (sid === undefined) throw new Error(`no session: ${main.statuses.join()} ${main.lastBody}`);
  const path = `${base}&sid=${sid}`;
  if (r.chance(0.7)) await answered(main, request('POST', path, [], `40${JSON.stringify({ token })}`));
  for (let n = 0, count = 2 + r.int(10); n < count; n++) {
    if (main.ended !== undefined) break;
    switch (r.int(9)) {
      case 0: // two GETs at once
        other.write(request('GET', path, []));
        main.write(request('GET', path, []));
        break;
      case 1: {
        // a POST within a POST
        const body = request('POST', path, [], payload(r, token));
        other.write(body.subarray(0, body.length - 1 - r.int(20)));
        await answered(main, request('POST', path, [], '3'));
        break;
      }
      case 2: {
        // gone while its GET waits, or its POST comes
        const gone = open();
        const bytes = r.chance(0.5) ? request('GET', path, []) : request('POST', path, [], payload(r, token));
        gone.write(bytes.subarray(0, r.chance(0.5) ? bytes.length : r.int(bytes.length)));
        await gone.connected();
        if (r.chance(0.5)) gone.reset();
        else await gone.finish();
        break;
      }
      case 3: {
        // a candidate that does what it likes
        const candidate = open();
        peers.push(candidate);
        candidate.write(upgradeRequest(path.replace('polling', 'websocket')));
        await candidate.until('the upgrade is answered', () => candidate.statuses.length > 0);
        for (const step of [r.pick(['2probe', '2probe', '5', 'x']), r.pick(['5', '5', '2probe', '4'])]) {
          candidate.write(textFrame(step));
        }
        break;
      }
      case 4: // chunks, true and false
        other.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`);
        other.write(
          r.pick(['1\r\n3\r\n0\r\n\r\n', 'ffffffff\r\n3', '5\r\n3\r\n', 'x\r\n', '11000\r\n' + '4'.repeat(70_000)]),
        );
        break;
      case 5: // more than a frame may have
        other.write(request('POST', path, [], '4'.repeat(65_000 + r.int(9000))));
        break;
      default:
        await answered(main, request('POST', path, [], payload(r, token)));
    }
    tally('long-polling request');
  }
  if (r.chance(0.5)) main.write(request('POST', path, [], '1'));
  // a GET that waits ends its session with its connection
  else main.write(request('GET', path, []));
  await Promise.all(peers.map((peer) => peer.finish()));
  tally(`long-polling, ${main.ended ?? ''}`);
}
