/** Values as applications send them: JSON with binary in it. */
import * as fc from 'fast-check';

/** Keys that msgpackr alters are left out. */
const key = fc.string({ unit: 'binary', maxLength: 12 }).filter((name) => name !== '__proto__');

// -0 and 0 are one in JSON
const leaf = fc.oneof(
  fc.constantFrom(null, true, false, 0, -1, 127, 128, 65_536, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER, -(2 ** 40)),
  // whole numbers beyond the safe ones are cut by the stock clients' msgpack
  fc
    .double({ noNaN: true, noDefaultInfinity: true })
    .filter((n) => !Number.isInteger(n) || Number.isSafeInteger(n))
    .map((n) => n + 0),
  fc.string({ unit: 'binary' }),
);

function values(more: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      leaf,
      more,
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(key, tie('value'), { maxKeys: 4, noNullPrototype: true }),
    ),
  }));
  return value;
}

export const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
export const binaryValue = values(bytes);
