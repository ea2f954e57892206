/**
 * Checks a msgpack frame before it is unpacked. The unpacker accepts more than clients may send. References turn a small
 * frame into an endless value, records repeat a key of 60 KB for one byte, and extensions can be regular expressions.
 */

/** Nesting of arrays and maps. */
const maxDepth = 64;

/** Bytes that follow each head from 0xc0 on. A negative number is the size of a length that precedes them. */
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

/** The extensions of notepack 2: `undefined`, bytes and dates. */
const legacy: ReadonlySet<number> = new Set([0]);

/** The extensions of notepack 3 too: the timestamps of the standard, of type -1. */
export const withTimestamps: ReadonlySet<number> = new Set([0, 0xff]);

/** @returns whether the frame is exactly one value of the kinds of JSON, binary and undefined, with texts as keys. */
export function isPlainMsgpack(bytes: Buffer, extensions = legacy): boolean {
  const left: number[] = [];
  const maps: boolean[] = [];
  for (let at = 0; ;) {
    const head = bytes[at++];
    if (head === undefined) return false;
    const kind = kindOf(head);
    const depth = left.length - 1;
    // an even number of values is left before each key
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
      // each entry has at least one byte
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
