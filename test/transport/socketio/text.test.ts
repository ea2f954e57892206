import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ackText,
  argsText,
  connectErrorText,
  connectText,
  disconnectText,
  eventText,
} from '../../../src/transport/socketio/encode.ts';
import { peekHeader, type Header } from '../../../src/transport/socketio/text.ts';
import { readText } from './read-text.ts';

describe('peekHeader', () => {
  it.each([
    ['42["x"]', 'event', '', 2],
    ['427["x"]', 'event', '7', 3],
    ['42007["x"]', 'event', '007', 5],
    ['42123456789["x"]', 'event', '123456789', 11],
    ['421234567890["x"]', 'event', '1234567890', 12],
    ['421234567890123456789["x"]', 'event', '1234567890123456789', 21],
    ['42/,7["x"]', 'event', '7', 5],
    ['42 ["x"]', 'event', '', 2],
    ['427\t\n\r ["x"]', 'event', '7', 3],
    ['42/,["x"]', 'event', '', 4],
    ['42/custom,7["x"]', 'event', '7', 11],
    ['437[]', 'ack', '7', 3],
    ['43["x"]', 'ack', '', 2],
    ['451-7["x"]', 'event', '7', 5],
    ['460-7["x"]', 'ack', '7', 5],
    ['40{}', 'connect', '', 2],
    ['41', 'disconnect', '', 2],
  ])('of %s finds %s, the ack id %j and the JSON at %i', (frame, type, ack, at) => {
    expect(peekHeader(Buffer.from(frame))).toMatchObject({ type, ack, at });
  });

  it.each(['4212345678901234567890["x"]', '42/', '42', '427', '42{}', '42x', '437', '43{}'])(
    'of %s finds no ack id that an answer could name',
    (frame) => {
      expect(peekHeader(Buffer.from(frame))?.ack).toBeUndefined();
    },
  );

  it('reads the first bytes of a frame as it reads the frame', () => {
    const head = fc.constantFrom('42', '427', '42/,7', '42/custom,7', '451-7', '43', '4399999', '40', '41/a,');
    fc.assert(
      fc.property(head, fc.string({ unit: 'binary' }), (start, rest) => {
        const frame = Buffer.from(`${start}["${rest}"]`);
        const header = peekHeader(frame);
        expect(header?.at).toBe(start.length);
        const peeked = peekHeader(frame.subarray(0, start.length + 1));
        const { type, attachments, namespace, ackAt, at, valid, ack } = header as Header;
        expect(peeked).toMatchObject({ type, attachments, namespace, ackAt, at, valid, ack });
      }),
    );
  });

  it('never throws, whatever the bytes', () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => void peekHeader(Buffer.from(bytes))));
  });
});

describe('decodeText, behind the header', () => {
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
    ['3/a,1[]', { type: 'ack', namespace: '/a', ack: '1', args: [] }],
    ['50-["a"]', { type: 'event', namespace: '/', ack: '', args: ['a'] }],
    ['51-["a"]', { packet: { type: 'event', namespace: '/', ack: '', args: ['a'] }, attachments: 1 }],
    ['510-/x,7["a"]', { packet: { type: 'event', namespace: '/x', ack: '7', args: ['a'] }, attachments: 10 }],
    ['61-7[1]', { packet: { type: 'ack', namespace: '/', ack: '7', args: [1] }, attachments: 1 }],
  ])('reads %s', (text, packet) => {
    expect(readText(text)).toEqual(packet);
  });

  const none = [
    '',
    '4',
    '4{"message":"x"}',
    '5',
    '5["a"]',
    '6',
    '511-["a"]',
    '5-1-["a"]',
    '51.5-["a"]',
    '5-["a"]',
    '61-[1]',
  ];
  const noEvents = [
    'x',
    '2',
    '21',
    '2[]',
    '2[1]',
    '2{}',
    '2["a"',
    '2["a"]x',
    '2-1["a"]',
    '2["connect"]',
    '2["newListener"]',
  ];
  const others = ['1x', '1[]', '0[]', '0null', '0"x"', '0x', '3[]', '3', '31', '31{}', `2${'1'.repeat(20)}["a"]`];
  it.each([...none, ...noEvents, ...others])('knows that %j is no packet', (text) => {
    expect(readText(text)).toBeUndefined();
  });

  it('never throws, whatever the text', () => {
    const start = fc.constantFrom('', '0', '1', '2', '3', '2/a,', '20', '51-', '61-1', '5', '2["a",');
    fc.assert(fc.property(start, fc.string({ unit: 'binary' }), (head, rest) => void readText(head + rest)));
  });

  it('reads back whatever was written', () => {
    const namespace = fc.constantFrom('/', '/admin', '/a b?c=d');
    const id = fc.oneof(fc.constant(''), fc.bigInt({ min: 0n, max: 10n ** 19n - 1n }).map(String));
    const args = fc.tuple(fc.constantFrom('message', 'ä"\\', ''), fc.jsonValue());
    fc.assert(
      fc.property(namespace, id, args, fc.nat(10), (nsp, ack, value, attachments) => {
        const json = JSON.stringify(value);
        const packet = { type: 'event', namespace: nsp, ack, args: JSON.parse(json) as unknown };
        const text = argsText('event', nsp, ack, json, attachments);
        expect(readText(text.slice(1))).toEqual(attachments === 0 ? packet : { packet, attachments });
        if (ack === '') return;
        expect(readText(argsText('ack', nsp, ack, json, 0).slice(1))).toEqual({ ...packet, type: 'ack' });
      }),
    );
  });
});

it('writes frames as the protocol has them', () => {
  expect(eventText('message', '{"seq":1}')).toBe('42["message",{"seq":1}]');
  expect(eventText('signal', '{}', 2)).toBe('452-["signal",{}]');
  expect(ackText('7', '{"ok":true}')).toBe('437[{"ok":true}]');
  expect(argsText('event', '/admin', '', '["a"]', 2)).toBe('452-/admin,["a"]');
  expect(argsText('ack', '/admin', '13', '["bar"]', 0)).toBe('43/admin,13["bar"]');
  expect(argsText('ack', '/', '15', '["bar"]', 1)).toBe('461-15["bar"]');
  expect(connectText('/', 'abc')).toBe('40{"sid":"abc"}');
  expect(connectText('/admin', 'abc')).toBe('40/admin,{"sid":"abc"}');
  expect(connectErrorText('/', 'no', { code: 'x' })).toBe('44{"message":"no","data":{"code":"x"}}');
  expect(connectErrorText('/a', 'no')).toBe('44/a,{"message":"no"}');
  expect(disconnectText('/')).toBe('41');
});
