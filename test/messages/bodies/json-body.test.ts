import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeBody, encodeSignal } from '../../../src/messages/bodies/bodies.ts';
import { limits } from '../../../src/protocol/limits.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase({ empty: true });
});
afterAll(() => database.drop());

/** The body that Postgres returns, or undefined where Postgres refuses it. */
async function stored(json: string): Promise<string | undefined> {
  try {
    const [row] = await database.sql<[{ body: string }]>`select ${json}::text::jsonb as body`;
    return row.body;
  } catch (error) {
    expect(error).toMatchObject({ code: expect.stringMatching(/^22/) as unknown });
    return undefined;
  }
}

function encoded(value: unknown): string | undefined {
  try {
    return encodeBody(value);
  } catch (error) {
    expect(error).toMatchObject({ code: expect.stringMatching(/^(invalid|too_large)$/) as unknown });
    return undefined;
  }
}

describe('a body', () => {
  it('is accepted exactly if Postgres can store it, and comes back as it was', async () => {
    const units = fc.constantFrom(
      '\\',
      '\\u0000',
      '\u0000',
      '\ud800',
      '\udfff',
      '😀',
      'u0000',
      '\\\\',
      '"',
      'é',
      '\u0001',
      'x',
    );
    const texts = fc.array(units, { maxLength: 6 }).map((parts) => parts.join(''));
    const body = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        texts,
        fc.integer(),
        fc
          .double({ noNaN: true, noDefaultInfinity: true, min: -1e15, max: 1e15 })
          .filter((n) => n === 0 || Math.abs(n) > 1e-6),
        fc.boolean(),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(texts, tie('value'), { maxKeys: 3 }),
      ),
    })).value;
    await fc.assert(
      fc.asyncProperty(body, async (value) => {
        const json = encoded(value);
        const back = await stored(JSON.stringify(value));
        expect(json === undefined).toBe(back === undefined);
        if (json !== undefined) expect(JSON.parse(back ?? '')).toEqual(JSON.parse(json));
      }),
      { numRuns: 400 },
    );
  }, 60_000);

  it.each([
    [null],
    [undefined],
    [Infinity],
    [NaN],
    [[Infinity]],
    [1n],
    [{ at: new Date(0) }],
    [new Map()],
    [{ bytes: new Uint8Array(1) }],
  ])('%s is invalid', (value) => {
    expect(() => encodeBody(value)).toThrow(expect.objectContaining({ code: 'invalid' }) as Error);
  });

  it('differs from a signal, which may have binary parts', () => {
    const bytes = new Uint8Array([1, 2]);
    expect(encodeSignal({ bytes })).toEqual({ json: '{"bytes":{"_placeholder":true,"num":0}}', attachments: [bytes] });
    expect(encodeSignal(undefined)).toEqual({ json: '', attachments: [] });
    expect(() => encodeSignal(1n)).toThrow(/^data: /);
    const many = Array.from({ length: limits.signalAttachments + 1 }, () => bytes);
    expect(encodeSignal(many.slice(1)).attachments).toHaveLength(limits.signalAttachments);
    expect(() => encodeSignal(many)).toThrow(/at most 10 binary parts/);
    expect(() => encodeSignal(new Uint8Array(limits.bodyBytes))).toThrow(/over 16384 bytes/);
  });

  it.each([
    ['huge', 1e308],
    ['tiny', 5e-324],
  ])('of %s numbers cannot grow past its limit in Postgres, which writes them out', async (_, number) => {
    const few = encodeBody({ numbers: Array.from({ length: 20 }, () => number) });
    expect(Buffer.byteLength((await stored(few)) ?? '')).toBeLessThan(limits.bodyBytes);
    expect(() => encodeBody(Array.from({ length: 1500 }, () => [number]))).toThrow(/over 16384 bytes/);
  });
});
