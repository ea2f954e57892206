import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ackText,
  argsText,
  connectErrorText,
  connectText,
  decodeText,
  eventText,
} from '../../src/gateway/packets/text.ts';

describe('decodeText', () => {
  it.each([
    ['0', { type: 'connect', namespace: '/', payload: undefined }],
    ['0{"token":"x"}', { type: 'connect', namespace: '/', payload: { token: 'x' } }],
    ['0/admin,', { type: 'connect', namespace: '/admin', payload: undefined }],
    ['0/admin', { type: 'connect', namespace: '/admin', payload: undefined }],
    ['0/admin?token=1,{}', { type: 'connect', namespace: '/admin?token=1', payload: {} }],
    ['1', { type: 'disconnect', namespace: '/' }],
    ['1/admin,', { type: 'disconnect', namespace: '/admin' }],
    ['2["a"]', { type: 'event', namespace: '/', ack: '', args: ['a'] }],
    ['20["a",1,null]', { type: 'event', namespace: '/', ack: '0', args: ['a', 1, null] }],
    ['2/admin,7919["a"]', { type: 'event', namespace: '/admin', ack: '7919', args: ['a'] }],
    ['2/,1["a"]', { type: 'event', namespace: '/', ack: '1', args: ['a'] }],
    ['2 ["a"]', { type: 'event', namespace: '/', ack: '', args: ['a'] }],
    ['31[{"ok":true}]', { type: 'ack', namespace: '/', ack: '1', args: [{ ok: true }] }],
  ])('reads %s', (text, packet) => {
    expect(decodeText(text)).toEqual(packet);
  });

  it.each([
    '',
    '4',
    '5',
    '51-["a"',
    '5-["a"]',
    '511-["a"]',
    '5x-["a"]',
    '3[1]',
    '31{}',
    '6',
    'x',
    '2',
    '21',
    '2[]',
    '2[1]',
    '2{}',
    '2["a"',
    '2["a"]x',
    '1x',
    '0[]',
    '0null',
    '0"x"',
    '2-1["a"]',
    `2${'1'.repeat(20)}["a"]`,
  ])('knows that %j is no packet', (text) => {
    expect(decodeText(text)).toBeUndefined();
  });

  it('never throws, whatever the text', () => {
    fc.assert(
      fc.property(fc.tuple(fc.constantFrom('', '0', '1', '2', '3', '2/a,', '20'), fc.string()), ([start, rest]) => {
        decodeText(start + rest);
      }),
    );
  });

  it('reads back whatever JSON an event carries', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.nat(), (value, ack) => {
        const packet = decodeText(`2${ack}${JSON.stringify(['name', value])}`);
        expect(packet).toEqual({
          type: 'event',
          namespace: '/',
          ack: String(ack),
          args: ['name', JSON.parse(JSON.stringify(value))],
        });
      }),
    );
  });
});

describe('frames', () => {
  it('are written as the protocol has them', () => {
    expect(eventText('message', '{"seq":1}')).toBe('42["message",{"seq":1}]');
    expect(eventText('signal', '{"data":{"_placeholder":true,"num":0}}', 1)).toBe(
      '451-["signal",{"data":{"_placeholder":true,"num":0}}]',
    );
    expect(ackText('7', '{"ok":true}')).toBe('437[{"ok":true}]');
    expect(argsText('ack', '/a', '7', '[1]', 2)).toBe('462-/a,7[1]');
    expect(connectText('/', 'abc')).toBe('40{"sid":"abc"}');
    expect(connectErrorText('/', 'no', { code: 'x' })).toBe('44{"message":"no","data":{"code":"x"}}');
    expect(connectErrorText('/a', 'no')).toBe('44/a,{"message":"no"}');
  });
});
