import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { roomOfSend } from '../../src/commands/send-room.ts';
import { peekHeader } from '../../src/transport/socketio/text.ts';

const roomOf = (frame: Buffer): string | undefined => {
  const header = peekHeader(frame);
  return header === undefined ? undefined : roomOfSend(frame, header.at);
};

describe('the room of a send, before the frame is decoded', () => {
  it.each([
    ['427["message:send",{"room":"a-b.c:d_1","id":"x"}]', 'a-b.c:d_1'],
    ['42["message:send",{"room":"lobby"}]', 'lobby'],
    ['42/,7["message:send",{"room":"lobby"}]', 'lobby'],
    [`427["message:send",{"room":"${'r'.repeat(64)}","id":"x"}]`, 'r'.repeat(64)],
    [`427["message:send",{"room":"${'r'.repeat(65)}","id":"x"}]`, undefined],
    ['427["message:send",{"id":"x","room":"lobby"}]', undefined],
    ['427["message:send",{"room":"lob', undefined],
    ['427["signal",{"room":"lobby"}]', undefined],
    ['427["message:send"]', undefined],
    ['42 ["message:send",{"room":"lobby"}]', undefined],
  ])('of %s is %s', (frame, room) => {
    expect(roomOf(Buffer.from(frame))).toBe(room);
  });

  it('is read from any bytes without an exception', () => {
    fc.assert(fc.property(fc.uint8Array(), fc.nat(100), (bytes, at) => void roomOfSend(bytes, at)));
  });
});
