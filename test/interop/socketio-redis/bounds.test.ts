/** Messages of back ends at each limit, and at one over it; without a server. */
import { createRequire } from 'node:module';
import { expect, it } from 'vitest';
import { readEmit, readRequest, requestTypes } from '../../../src/interop/socketio-redis/messages.ts';
import { PendingAcks } from '../../../src/interop/socketio-redis/pending-acks.ts';
import { Refused } from '../../../src/interop/socketio-redis/refusals.ts';
import { sanitize } from '../../../src/interop/socketio-redis/sanitize.ts';

const { decode, encode } = createRequire(createRequire(import.meta.url).resolve('@socket.io/redis-emitter'))(
  'notepack.io',
) as { decode: (bytes: Buffer) => unknown; encode: (value: unknown) => Buffer };

const packet = { type: 2, data: ['event'], nsp: '/' };
const named = (count: number): string[] => Array.from({ length: count }, (_, n) => `room-${n}`);
const nested = (levels: number): unknown => {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = [value];
  return value;
};

const emit = (rooms: string[], except: string[]) => readEmit(encode(['uid', packet, { rooms, except }]), decode);
const join = (rooms: string[]) =>
  readRequest(Buffer.from(JSON.stringify({ type: requestTypes.join, opts: { rooms: ['hall'] }, rooms })), decode);
const request = (letters: number) =>
  readRequest(Buffer.from(JSON.stringify({ type: requestTypes.all_rooms, requestId: 'x'.repeat(letters) })), decode);

it('accepts 1,000 rooms in a message', () => {
  expect(emit(named(1000), named(1000))[2]).toMatchObject({ rooms: named(1000), except: named(1000) });
  for (const [rooms, except] of [
    [named(1001), []],
    [[], named(1001)],
  ] as const) {
    expect(() => emit([...rooms], [...except])).toThrow(expect.objectContaining({ reason: 'malformed' }));
  }
  expect(join(named(1000)).rooms).toHaveLength(1000);
  expect(() => join(named(1001))).toThrow(Refused);
});

it('accepts 128 letters in the id of a request', () => {
  expect(request(128).request['requestId']).toHaveLength(128);
  expect(() => request(129)).toThrow(Refused);
});

it('accepts 64 levels of nesting', () => {
  expect(sanitize(nested(64))).toEqual(nested(64));
  expect(() => sanitize(nested(65))).toThrow(expect.objectContaining({ reason: 'malformed' }));
});

it('accepts 10 binary parts in an event', () => {
  const parts = Array.from({ length: 11 }, () => Buffer.from('x'));
  expect(sanitize(parts.slice(1))).toHaveLength(10);
  expect(() => sanitize(parts)).toThrow(expect.objectContaining({ reason: 'attachments' }));
});

it('lets 1,000 events wait for acks', () => {
  const pendingAcks = new PendingAcks((error) => {
    throw error;
  });
  for (let n = 0; n < 1000; n++) pendingAcks.begin();
  expect(pendingAcks.size).toBe(1000);
  expect(() => pendingAcks.begin()).toThrow(expect.objectContaining({ reason: 'limit' }));
  expect(pendingAcks.size).toBe(1000);
  pendingAcks.stop();
});
