import { describe, expect, it } from 'vitest';
import { decode, encodeCommand, encodeConnect } from '../../src/client/wire.ts';

describe('decode', () => {
  const cases: [string, ReturnType<typeof decode>][] = [
    [
      '0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":65536}',
      { kind: 'open', pingInterval: 25000, pingTimeout: 20000, maxPayload: 65536 },
    ],
    ['2', { kind: 'ping' }],
    ['1', { kind: 'close' }],
    ['40{"sid":"y"}', { kind: 'connected' }],
    ['41', { kind: 'close' }],
    ['42["message",{"seq":1}]', { kind: 'event', name: 'message', data: { seq: 1 } }],
    ['4217["named",null]', { kind: 'event', name: 'named', data: null }],
    ['437[{"ok":true}]', { kind: 'ack', id: 7, answer: { ok: true } }],
    ['43123[]', { kind: 'ack', id: 123, answer: undefined }],
    [
      '44{"message":"no","data":{"code":"unauthorized","retryable":false}}',
      { kind: 'refused', message: 'no', error: { code: 'unauthorized', retryable: false } },
    ],
  ];
  for (const [frame, packet] of cases) it(`reads ${frame}`, () => expect(decode(frame)).toEqual(packet));

  const noise = ['', '6', '0', '0[]', '4', '42', '42{}', '42[]', '42[1]', '42["open', '43[{}]', '43x[{}]', '451-["b"]'];
  for (const frame of noise)
    it(`skips ${JSON.stringify(frame)}`, () => expect(decode(frame)).toEqual({ kind: 'unknown' }));

  it('gives a refusal that cannot be read a sentence', () => {
    expect(decode('44')).toMatchObject({ kind: 'refused', error: {} });
  });
});

it('writes CONNECT and commands', () => {
  expect(encodeConnect({ token: 't"', device: undefined })).toBe('40{"token":"t\\""}');
  expect(encodeConnect({ token: 't', device: 'd' })).toBe('40{"token":"t","device":"d"}');
  expect(encodeCommand(3, 'history', { room: 'a', before: undefined })).toBe('423["history",{"room":"a"}]');
});
