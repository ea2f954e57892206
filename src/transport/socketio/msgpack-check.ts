/**
 * Looks a msgpack frame over before it is unpacked. The unpacker knows more than clients may send: references, which
 * make a small frame a value without end, records, which repeat a key of 60 KB at the cost of a byte, regular expressions.
 */

/** Nesting of arrays and maps. */
const maxDepth = 64;

/** Bytes that follow each head from 0xc0 on: a negative number is the size of a length that comes first. */
// prettier-ignore
const follow = [
  0, NaN, 0, 0, -1, -2, -4, -1, -2, -4, 4, 8, 1, 2, 4, 8,
  1, 2, 4, 8, 1, 2, 4, 8, 16, -1, -2, -4, -2, -4, -2, -4,
];

type Kind = 'value' | 'text' | 'extension' | 'array' | 'map';

function kindOf(head: number): Kind {
  if (head < 0x80 || head >= 0xe0) return 'value';
  if (head < 0x90) return 'map';
  if (head < 0xa0) return 'array';
  if (head < 0xc0) return 'text';
  if ((head >= 0xc7 && head <= 0xc9) || (head >= 0xd4 && head <= 0xd8)) return 'extension';
  if (head >= 0xd9 && head <= 0xdb) return 'text';
  if (head >= 0xdc) return head < 0xde ? 'array' : 'map';
  return 'value';
}

/** Of extensions, what notepack 2 writes: `undefined`, bytes and dates. */
const legacy: ReadonlySet<number> = new Set([0]);

/** And notepack 3, and others by the standard: timestamps, of type -1. */
export const withTimestamps: ReadonlySet<number> = new Set([0, 0xff]);

/** @returns whether it is exactly one value of the kinds that JSON has, and binary, and undefined; keys are texts. */
export function isPlainMsgpack(bytes: Buffer, extensions = legacy): boolean {
  const left: number[] = [];
  const maps: boolean[] = [];
  for (let at = 0; ;) {
    const head = bytes[at++];
    if (head === undefined) return false;
    const kind = kindOf(head);
    const depth = left.length - 1;
    // before each pair an even number is left
    if (maps[depth] === true && (left[depth] ?? 0) % 2 === 0 && kind !== 'text') return false;
    let size: number;
    if (head < 0xc0 || head >= 0xe0) {
      size = kind === 'value' ? 0 : head & (kind === 'text' ? 0x1f : 0x0f);
    } else {
      size = follow[head - 0xc0] ?? NaN;
      if (size < 0) {
        const end = at - size;
        if (end > bytes.length) return false;
        size = bytes.readUIntBE(at, -size);
        at = end;
      }
    }
    if (Number.isNaN(size)) return false;
    if (depth >= 0) left[depth] = (left[depth] ?? 0) - 1;
    if (kind === 'array' || kind === 'map') {
      // each entry takes a byte at least
      if (left.length === maxDepth || size > bytes.length - at) return false;
      left.push(kind === 'map' ? size * 2 : size);
      maps.push(kind === 'map');
    } else {
      if (kind === 'extension' && !extensions.has(bytes[at++] ?? NaN)) return false;
      at += size;
      if (at > bytes.length) return false;
    }
    while (left.at(-1) === 0) {
      left.pop();
      maps.pop();
    }
    if (left.length === 0) return at === bytes.length;
  }
}
