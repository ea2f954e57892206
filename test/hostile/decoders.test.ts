/** Properties of what reads the wire: nothing makes it throw, and what it lets through the next layer can take. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodePayload, encodePayload } from '../../src/transport/engineio/packet.ts';
import { Assembly } from '../../src/transport/socketio/attachments.ts';
import { decodeMsgpack, packArgs } from '../../src/transport/socketio/msgpack.ts';
import { encodeEvent } from '../../src/transport/socketio/encode.ts';
import { maxAckDigits, maxAttachments, type Packet } from '../../src/transport/socketio/packet.ts';
import { argsText } from '../../src/transport/socketio/encode.ts';
import { readText } from '../transport/socketio/read-text.ts';
import { encodeBody, encodeSignal } from '../../src/messages/bodies/bodies.ts';
import { commands, type CommandName } from '../../src/protocol/commands.ts';
import { ParleyError } from '../../src/protocol/errors.ts';

const runs = { numRuns: 1000 };

const wild = fc.string({ unit: 'binary', maxLength: 60 });
const key = fc.oneof(
  fc.constantFrom('__proto__', 'constructor', 'toJSON', '_placeholder', 'num', 'room', 'body'),
  wild,
);
const json = fc.jsonValue({ maxDepth: 4 });
const odd = fc.oneof(json, fc.dictionary(key, json), fc.constant({ _placeholder: true, num: 0 }));
const digits = fc.stringMatching(/^\d{0,25}$/);
const name = fc.oneof(fc.constantFrom(...Object.keys(commands), 'connect', 'disconnect', '__proto__'), wild);

/** The packet grammar, with each part right, wrong or missing. */
const packetText = fc
  .tuple(
    fc.constantFrom('0', '1', '2', '3', '4', '5', '6', '7', '', '-'),
    fc.oneof(fc.constantFrom('', '', '0-', '1-', '10-', '11-', '-', '1', '999999999-', '01-'), wild),
    fc.constantFrom('', '', '/,', '/admin,', '/admin', '/', ',', '/__proto__,'),
    digits,
    fc.oneof(
      fc.tuple(name, odd).map((args) => JSON.stringify(args)),
      odd.map((value) => JSON.stringify(value)),
      wild,
    ),
    fc.nat(20),
  )
  .map(([type, attachments, namespace, ack, data, cut]) => {
    const text = type + attachments + namespace + ack + data;
    return cut < 5 ? text.slice(0, text.length - cut) : text;
  });

/** Throws what the process would die of or count as its own fault. */
function takeFurther(packet: Packet): void {
  expect(packet.namespace.startsWith('/')).toBe(true);
  if (packet.type === 'connect') {
    expect(packet.payload === undefined || (typeof packet.payload === 'object' && !Array.isArray(packet.payload))).toBe(
      true,
    );
  }
  if (packet.type !== 'event' && packet.type !== 'ack') return;
  expect(packet.ack).toMatch(/^\d*$/);
  expect(packet.ack.length).toBeLessThanOrEqual(maxAckDigits);
  expect(Array.isArray(packet.args)).toBe(true);
  if (packet.type === 'ack') return;
  expect(typeof packet.args[0]).toBe('string');
  const input = packet.args[1];
  for (const command of Object.keys(commands) as CommandName[]) commands[command].input.safeParse(input);
  for (const encode of [encodeBody, encodeSignal]) {
    try {
      encode(input);
    } catch (error) {
      if (!(error instanceof ParleyError)) throw error;
    }
  }
}

function takeText(text: string): void {
  const decoded = readText(text);
  if (decoded === undefined) return;
  if (!('attachments' in decoded)) return takeFurther(decoded);
  expect(decoded.attachments).toBeGreaterThan(0);
  expect(decoded.attachments).toBeLessThanOrEqual(maxAttachments);
  const assembly = new Assembly(decoded, 0);
  for (let n = 1; n < decoded.attachments; n++) expect(assembly.add(Buffer.alloc(1))).toBeUndefined();
  const whole = assembly.add(Buffer.alloc(1));
  if (whole !== 'invalid') takeFurther(whole as Packet);
}

function takeMsgpack(bytes: Uint8Array): void {
  const decoded = decodeMsgpack(Buffer.from(bytes));
  if (decoded !== undefined) takeFurther(decoded);
}

