import * as fc from 'fast-check';
import { Packr } from 'msgpackr';
import { Decoder, Encoder } from 'socket.io-msgpack-parser';
import { describe, expect, it } from 'vitest';
import {
  encodeAck,
  encodeConnectError,
  encodeDisconnect,
  encodeEvent,
} from '../../../src/transport/socketio/encode.ts';
import { isPlainMsgpack } from '../../../src/transport/socketio/msgpack-check.ts';
import { decodeMsgpack, packArgs } from '../../../src/transport/socketio/msgpack.ts';
import { binaryValue } from './values.ts';

const packr = new Packr({ useRecords: false });

/** As a stock client writes it. */
const stock = (packet: object): Buffer => (new Encoder().encode(packet) as unknown as [Buffer])[0];

/** As a stock client reads it. */
function readByStock(frame: unknown): unknown {
  const decoder = new Decoder();
  let read: unknown;
  decoder.on('decoded', (packet: unknown) => {
    read = packet;
  });
  decoder.add(frame);
  return read;
}

const id = fc.nat({ max: Number.MAX_SAFE_INTEGER });

describe('msgpack packets', () => {
  it('are read as stock clients write them', () => {
    fc.assert(
      fc.property(binaryValue, id, (value, ack) => {
        expect(decodeMsgpack(stock({ type: 2, nsp: '/', data: ['name', value], id: ack }))).toEqual({
          type: 'event',
          namespace: '/',
          ack: String(ack),
          args: ['name', value],
        });
      }),
    );
  });

  it('are written as stock clients read them', () => {
    fc.assert(
      fc.property(binaryValue, id, (value, ack) => {
        const frame = Buffer.from(packArgs('ack', '/a', String(ack), [value]));
        expect(readByStock(frame)).toEqual({ type: 3, nsp: '/a', id: ack, data: [value] });
      }),
    );
  });

  it('are queued in memory of their own', () => {
    const frames = [1, 2, 3].map((n) => packArgs('event', '/', '', ['name', n]));
    expect(frames.map((frame) => decodeMsgpack(Buffer.from(frame)))).toMatchObject(
      [1, 2, 3].map((n) => ({ args: ['name', n] })),
    );
    expect(new Set(frames.map(({ buffer }) => buffer)).size).toBe(3);
  });

  it('say the same as text', () => {
    const attachment = Buffer.from([1, 2]);
    const json = '{"room":"r","data":{"_placeholder":true,"num":0}}';
    expect(readByStock(Buffer.from(encodeEvent('msgpack', 'signal', json, [attachment])[0] as Uint8Array))).toEqual({
      type: 2,
      nsp: '/',
      data: ['signal', { room: 'r', data: attachment }],
    });
    expect(readByStock(Buffer.from(encodeAck('msgpack', '7', '{"ok":true}')[0] as Uint8Array))).toEqual({
      type: 3,
      nsp: '/',
      id: 7,
      data: [{ ok: true }],
    });
    const refused = encodeConnectError('msgpack', '/a', 'no', { code: 'x' })[0] as Uint8Array;
    expect(readByStock(Buffer.from(refused))).toEqual({
      type: 4,
      nsp: '/a',
      data: { message: 'no', data: { code: 'x' } },
    });
    expect(readByStock(Buffer.from(encodeDisconnect('msgpack', '/a')[0] as Uint8Array))).toEqual({
      type: 1,
      nsp: '/a',
    });
  });

  it.each([
    [
      { type: 0, nsp: '/' },
      { type: 'connect', namespace: '/', payload: undefined },
    ],
    [
      { type: 0, nsp: '/', data: undefined },
      { type: 'connect', namespace: '/', payload: undefined },
    ],
    [
      { type: 0, nsp: '/a', data: { token: 'x' } },
      { type: 'connect', namespace: '/a', payload: { token: 'x' } },
    ],
    [
      { type: 1, nsp: '/' },
      { type: 'disconnect', namespace: '/' },
    ],
    [
      { type: 2, nsp: '/', data: ['a'] },
      { type: 'event', namespace: '/', ack: '', args: ['a'] },
    ],
    [
      { type: 3, nsp: '/', data: [], id: 0 },
      { type: 'ack', namespace: '/', ack: '0', args: [] },
    ],
  ])('such as %j are read', (packet, read) => {
    expect(decodeMsgpack(stock(packet))).toEqual(read);
  });

  it.each([
    { type: 0, nsp: '/', data: [] },
    { type: 0, nsp: '/', data: 'x' },
    { type: 2, nsp: '/', data: [] },
    { type: 2, nsp: '/', data: [1] },
    { type: 2, nsp: '/', data: ['disconnecting'] },
    { type: 2, nsp: '/', data: { 0: 'a', length: 1 } },
    { type: 2, nsp: 'a', data: ['a'] },
    { type: 2, nsp: '', data: ['a'] },
    { type: 2, data: ['a'] },
    { type: 2, nsp: '/', data: ['a'], id: -1 },
    { type: 2, nsp: '/', data: ['a'], id: 1.5 },
    { type: 2, nsp: '/', data: ['a'], id: '1' },
    { type: 2, nsp: '/', data: ['a'], id: 2 ** 53 },
    { type: 3, nsp: '/', data: [] },
    { type: 4, nsp: '/', data: { message: 'x' } },
    { type: 5, nsp: '/', data: ['a'] },
    { type: '2', nsp: '/', data: ['a'] },
  ])('such as %j are none', (packet) => {
    expect(decodeMsgpack(stock(packet))).toBeUndefined();
  });
});

const nested = (levels: number) => Buffer.from(`${'91'.repeat(levels)}01`, 'hex');

describe('isPlainMsgpack', () => {
  it('holds for whatever applications send, and for no part of it', () => {
    fc.assert(
      fc.property(binaryValue, (value) => {
        for (const frame of [Buffer.from(packr.pack(value)), stock(value as object)]) {
          expect(isPlainMsgpack(frame)).toBe(true);
          expect(isPlainMsgpack(Buffer.concat([frame, Buffer.of(0)]))).toBe(false);
          for (let end = 0; end < Math.min(frame.length, 50); end++)
            expect(isPlainMsgpack(frame.subarray(0, end))).toBe(false);
        }
      }),
    );
  });

  it('holds for nothing that cannot be unpacked, and unpacking ends', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (array) => {
        const frame = Buffer.from(array);
        if (isPlainMsgpack(frame)) packr.unpack(frame);
        decodeMsgpack(frame);
      }),
      { numRuns: 5000 },
    );
  });

  // 366 bytes of it kept the process busy for three minutes: each list is twice the one before
  it('does not hold for references', () => {
    let bomb = Buffer.from('9101', 'hex');
    for (let n = 1; n <= 28; n++) {
      const name = Buffer.from([0, 0, 0, n]);
      bomb = Buffer.concat([Buffer.from('92d669', 'hex'), name, bomb, Buffer.from('d670', 'hex'), name]);
    }
    expect(isPlainMsgpack(bomb)).toBe(false);
  });

  it('bounds the nesting', () => {
    expect([isPlainMsgpack(nested(64)), isPlainMsgpack(nested(65)), isPlainMsgpack(nested(30_000))]).toEqual([
      true,
      false,
      false,
    ]);
  });
});
