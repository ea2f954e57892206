/** Frames that no client of good faith sends: the right answer to each, and a neighbour on the same server that notices nothing. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectRaw, openRaw, type RawClient } from '../support/raw-client.ts';
import { frameOf } from '../support/ws-frame.ts';
import { startServer, tokenOf, type TestServer } from '../support/server.ts';
import { connectStock, text, type StockClient } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

let server: TestServer;
let token: string;
let neighbour: StockClient;

beforeAll(async () => {
  server = await startServer();
  token = await tokenOf('mallory');
  neighbour = await connectStock(server.url, await tokenOf('neighbour'));
  await neighbour.ok('room:create', { kind: 'channel', name: 'Calm', id: 'calm' });
});
afterAll(async () => {
  await neighbour.ok('message:send', text('calm', 'still here'));
  expect(neighbour.received('message').map(({ body }) => body)).toEqual(['still here']);
  expect(neighbour.socket.connected).toBe(true);
  neighbour.close();
  await until('no connection is left', async () => (await server.metrics()).get('parley_connections') === 0);
  expect([...(await server.metrics())].filter(([name]) => name.startsWith('parley_internal_errors'))).toEqual([]);
  await server.stop();
});

const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);

describe('a frame that is no packet closes the connection with 4400', () => {
  // at once, for the server waits ten seconds for an attachment
  it.concurrent.each([
    ['an empty frame', ''],
    ['garbage', 'hello'],
    ['an unknown Engine.IO type', '9'],
    ['an upgrade packet', '5'],
    ['a probe', '2probe'],
    ['a pong with data', '3probe'],
    ['an open packet', '0{}'],
    ['no Socket.IO type', '4'],
    ['an unknown Socket.IO type', '49'],
    ['a binary event', '451-["x",{"_placeholder":true,"num":0}]'],
    ['a binary ack', '461-1[{"_placeholder":true,"num":0}]'],
    ['a CONNECT_ERROR', '44{"message":"x"}'],
    ['an event without data', '42'],
    ['an ack id without data', '421'],
    ['an event that is no array', '42{"0":"x"}'],
    ['an empty array', '42[]'],
    ['a name that is a number', '42[1]'],
    ['a name that is an object', '42[{"toString":"x"}]'],
    ['broken JSON', '42["room:list",{]'],
    ['half a frame', '42["message:send",{"room":"calm","id"'],
    ['a negative ack id', '42-1["x"]'],
    ['an ack id with a point', '421.5["x"]'],
    ['a huge ack id', `42${'9'.repeat(5000)}["x"]`],
    ['data behind a disconnect', '41{}'],
    ['another namespace', '42/admin,["x",{}]'],
    ['a namespace without an end', '42/admin'],
  ])('%s', async (_, frame) => {
    const client = await connectRaw(server.url, token);
    client.send(frame);
    expect(await client.untilClosed()).toEqual({ code: 4400, reason: 'protocol_error' });
  });

  it.each([
    ['a command', '420["room:list",{}]'],
    ['an ack', '430[]'],
    ['a disconnect', '41'],
    ['a CONNECT with an array', '40[]'],
    ['a CONNECT with text', '40"token"'],
    ['a CONNECT with null', '40null'],
    ['a CONNECT with broken JSON', '40{"token":'],
  ])('%s before CONNECT', async (_, frame) => {
    const client = await openRaw(server.url);
    client.send(frame);
    expect(await client.untilClosed()).toEqual({ code: 4400, reason: 'protocol_error' });
  });

  it('binary', async () => {
    const client = await connectRaw(server.url, token);
    client.ws.send(Buffer.from([4, 2, 0, 255]));
    expect(await client.untilClosed()).toEqual({ code: 4400, reason: 'protocol_error' });
  });

  it('empty and binary', async () => {
    const client = await connectRaw(server.url, token);
    client.ws.send(Buffer.alloc(0));
    expect(await client.untilClosed()).toEqual({ code: 4400, reason: 'protocol_error' });
  });
});

describe('a frame that WebSocket itself forbids drops the connection', () => {
  it.each([
    ['invalid UTF-8', () => frameOf(0x81, Buffer.from([0x34, 0x32, 0xc3, 0x28]))],
    ['a lone surrogate in UTF-8', () => frameOf(0x81, Buffer.from([0x34, 0xed, 0xa0, 0x80]))],
    ['a reserved opcode', () => frameOf(0x83, Buffer.from('4'))],
    ['a reserved bit', () => frameOf(0xf1, Buffer.from('4'))],
    ['a frame of 2^63 bytes', () => Buffer.concat([Buffer.from([0x81, 0xff]), Buffer.alloc(8, 0xff), Buffer.alloc(4)])],
    ['a frame over the limit', () => frameOf(0x81, Buffer.alloc(65_537, 'x'))],
    [
      'fragments that add up to more than the limit',
      () => Buffer.concat([frameOf(0x01, Buffer.alloc(40_000, 'x')), frameOf(0x80, Buffer.alloc(40_000, 'x'))]),
    ],
  ])('%s', async (_, bytes) => {
    const client = await connectRaw(server.url, token);
    rawSocket(client).write(bytes());
    expect((await client.untilClosed()).code).not.toBe(1000);
  });
});

async function answer(client: RawClient, frame: string): Promise<string> {
  client.send(frame);
  return client.next('431[');
}

describe('a well-formed frame with hostile data is answered', () => {
  it('with unknown_command to names that objects have', async () => {
    const client = await connectRaw(server.url, token);
    for (const name of [
      '__proto__',
      'constructor',
      'toString',
      'hasOwnProperty',
      '',
      'room:',
      'ROOM:LIST',
      'x'.repeat(9000),
    ]) {
      const reported = await answer(client, `421${JSON.stringify([name, {}])}`);
      expect(reported).toContain('"code":"unknown_command"');
      expect(reported.length).toBeLessThan(250);
    }
    await client.close();
  });

  it('as if keys of prototypes were any other keys', async () => {
    const client = await connectRaw(server.url, token);
    const polluted = '"__proto__":{"polluted":true,"room":"calm"},"constructor":{"prototype":{"polluted":true}}';
    for (const [frame, expected] of [
      [`421["room:list",{${polluted}}]`, '"ok":true'],
      [`421["history",{${polluted}}]`, '"code":"invalid"'],
      [`421["sync",{"cursors":{"__proto__":1,"constructor":2,"toString":3}}]`, '"ok":true,"rooms":{}'],
      [`421["auth:refresh",{"token":{"__proto__":null}}]`, '"code":"invalid"'],
      [`421["history",{"room":"__proto__"}]`, '"code":"not_found"'],
      [`421["room:join",{"room":"constructor"}]`, '"code":"not_found"'],
    ] as const) {
      expect([frame, await answer(client, frame)]).toEqual([frame, expect.stringContaining(expected)]);
    }
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
    await client.close();
  });

  it('and stored as it came where it is a body', async () => {
    const client = await connectRaw(server.url, token);
    await answer(client, '421["room:create",{"kind":"channel","name":"Odd","id":"odd"}]');
    const body = '{"__proto__":{"a":1},"constructor":{"prototype":{}},"toJSON":"x","then":{}}';
    await answer(client, `421["message:send",{"room":"odd","id":"${crypto.randomUUID()}","body":${body}}]`);
    expect(await client.next('42["message"')).toContain(`"body":${body}`);
    const stored = await answer(client, '421["history",{"room":"odd"}]');
    expect(stored).toContain('"__proto__": {"a": 1}');
    await client.close();
  });

  it('with a CONNECT error where the token is one of those', async () => {
    for (const auth of [
      '{"__proto__":{"token":"x"}}',
      '{"token":{"__proto__":"x"}}',
      '{"token":["x"]}',
      '{"constructor":1}',
    ]) {
      const client = await openRaw(server.url);
      client.send(`40${auth}`);
      expect(await client.next('44')).toContain('"code":"unauthorized"');
      await client.close();
    }
  });

  it('with invalid to JSON nested 5,000 levels deep, wherever it stands', async () => {
    const client = await connectRaw(server.url, token);
    const id = crypto.randomUUID();
    for (const [frame, code] of [
      [`421["message:send",{"room":"calm","id":"${id}","body":${deep(5000)}}]`, 'invalid'],
      [`421["message:send",{"room":${deep(5000)},"id":"${id}","body":1}]`, 'invalid'],
      [`421["signal",{"room":"calm","name":"x","data":${deep(5000)}}]`, 'not_member'],
      [`421["nothing",${deep(5000)}]`, 'unknown_command'],
      [`421["room:list",${deep(5000)}]`, 'invalid'],
      [`421["sync",{"cursors":${deep(5000)}}]`, 'invalid'],
    ] as const) {
      expect(await answer(client, frame)).toContain(`"code":"${code}"`);
    }
    await client.close();
    const open = await openRaw(server.url);
    open.send(`40{"token":${deep(5000)}}`);
    expect(await open.next('44')).toContain('"code":"unauthorized"');
    await open.close();
  });

  it('with invalid to NUL and lone surrogates, alone among the sends of its batch', async () => {
    const client = await connectRaw(server.url, token);
    await answer(client, '421["room:create",{"kind":"channel","name":"Text","id":"text"}]');
    const bad = [
      '"a\\u0000b"',
      '{"\\u0000":1}',
      '"\\ud800"',
      '"\\udc00 x"',
      '["\\udbff\\ud800"]',
      '{"k\\udfff":1}',
      '"\\\\\\u0000"',
    ];
    const good = ['"\\ud83d\\ude00"', '"\\\\u0000"', '"\\u0001"', '"\\\\ud800"', '"plain"'];
    const bodies = bad.flatMap((body, n) => [body, good[n % good.length] ?? '']);
    client.send(
      ...bodies.map(
        (body, n) => `42${100 + n}["message:send",{"room":"text","id":"${crypto.randomUUID()}","body":${body}}]`,
      ),
    );
    for (const [n, body] of bodies.entries()) {
      const reported = await client.next(`43${100 + n}[`);
      expect([body, reported]).toEqual([body, expect.stringContaining(n % 2 === 0 ? '"code":"invalid"' : '"ok":true')]);
    }
    const stored = await answer(client, '421["history",{"room":"text","limit":100}]');
    expect(stored.match(/"seq":/g)).toHaveLength(bad.length);
    await client.close();
  });

  it('with invalid to control characters and lone surrogates in names', async () => {
    const client = await connectRaw(server.url, token);
    for (const name of ['a\\u0000b', '\\ud800', 'line\\nbreak', '   ', '\\u007f']) {
      expect(await answer(client, `421["room:create",{"kind":"channel","name":"${name}"}]`)).toContain('"invalid"');
      expect(await answer(client, `421["signal",{"room":"calm","name":"${name}"}]`)).toContain('"invalid"');
    }
    await client.close();
  });
});

/** Beneath the WebSocket, so that what ws would not send goes out. */
function rawSocket(client: RawClient): { write(bytes: Buffer): boolean } {
  return (client.ws as unknown as { _socket: { write(bytes: Buffer): boolean } })._socket;
}