describe('text packets', () => {
  it('are decoded or refused, never thrown over, whatever the text', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 300 }), takeText), runs);
  });

  it('are decoded or refused, never thrown over, whatever part of the grammar is wrong', () => {
    fc.assert(fc.property(packetText, takeText), { numRuns: 5000 });
  });

  it('come back as they were written', () => {
    const arrayOf = fc.tuple(fc.constantFrom('message', 'x', '__proto__', ''), json);
    fc.assert(
      fc.property(
        fc.constantFrom('/', '/a', '/😀'),
        fc.stringMatching(/^\d{0,19}$/),
        arrayOf,
        (namespace, ack, args) => {
          const text = argsText('event', namespace, ack, JSON.stringify(args), 0).slice(1);
          const expected: unknown = JSON.parse(JSON.stringify(args));
          expect(readText(text)).toEqual({ type: 'event', namespace, ack, args: expected });
        },
      ),
      runs,
    );
  });
});

describe('attachments', () => {
  const placeholder = fc.record({
    _placeholder: fc.constant(true),
    num: fc.oneof(fc.integer({ min: -2, max: 12 }), json),
  });
  const args = fc.array(fc.oneof(placeholder, fc.array(placeholder), fc.dictionary(key, placeholder), json));

  it('end up where a placeholder names them, or the packet is refused', () => {
    fc.assert(
      fc.property(args, fc.integer({ min: 1, max: maxAttachments }), (more, attachments) => {
        const packet = { type: 'event', namespace: '/', ack: '1', args: ['signal', ...structuredClone(more)] } as const;
        const assembly = new Assembly({ packet, attachments }, 0);
        for (let n = 1; n < attachments; n++) expect(assembly.add(Buffer.from([n]))).toBeUndefined();
        const whole = assembly.add(Buffer.from([attachments]));
        if (whole === 'invalid') return;
        expect(JSON.stringify((whole as Packet & { type: 'event' }).args)).not.toContain('"_placeholder":true');
        takeFurther(whole as Packet);
      }),
      runs,
    );
  });
});

describe('msgpack packets', () => {
  it('are decoded or refused, never thrown over, whatever the bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), takeMsgpack), { numRuns: 5000 });
  });

  it('are decoded or refused, never thrown over, when bytes of a good one change', () => {
    const change = fc.tuple(fc.nat(), fc.nat(255));
    fc.assert(
      fc.property(name, odd, fc.array(change, { maxLength: 4 }), fc.nat(5), (event, value, changes, cut) => {
        const bytes = Buffer.from(packArgs('event', '/', '1', [event, value]));
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        takeMsgpack(bytes.subarray(0, bytes.length - (cut === 5 ? 0 : cut)));
      }),
      { numRuns: 5000 },
    );
  });
});

describe('an event for a client of msgpack', () => {
  // `toJSON` beside `constructor` was called: one such message kept its room from every client of msgpack
  it('is packed whatever keys its JSON has, and comes back as it was', () => {
    fc.assert(
      fc.property(
        fc.dictionary(key, fc.oneof(json, fc.dictionary(key, json, { maxKeys: 4 })), { maxKeys: 4 }),
        (data) => {
          const [frame] = encodeEvent('msgpack', 'signal', JSON.stringify(data));
          const decoded = decodeMsgpack(Buffer.from(frame as Uint8Array)) as Packet & { type: 'event' };
          // the unpacker renames this one
          const expected: unknown = JSON.parse(JSON.stringify(data).replaceAll('"__proto__":', '"__proto_":'));
          expect(decoded.args).toEqual(['signal', expected]);
        },
      ),
      { ...runs, examples: [[{ constructor: [], toJSON: [] }]] },
    );
  });
});

describe('long-polling payloads', () => {
  it('are taken apart or refused, never thrown over', () => {
    const part = fc.oneof(
      wild,
      packetText.map((text) => `4${text}`),
      fc.base64String().map((text) => `b${text}`),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 5 }), fc.constantFrom('\x1e', '\x1e\x1e', '', '\n'), (parts, between) => {
        for (const { bytes, isBinary } of decodePayload(Buffer.from(parts.join(between))) ?? []) {
          if (!isBinary) expect(bytes.toString()).toMatch(/^[0-6]/);
        }
      }),
      runs,
    );
  });

  it('come back as they were written', () => {
    const text = fc.string({ unit: 'grapheme' }).map((rest) => `4${rest}`);
    const frame = fc.oneof(
      text,
      fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    );
    fc.assert(
      fc.property(fc.array(frame, { minLength: 1 }), (frames) => {
        const received = decodePayload(Buffer.from(encodePayload(frames)));
        expect(received?.map(({ bytes, isBinary }) => (isBinary ? bytes : bytes.toString()))).toEqual(frames);
      }),
      runs,
    );
  });
});
