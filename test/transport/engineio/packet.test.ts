import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodePayload, encodePayload, frameBytes } from '../../../src/transport/engineio/packet.ts';

/** The packets of a body, as `encodePayload` takes them. */
const decode = (body: string) =>
  decodePayload(Buffer.from(body))?.map(({ bytes: part, isBinary }) => (isBinary ? part : part.toString()));

const text = fc
  .tuple(fc.constantFrom('0', '1', '2', '3', '4', '5', '6'), fc.string({ unit: 'binary' }))
  .map(([type, rest]) => type + rest.replaceAll('\x1e', ''));
const bytes = fc.uint8Array().map((array) => Buffer.from(array));

describe('a payload', () => {
  it('comes back as the packets that went in', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(text, bytes), { minLength: 1 }), (frames) => {
        expect(decode(encodePayload(frames))).toEqual(frames);
      }),
    );
  });

  it('is written as the protocol has it', () => {
    expect(encodePayload(['4hello', '2', '4world'])).toBe('4hello\x1e2\x1e4world');
    expect(encodePayload(['4hello', Uint8Array.of(1, 2, 3, 4)])).toBe('4hello\x1ebAQIDBA==');
    // a view of a larger buffer is no more than itself
    expect(encodePayload([Buffer.from('xAx').subarray(1, 2)])).toBe('bQQ==');
  });

  it.each(['', 'x', '7', '4\x1e', '\x1e4', '4\x1e\x1e4', 'b!', 'b=', 'bAA=A', 'bA===', 'B', ' 4', '44\x1ebä'])(
    'is none if a part of it is none: %j',
    (body) => {
      // a lone = is padding of nothing, which decoders take
      expect(decode(body)).toEqual(body === 'b=' ? [Buffer.alloc(0)] : undefined);
    },
  );

  it('may have its base64 in lines', () => {
    expect(decode('bAQ\r\nID\nBA==\n\x1e4')).toEqual([Buffer.from([1, 2, 3, 4]), '4']);
  });

  it('never throws, whatever the body', () => {
    fc.assert(fc.property(fc.uint8Array(), (body) => void decodePayload(Buffer.from(body))));
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (body) => void decode(body)));
  });
});

it('counts the bytes of text as UTF-8', () => {
  expect([frameBytes('4ä👋'), frameBytes(Uint8Array.of(1, 2))]).toEqual([7, 2]);
});
