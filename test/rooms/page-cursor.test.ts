/** Clients keep cursors over an update of the server, so their bytes are fixed here. */
import { describe, expect, it } from 'vitest';
import { channelCursor, hitCursor, pageCursor } from '../../src/rooms/page-cursor.ts';

const message = { at: 1_700_000_000_000, room: 'hall', seq: 7 };
const channel = { key: 'zürich', id: 'hall' };
const encoded = (text: string): string => Buffer.from(text).toString('base64url');

describe('a cursor', () => {
  it('has the same bytes as in earlier versions', () => {
    expect(pageCursor.encode(message)).toBe('MTcwMDAwMDAwMDAwMCA3IGhhbGw');
    expect(hitCursor.encode(message)).toBe('WzE3MDAwMDAwMDAwMDAsImhhbGwiLDdd');
    expect(channelCursor.encode(channel)).toBe('WyJ6w7xyaWNoIiwiaGFsbCJd');
  });

  it('decodes to its position', () => {
    expect(pageCursor.decode(pageCursor.encode(message))).toEqual(message);
    expect(hitCursor.decode(hitCursor.encode(message))).toEqual(message);
    expect(channelCursor.decode(channelCursor.encode(channel))).toEqual(channel);
  });

  it.each([
    '',
    '!',
    encoded('1 2'),
    encoded('x 7 hall'),
    encoded('1700000000000 7 two words'),
    encoded('9999999999999999 7 hall'),
    encoded('[]'),
    encoded('[1700000000000,"two words",7]'),
    encoded('[1700000000000,"hall",7.5]'),
    encoded('[-1,"hall",7]'),
    encoded('["key\\u0000","hall"]'),
    encoded(JSON.stringify(['x'.repeat(401), 'hall'])),
    encoded('{"at":1}'),
  ])('that the server did not make is invalid: %j', (text) => {
    const invalid = expect.objectContaining({ code: 'invalid' }) as Error;
    expect(() => pageCursor.decode(text)).toThrow(invalid);
    expect(() => hitCursor.decode(text)).toThrow(invalid);
    expect(() => channelCursor.decode(text)).toThrow(invalid);
  });
});
