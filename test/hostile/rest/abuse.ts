/** Requests that break the rules of HTTP, or end early. The server answers them, or closes their connections. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Random } from '../fuzz/random.ts';
import { HttpPeer, type RawAnswer } from './http-peer.ts';

const head = (r: Random, key: string, ...lines: string[]): string =>
  [
    `POST /api/v1/${r.pick(['publish', 'rooms', 'keys', 'auth/guest', 'none'])} HTTP/1.1`,
    'Host: localhost',
    key,
    ...lines,
    '',
    '',
  ].join('\r\n');
const json = 'Content-Type: application/json';

type Abuse = (r: Random, peer: HttpPeer, key: string) => Promise<RawAnswer | undefined>;

/** A length that is too great, and a client that goes. */
async function shortBody(r: Random, peer: HttpPeer, key: string): Promise<undefined> {
  peer.write(head(r, key, json, `Content-Length: ${100 + r.int(1_000_000)}`) + '{"messages":[');
  await peer.connected();
  if (r.chance(0.5)) await delay(r.int(20));
  if (r.chance(0.5)) peer.reset();
  else peer.close();
  return undefined;
}

/** A length that is too small: the rest is no request. */
async function longBody(r: Random, peer: HttpPeer, key: string): Promise<RawAnswer | undefined> {
  peer.write(head(r, key, json, 'Content-Length: 2') + '{}' + r.pick(['{"x":1}', '\r\n\r\n', 'GARBAGE', '\0\0\0\0']));
  const answer = await peer.answer('POST');
  peer.close();
  return answer;
}

async function contradiction(r: Random, peer: HttpPeer, key: string): Promise<RawAnswer | undefined> {
  const lines = r.pick([
    ['Content-Length: 2', 'Content-Length: 3'],
    ['Content-Length: 2', 'Transfer-Encoding: chunked'],
    ['Content-Length: -1'],
    ['Content-Length: 1e3'],
    ['Content-Length: 99999999999999999999'],
    ['Transfer-Encoding: gzip, chunked'],
    // uWS waits for the rest of such a line, and closes a silent connection after 10 s
    ['X-Request-Id: \u0001', 'Content-Length: 2'],
  ]);
  peer.write(head(r, key, json, ...lines) + '2\r\n{}\r\n0\r\n\r\n');
  await peer.connected();
  const answer = await Promise.race([peer.answer('POST'), delay(300, undefined)]);
  peer.close();
  return answer;
}

/** More than the greatest body, by its length or in chunks. */
async function tooLarge(r: Random, peer: HttpPeer, key: string): Promise<RawAnswer | undefined> {
  peer.write(head(r, key, json, `Content-Length: ${4 * 1024 * 1024 + 1 + r.int(1000)}`));
  const answer = await peer.answer('POST');
  peer.close();
  return answer;
}

/** A few bytes of a body at a time; then the whole body, or the end. */
async function slowBody(r: Random, peer: HttpPeer, key: string): Promise<RawAnswer | undefined> {
  const body = '{"messages":[]}';
  peer.write(head(r, key, json, `Content-Length: ${body.length}`));
  for (const letter of body.slice(0, 5 + r.int(10))) {
    peer.write(letter);
    await delay(r.int(6));
  }
  peer.close();
  return undefined;
}

/** Goes while the server works on the answer. */
async function impatient(r: Random, peer: HttpPeer, key: string): Promise<undefined> {
  const path = r.pick(['/openapi.json', '/docs', '/rooms/fuzz-0/messages?limit=100', '/search?query=fuzz']);
  peer.write(`GET /api/v1${path} HTTP/1.1\r\nHost: localhost\r\n${key}\r\nParley-User: fuzz-1\r\n\r\n`);
  await peer.connected();
  if (r.chance(0.5)) await new Promise(setImmediate);
  peer.reset();
  return undefined;
}

/** A stream whose client goes at some time. */
async function droppedStream(r: Random, peer: HttpPeer, key: string): Promise<undefined> {
  const query = r.pick(['follow=true', 'follow=true&after=0', 'follow=true&after=0&rev=0']);
  peer.write(
    `GET /api/v1/rooms/fuzz-0/messages?${query} HTTP/1.1\r\nHost: localhost\r\n${key}\r\nParley-User: fuzz-1\r\n\r\n`,
  );
  await peer.connected();
  await delay(r.int(40));
  if (r.chance(0.5)) peer.reset();
  else peer.close();
  return undefined;
}

/** Line breaks in a target and in values that the server may give back. */
async function injection(r: Random, peer: HttpPeer, key: string): Promise<RawAnswer | undefined> {
  const broken = r.pick(['%0d%0aX-Injected:%201', '%0aX-Injected:1', '\rX-Injected: 1', '\u0001', '"><script>']);
  const place = r.pick([`/rooms/${broken}`, `/rooms?cursor=${broken}`, `/rooms?${broken}=1`, `/${broken}`]);
  peer.write(
    `GET /api/v1${place} HTTP/1.1\r\nHost: localhost\r\n${key}\r\nX-Request-Id: ${broken}\r\nConnection: close\r\n\r\n`,
  );
  const answer = await Promise.race([peer.answer('GET'), delay(1000, undefined)]);
  peer.close();
  if (answer?.headers.has('x-injected') === true) throw new Error(`an injected header came back: ${answer.head}`);
  return answer;
}

const abuses: readonly Abuse[] = [
  shortBody,
  longBody,
  contradiction,
  tooLarge,
  slowBody,
  impatient,
  droppedStream,
  injection,
];

/** @returns the outcome, for the tally @throws {Error} for an answer that is not right */
export async function abuse(r: Random, port: number, address: string, key: string): Promise<string> {
  const run = r.pick(abuses);
  const peer = new HttpPeer(port, address);
  const answer = await run(r, peer, key);
  peer.close();
  if (answer === undefined) return `${run.name}, closed`;
  const { status, head: lines, body } = answer;
  // 505 is an answer of the parser of uWS to a broken first line
  if (status >= 500 && status !== 505) throw new Error(`${run.name}: ${lines}\n${body}`);
  if (run === tooLarge && status !== 413) throw new Error(`a body over the limit has the status ${status}`);
  return `${run.name}, ${status}`;
}
