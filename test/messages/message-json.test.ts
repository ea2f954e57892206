import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { changesJson, messageJson } from '../../src/messages/message-json.ts';
import { message } from '../../src/protocol/model.ts';

it('the JSON that is written by hand is what the schema of messages describes', () => {
  const letters = 'AZaz09_.:-'.split('');
  const room = fc.array(fc.constantFrom(...letters), { minLength: 1, maxLength: 64 }).map((all) => all.join(''));
  const user = fc
    .array(fc.constantFrom(...letters, '@', '|', '+'), { minLength: 1, maxLength: 64 })
    .map((all) => all.join(''));
  const stored = fc.record({
    room,
    seq: fc.integer({ min: 1 }),
    rev: fc.nat(),
    id: fc.uuid(),
    from: user,
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
  fc.assert(
    fc.property(stored, (row) => {
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
        expect(message.strict().parse(JSON.parse(written))).toEqual(expected);
      }
    }),
  );
});
