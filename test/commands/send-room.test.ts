import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ackOf, kindOf, roomOfSend } from '../../src/commands/header.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);

describe('what is read of an event before it is decoded', () => {
  it.each([
    ['42["x"]', ''],
    ['427["x"]', '7'],
    ['421234567890123456789["x"]', '1234567890123456789'],
    ['4212345678901234567890["x"]', undefined],
    ['42/,7["x"]', '7'],
    ['42 ["x"]', ''],
    ['427\t\n\r ["x"]', '7'],
    ['42/,["x"]', ''],
    ['42//,7["x"]', undefined],
    ['42/', undefined],
    ['42', undefined],
    ['42/custom,7["x"]', undefined],
    ['451-7["x"]', undefined],
    ['437[]', undefined],
    ['40{}', undefined],
    ['3', undefined],
    ['', undefined],
  ])('the ack of %s is %s', (frame, ack) => {
    expect(ackOf(bytes(frame))).toBe(ack);
  });

  it.each([
    ['427["message:send",{"room":"a-b.c:d_1","id":"x"}]', 'a-b.c:d_1'],
    ['42["message:send",{"room":"lobby"}]', 'lobby'],
    [`427["message:send",{"room":"${'r'.repeat(64)}","id":"x"}]`, 'r'.repeat(64)],
    [`427["message:send",{"room":"${'r'.repeat(65)}","id":"x"}]`, undefined],
    ['427["message:send",{"id":"x","room":"lobby"}]', undefined],
    ['427["message:send",{"room":"lob', undefined],
    ['427["signal",{"room":"lobby"}]', undefined],
    ['427["message:send"]', undefined],
    ['42/,7["message:send",{"room":"lobby"}]', undefined],
  ])('the room of %s is %s', (frame, room) => {
    const ack = ackOf(bytes(frame));
    expect(ack).toBeDefined();
    expect(roomOfSend(bytes(frame), ack ?? '')).toBe(room);
  });

  it.each([
    ['42["x"]', 'event'],
    ['42/custom,7["x"]', 'event'],
    ['437[]', 'ack'],
    ['451-7["x"]', undefined],
    ['461-7["x"]', undefined],
    ['40{}', undefined],
    ['3', undefined],
    ['2', undefined],
    ['', undefined],
  ])('the kind of %s is %s', (frame, kind) => {
    expect(kindOf(bytes(frame))).toBe(kind);
  });

  it('is read of any bytes without a throw', () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), fc.string().map(bytes)), (frame) => {
        const ack = ackOf(frame);
        if (ack !== undefined) roomOfSend(frame, ack);
      }),
    );
  });
});
