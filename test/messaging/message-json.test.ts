import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { messageJson } from '../../src/messaging/message-json.ts';
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
  });
  fc.assert(
    fc.property(stored, (row) => {
      const written: unknown = JSON.parse(messageJson(row));
      const { reply_to: replyTo, body, ...same } = row;
      expect(written).toEqual({ ...same, body: JSON.parse(body) as unknown, ...(replyTo === null ? {} : { replyTo }) });
      expect(message.strict().parse(written)).toEqual(written);
    }),
  );
});
