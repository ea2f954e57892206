import { createRequire } from 'node:module';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { events } from '../../../src/protocol/events.ts';
import { reservedEvents } from '../../../src/interop/socketio-redis/room-names.ts';
import { connectRaw, type RawClient } from '../../support/raw-client.ts';
import { tokenOf } from '../../support/server.ts';
import { until } from '../../support/until.ts';
import { listen, startBackends, type Backends, type Listener } from './backends.ts';

/** The form in which emitters write. */
const notepack = createRequire(createRequire(import.meta.url).resolve('@socket.io/redis-emitter'))('notepack.io') as {
  encode(value: unknown): Buffer;
};

const maxBytes = 4096;

const bigMessage = (letters: number): Buffer =>
  notepack.encode(['e', { type: 2, data: ['big', 'x'.repeat(letters)], nsp: '/' }, { rooms: ['hall'] }]);

let backends: Backends;
let ann: Listener;

const refused = (reason: string): Promise<number> => backends.counted(`parley_door_refused_total{reason="${reason}"}`);

/** By the user's name, so that one node alone decodes it. */
async function fence(): Promise<void> {
  const name = `fence-${crypto.randomUUID()}`;
  backends.emitter.to('user:ann').emit(name);
  await ann.received(name);
}

const publish = (channel: string, message: Buffer | string): Promise<number> =>
  backends.redis.publish(`${backends.key}${channel}`, message);

beforeAll(async () => {
  backends = await startBackends({
    PARLEY_SOCKETIO_MAX_MESSAGE_BYTES: String(maxBytes),
    PARLEY_SOFT_BUFFERED_BYTES: '64k',
    PARLEY_BEHIND_BUFFERED_BYTES: '32m',
    PARLEY_MAX_BUFFERED_BYTES: '64m',
    PARLEY_MAX_UNSENT_BYTES_PER_USER: '64m',
  });
  ann = await listen(backends.nodes[0].url, 'ann');
  await ann.stock.ok('room:create', { kind: 'channel', id: 'hall', name: 'Hall' });
});
afterAll(async () => {
  ann.stock.close();
  await backends.stop();
});

describe('Parley refuses, and counts,', () => {
  it('a message one byte over the limit', async () => {
    const letters = maxBytes - bigMessage(1000).length + 1000;
    expect(bigMessage(letters).length).toBe(maxBytes);
    await publish('#/#hall#', bigMessage(letters));
    await publish('#/#hall#', bigMessage(letters + 1));
    await fence();
    expect(ann.count('big')).toBe(1);
    expect(await refused('too_large')).toBe(1);
  });

  it('events with names of Parley or of Socket.IO', async () => {
    for (const name of Object.keys(events)) expect(reservedEvents).toContain(name);
    const before = ann.came.length;
    for (const data of reservedEvents) {
      await publish(
        '#/#hall#',
        notepack.encode(['e', { type: 2, data: [data, { forged: true }], nsp: '/' }, { rooms: ['hall'] }]),
      );
    }
    await fence();
    expect(ann.came.slice(before).filter(([name]) => reservedEvents.has(String(name)))).toEqual([]);
    expect(await refused('reserved_name')).toBe(reservedEvents.size);
  });

  it('more binary parts than stock clients accept, and placeholders that the sender wrote beside them', async () => {
    const parts = Array.from({ length: 11 }, () => Buffer.from('x'));
    backends.emitter.to('hall').emit('ten', ...parts.slice(1));
    backends.emitter.to('hall').emit('eleven', ...parts);
    backends.emitter.to('hall').emit('forged', Buffer.from('x'), { _placeholder: true, num: 99 });
    await fence();
    expect([ann.count('ten'), ann.count('eleven'), ann.count('forged')]).toEqual([1, 0, 0]);
    expect(await refused('attachments')).toBe(2);
  });

  it('packets that are no events', async () => {
    const before = await refused('malformed');
    const types = [0, 1, 3, 4, 6, '2', null];
    for (const type of types) {
      await publish('#/#hall#', notepack.encode(['e', { type, data: ['x'], nsp: '/' }, { rooms: ['hall'] }]));
    }
    await fence();
    expect(ann.count('x')).toBe(0);
    expect(await refused('malformed')).toBe(before + types.length);
  });
});

