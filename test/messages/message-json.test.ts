import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { changesJson, messageJson } from '../../src/messages/message-json.ts';
import { message } from '../../src/protocol/model.ts';

const letters = 'AZaz09_.:-'.split('');
const idOf = (chars: readonly string[]): fc.Arbitrary<string> =>
  fc.array(fc.constantFrom(...chars), { minLength: 1, maxLength: 64 }).map((all) => all.join(''));
const stored = fc.record({
  room: idOf(letters),
  seq: fc.integer({ min: 1 }),
  rev: fc.nat(),
  id: fc.uuid(),
  from: idOf([...letters, '@', '|', '+']),
  name: fc.option(fc.string({ unit: 'grapheme' })),
  body: fc.jsonValue().map((value) => JSON.stringify(value)),
  reply_to: fc.option(fc.integer({ min: 1 })),
  at: fc.nat(),
  editedAt: fc.nat(),
  reactions: fc.option(
    fc
      .uniqueArray(
        fc.record({ emoji: fc.constantFrom('👍', '🇨🇭', '1️⃣'), count: fc.integer({ min: 1 }), mine: fc.boolean() }),
        {
          minLength: 1,
        },
      )
      .map((value) => JSON.stringify(value)),
  ),
});

/**
 * The schema decides whether the JSON is valid. Its output is not compared, because zod leaves a key `__proto__` out.
 * The server sends the text and never the output of this schema.
 */
function check(row: typeof stored extends fc.Arbitrary<infer Row> ? Row : never): void {
  const { reply_to: replyTo, body, editedAt, reactions, ...same } = row;
  const sent = { ...same, body: JSON.parse(body) as unknown, ...(replyTo === null ? {} : { replyTo }) };
  const changed = {
    ...sent,
    editedAt,
    ...(reactions === null ? {} : { reactions: JSON.parse(reactions) as unknown }),
  };
  for (const [written, expected] of [
    [messageJson({ ...row, changes: changesJson({ editedAt, reactions, pinned: null }) }), changed],
    [messageJson(row), sent],
    [messageJson({ ...row, changes: null }), sent],
    [messageJson({ ...row, body: null, changes: ',"deletedAt":5' }), { ...sent, body: null, deletedAt: 5 }],
  ] as const) {
    expect(JSON.parse(written)).toEqual(expected);
    expect(message.strict().safeParse(JSON.parse(written)).error).toBeUndefined();
  }
}

describe('the JSON text of a message', () => {
  it('is what the schema of messages describes', () => {
    fc.assert(fc.property(stored, check));
  });

  it('is that too with seed 24, where a body is `{"__proto__":false}`', () => {
    fc.assert(fc.property(stored, check), { seed: 24, numRuns: 100 });
  });

  it.each([
    '{"__proto__":false}',
    '{"__proto__":{"polluted":1}}',
    '{"a":[{"__proto__":null,"constructor":{"prototype":{}}}]}',
    '{"toString":1,"":{}}',
  ])('keeps every key of a body: %s', (body) => {
    const [row] = fc.sample(stored, { seed: 1, numRuns: 1 });
    if (row === undefined) throw new Error('The generator made no message.');
    check({ ...row, body });
    expect(messageJson({ ...row, body })).toContain(`"body":${body}`);
  });
});
