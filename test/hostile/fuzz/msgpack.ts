/** Packets of the msgpack parser, byte by byte: in all the forms that the format has for one value, and mutated. */
import { frameOf } from '../../support/ws-frame.ts';
import { command } from './json.ts';
import type { Survivor } from './packets.ts';
import { Random } from './random.ts';

const binary = (content: Buffer) => frameOf(0x82, content);

function sized(code: number, bytes: 1 | 2 | 4, size: number): Buffer {
  const out = Buffer.alloc(1 + bytes);
  out[0] = code;
  out.writeUIntBE(size, 1, bytes);
  return out;
}

/** A length in its shortest form, or a longer one. */
function head(
  r: Random,
  size: number,
  fix: { at: number; max: number },
  forms: readonly [number, 1 | 2 | 4][],
): Buffer {
  if (size <= fix.max && r.chance(0.7)) return Buffer.from([fix.at | size]);
  const fit = forms.filter(([, bytes]) => size < 256 ** bytes);
  const [code, bytes] = r.pick(fit);
  return sized(code, bytes, size);
}

function textOf(r: Random, text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([
    head(r, bytes.length, { at: 0xa0, max: 31 }, [
      [0xd9, 1],
      [0xda, 2],
      [0xdb, 4],
    ]),
    bytes,
  ]);
}

function numberOf(r: Random, value: number): Buffer {
  if (Number.isInteger(value) && value >= 0 && value < 2 ** 32 && !r.chance(0.1)) {
    return value < 128 ? Buffer.from([value]) : sized(0xce, 4, value);
  }
  const out = Buffer.alloc(9);
  out[0] = 0xcb;
  out.writeDoubleBE(value, 1);
  return out;
}

/** Values of msgpack that JSON has no form for. */
function odd(r: Random): Buffer {
  const size = r.int(20);
  return r.pick([
    () => Buffer.from([0xd4, 0, 0]),
    () => Buffer.concat([sized(0xc4, 1, size), r.bytes(size)]),
    () => Buffer.concat([Buffer.from([0xcf]), r.bytes(8)]),
    () => Buffer.concat([Buffer.from([0xcb]), r.bytes(8)]),
    () => Buffer.from([0xca, 0x7f, 0xc0, 0, 0]),
    () => Buffer.concat([sized(0xc7, 1, size), Buffer.from([0]), r.bytes(size)]),
    () => Buffer.concat([sized(0xd9, 1, size), r.bytes(size)]),
    () => Buffer.concat([Buffer.alloc(r.int(30), 0x91), Buffer.from([1])]),
  ])();
}

function pack(r: Random, value: unknown): Buffer {
  if (r.chance(0.03)) return odd(r);
  if (value === null) return Buffer.from([0xc0]);
  if (typeof value === 'boolean') return Buffer.from([value ? 0xc3 : 0xc2]);
  if (typeof value === 'number') return numberOf(r, value);
  if (typeof value === 'string') return textOf(r, value);
  const isArray = Array.isArray(value);
  const parts = isArray
    ? value.map((child) => pack(r, child))
    : Object.entries(value as object).flatMap(([key, child]) => [textOf(r, key), pack(r, child)]);
  const size = isArray ? parts.length : parts.length / 2;
  const fix = { at: isArray ? 0x90 : 0x80, max: 15 };
  const first = isArray ? 0xdc : 0xde;
  const forms: [number, 1 | 2 | 4][] = [
    [first, 2],
    [first + 1, 4],
  ];
  return Buffer.concat([head(r, size, fix, forms), ...parts]);
}

/** An event as the parser of clients would write it, all but its data. */
function event(r: Random, id: number): Buffer {
  const text = command(r);
  // deeper than the server takes in this form
  const args = (/[[{]{12}|(\{"a":){12}/.test(text) ? ['room:list', {}] : JSON.parse(text)) as [string, ...unknown[]];
  const data = Buffer.concat([
    Buffer.from([0x90 | args.length]),
    textOf(r, args[0]),
    ...args.slice(1).map((arg) => pack(r, arg)),
  ]);
  const fields = [
    [textOf(r, 'type'), Buffer.from([2])],
    [textOf(r, 'nsp'), textOf(r, '/')],
    [textOf(r, 'data'), data],
    [textOf(r, 'id'), sized(0xce, 4, id)],
  ];
  if (r.chance(0.5)) fields.reverse();
  return Buffer.concat([Buffer.from([0x84]), ...fields.flat()]);
}

export function msgpackSurvivor(r: Random, n: number): Survivor {
  return { ack: String(1000 + n), bytes: binary(event(r, 1000 + n)) };
}

export function connectMsgpack(token: string): Buffer {
  const r = new Random(1);
  const entries = Buffer.concat([textOf(r, 'token'), textOf(r, token)]);
  const fields = [textOf(r, 'type'), Buffer.from([0]), textOf(r, 'nsp'), textOf(r, '/'), textOf(r, 'data')];
  return binary(Buffer.concat([Buffer.from([0x83]), ...fields, Buffer.from([0x81]), entries]));
}

export function msgpackMutant(r: Random): Buffer {
  switch (r.int(6)) {
    case 0:
      return binary(r.bytes(r.int(300)));
    case 1: // nested without end
      return binary(Buffer.alloc(r.int(60_000), r.pick([0x91, 0x81, 0xdc, 0xdd, 0xdf, 0xd6, 0xc7, 0xc9])));
    case 2: // lengths that are announced and do not come
      return binary(
        Buffer.concat([
          Buffer.from([0x84, 0xa4]),
          Buffer.from('type'),
          Buffer.from([2, 0xa4]),
          Buffer.from('data'),
          sized(r.pick([0xc6, 0xdb, 0xdd, 0xdf, 0xc9]), 4, r.pick([0xffffffff, 0x7fffffff, 65_536])),
          r.bytes(r.int(30)),
        ]),
      );
    case 3: // extensions: records, references, sets, errors, regular expressions, dates
      return binary(Buffer.concat([Buffer.from([0xd4, r.int(256)]), r.bytes(r.int(60))]));
    default: {
      const bytes = event(r, 5);
      for (let times = 1 + r.int(4); times > 0; times--) bytes[r.int(bytes.length)] = r.int(256);
      return binary(r.chance(0.3) ? bytes.subarray(0, r.int(bytes.length)) : bytes);
    }
  }
}
