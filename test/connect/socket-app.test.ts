/** The contract of connect/socket-app.ts, with an application that notes its calls. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SocketApp } from '../../src/connect/socket-app.ts';
import { Sockets } from '../../src/connect/sockets.ts';
import type { Connection } from '../../src/hub/connection.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { packArgs } from '../../src/transport/socketio/msgpack.ts';
import { silentLog } from '../support/messaging.ts';

let calls: string[];
let admits: boolean;
let sockets: Sockets;

const app: SocketApp = {
  namespaces: new Set(['/']),
  admission: {
    received: (_, bytes) => void calls.push(`received ${bytes}`),
    admit(_, packet) {
      calls.push(`admit ${packet.type}`);
      return admits;
    },
    oversized: (_, ack) => void calls.push(`oversized ${ack}`),
    unexpected: (_, packet) => void calls.push(`unexpected ${packet}`),
  },
  events: { run: (_, { args: [name, ...args], ack }) => void calls.push(`run ${name} ${args.length} ${ack}`) },
  connect: () => void calls.push('connect'),
  disconnected: () => void calls.push('disconnected'),
  ended: () => void calls.push('ended'),
};

beforeEach(() => {
  calls = [];
  admits = true;
  const settings = { connectTimeoutMs: 60_000, commandBurst: 1, tokenInUrl: false };
  sockets = new Sockets(settings, app, { metrics: new Metrics(), log: silentLog });
});
afterEach(() => sockets.stop());

function open(parser: 'json' | 'msgpack' = 'json'): Connection {
  const address = { address: '127.0.0.1', network: { key: '127.0.0.1', connections: 1, unsent: 0, latest: undefined } };
  const query = new URLSearchParams({ parser });
  const connection = sockets.create({ address, now: 0, query, authorization: '', userAgent: '' });
  connection.state = 'ready';
  return connection;
}

const hole = '{"_placeholder":true,"num":0}';
const text = (connection: Connection, frame: string): boolean => sockets.text(connection, Buffer.from(frame));

describe('each event passes admission exactly once', () => {
  it.each([
    ['42["x",1]', ''],
    ['427["x",1]', '7'],
    ['42/,7 ["x",1]', '7'],
    ['450-7["x",1]', '7'],
  ])('as text: %s', (frame, ack) => {
    expect(text(open(), frame)).toBe(true);
    expect(calls).toEqual([`received ${frame.length}`, 'admit event', `run x 1 ${ack}`]);
  });

  it('with attachments, once they are complete', () => {
    const connection = open();
    expect(text(connection, `451-7["x",${hole}]`)).toBe(true);
    expect(calls).toEqual(['received 40']);
    expect(sockets.binary(connection, Buffer.from('abc'))).toBe(true);
    expect(calls.slice(1)).toEqual(['received 3', 'admit event', 'run x 1 7']);
  });

  it('as msgpack', () => {
    const frame = Buffer.from(packArgs('event', '/', '7', ['x', 1]));
    expect(sockets.binary(open('msgpack'), frame)).toBe(true);
    expect(calls).toEqual([`received ${frame.length}`, 'admit event', 'run x 1 7']);
  });
});

it('text is refused before its JSON is parsed', () => {
  const broken = '427["x"';
  expect(text(open(), broken)).toBe(false);
  admits = false;
  calls = [];
  expect(text(open(), broken)).toBe(true);
  expect(calls).toEqual(['received 7', 'admit event']);
});

it('a refused packet of another form is dropped', () => {
  admits = false;
  const connection = open();
  text(connection, `451-7["x",${hole}]`);
  expect(sockets.binary(connection, Buffer.from('abc'))).toBe(true);
  expect(sockets.binary(open('msgpack'), Buffer.from(packArgs('event', '/', '7', ['x'])))).toBe(true);
  expect(calls.filter((call) => !call.startsWith('received'))).toEqual(['admit event', 'admit event']);
});

it.each([
  ['437[]', ['admit ack', 'unexpected ack']],
  ['40/admin,', ['unexpected connect']],
  ['41', ['disconnected']],
])('%s reaches the application as %j', (frame, expected) => {
  expect(text(open(), frame)).toBe(true);
  expect(calls.slice(1)).toEqual(expected);
});

it.each(['42/admin,["x"]', '43/admin,7[]', '41/admin', '40', '44{}', '4', '42x', '452["x"]'])(
  '%s is a violation, which the application does not see',
  (frame) => {
    expect(text(open(), frame)).toBe(false);
    expect(calls.slice(1)).toEqual([]);
  },
);

it('a frame over the limit is reported with its ack id', () => {
  sockets.oversized(open(), Buffer.from('42/,7["x","yyyy'));
  sockets.oversized(open(), Buffer.from('42["x","yyyy'));
  for (const head of ['437[]', '42/admin,7["x"', '451-7["x"', '42x', '3']) sockets.oversized(open(), Buffer.from(head));
  expect(calls).toEqual(['oversized 7', 'oversized ']);
});