describe('whatever is published on its channels', () => {
  const json = fc.jsonValue({ maxDepth: 4 });
  const odd = fc.oneof(
    json,
    fc.constantFrom<unknown>(undefined, -1, 1e300, '', '__proto__', [[]], { __proto__: null }, 'hall', ['hall'], 2, 7),
  );
  const packet = fc.record({ type: odd, data: fc.oneof(odd, fc.array(odd)), nsp: odd, id: odd }, { requiredKeys: [] });
  const options = fc.record({ rooms: odd, except: odd, flags: odd }, { requiredKeys: [] });
  const emit = fc.oneof(odd, fc.tuple(odd, fc.oneof(odd, packet), fc.oneof(odd, options)), fc.array(odd));
  const request = fc.record(
    {
      type: fc.oneof(fc.integer({ min: -1, max: 11 }), odd),
      uid: odd,
      requestId: fc.oneof(fc.string(), odd),
      opts: fc.oneof(odd, options),
      rooms: odd,
      room: odd,
      sid: odd,
      close: odd,
      packet: fc.oneof(odd, packet),
      data: odd,
    },
    { requiredKeys: [] },
  );
  const packed = fc.oneof(emit, request).map((value) => {
    try {
      return notepack.encode(value);
    } catch {
      return Buffer.from(JSON.stringify(value) ?? '');
    }
  });
  const text = fc.oneof(request, odd).map((value) => Buffer.from(JSON.stringify(value) ?? ''));
  const truncated = fc
    .tuple(fc.oneof(packed, text), fc.double({ min: 0, max: 1, noNaN: true }))
    .map(([bytes, share]) => bytes.subarray(0, Math.floor(bytes.length * share)));
  const random = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));
  const deep = fc.constantFrom(
    Buffer.concat([Buffer.alloc(3000, 0x91), Buffer.from([0xc0])]),
    Buffer.from(
      '{"type":7,"requestId":"x","opts":{"rooms":[]},"packet":{"type":2,"data":["a",' +
        '['.repeat(1500) +
        ']'.repeat(1500) +
        ']}}',
    ),
    Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff]),
    Buffer.from([0xdf, 0xff, 0xff, 0xff, 0xff]),
    Buffer.from([0xc9, 0xff, 0xff, 0xff, 0xff, 0x00]),
    Buffer.from(
      '{"__proto__":{"polluted":1},"type":2,"opts":{"rooms":["hall"],"__proto__":{"polluted":1}},"rooms":["#p"]}',
    ),
    Buffer.from('{"type":2,"constructor":{"prototype":{"polluted":1}},"opts":{"rooms":[]},"rooms":["__proto__","#q"]}'),
  );
  const channels = fc.constantFrom(
    '#/#',
    '#/#hall#',
    '#/#user:ann#',
    '-request#/#',
    '-response#/#',
    '#/##',
    '#/#__proto__#',
  );

  it('ends no process, harms no client, and is counted: 4,000 generated messages', async () => {
    const before = (await refused('malformed')) + (await refused('reserved_name'));
    const cases = fc.sample(fc.tuple(channels, fc.oneof(packed, text, truncated, random, deep)), {
      numRuns: 4000,
      seed: 7,
    });
    for (let i = 0; i < cases.length; i += 100) {
      await Promise.all(cases.slice(i, i + 100).map(([channel, message]) => publish(channel, message)));
      // a generated request may disconnect everybody, which is no fault
      if (!ann.socket.connected) {
        ann.stock.close();
        ann = await listen(backends.nodes[0].url, 'ann');
      }
    }
    ann.stock.close();
    ann = await listen(backends.nodes[0].url, 'ann');
    await fence();
    expect((await refused('malformed')) + (await refused('reserved_name'))).toBeGreaterThan(before + 1000);
    expect(await backends.counted('parley_internal_errors_total')).toBe(0);
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
    await ann.stock.ok('room:list', {});
  }, 60_000);
});

describe('a slow connection', () => {
  it('gets no events of back ends while it is slow, as with signals', async () => {
    const slow: RawClient = await connectRaw(backends.nodes[0].url, await tokenOf('slow'), { silent: true });
    slow.send('421["room:join",{"room":"hall"}]');
    await slow.next('431');
    slow.ws.pause();
    const quiet = async (): Promise<boolean> =>
      (await backends.counted('parley_slow_consumers_total{step="quiet"}')) > 0;
    await until('it is quiet', async () => {
      for (let i = 0; i < 200; i++) backends.emitter.to('hall').emit('load', 'x'.repeat(3900));
      await fence();
      return quiet();
    });
    const before = await backends.counted('parley_signals_dropped_total');
    backends.emitter.to('hall').emit('after');
    backends.emitter.to('user:slow').emit('after');
    await fence();
    expect(await backends.counted('parley_signals_dropped_total')).toBe(before + 2);
    slow.ws.terminate();
  }, 40_000);
});
