import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Assembly, extract, restore } from '../../../src/transport/socketio/attachments.ts';
import { encodeArgs } from '../../../src/transport/socketio/encode.ts';
import { encodeSignal } from '../../../src/messages/bodies/bodies.ts';
import { readText } from './read-text.ts';
import { binaryValue } from './values.ts';

const hole = (num: unknown) => ({ _placeholder: true, num });
const parts = (count: number) => Array.from({ length: count }, (_, n) => Buffer.from([n]));
const deep = (levels: number): unknown => {
  let value: unknown = Buffer.from('x');
  for (let n = 0; n < levels; n++) value = n % 2 === 0 ? [value] : { value };
  return value;
};

describe('binary in text packets', () => {
  it('comes back in its place', () => {
    fc.assert(
      fc.property(binaryValue, (value) => {
        const extracted = extract(['name', value]);
        fc.pre(extracted !== undefined);
        const { attachments } = extracted;
        const [text, ...frames] = encodeArgs('json', 'event', '/', '7', ['name', value]);
        expect(frames).toEqual(attachments);
        const decoded = readText(String(text).slice(1));
        if (decoded === undefined) throw new Error('what was written is no packet');
        const packet = { type: 'event', namespace: '/', ack: '7', args: ['name', value] };
        if (!('attachments' in decoded)) {
          expect(decoded).toEqual(packet);
          return;
        }
        const assembly = new Assembly(decoded, 0);
        const results = attachments.map((buffer) => assembly.add(Buffer.from(buffer)));
        expect(results.slice(0, -1).every((result) => result === undefined)).toBe(true);
        expect(results.at(-1)).toEqual(packet);
        expect(restore(JSON.stringify(extracted.value), attachments)).toEqual(['name', value]);
      }),
    );
  });

  it('has ten attachments and not eleven', () => {
    expect(extract(parts(10))?.attachments).toHaveLength(10);
    expect(extract(parts(11))).toBeUndefined();
    expect(() => encodeArgs('json', 'event', '/', '', ['name', parts(11)])).toThrow(RangeError);
  });

  it('is refused in what is nested too deeply, however it is nested', () => {
    expect(extract(deep(60))?.attachments).toHaveLength(1);
    expect(extract(deep(70))).toBeUndefined();
    const cyclic: unknown[] = [];
    cyclic.push(cyclic);
    expect(extract(cyclic)).toBeUndefined();
    const open = '['.repeat(5000);
    const decoded = readText(`51-["name",${open}${JSON.stringify(hole(0))}${']'.repeat(5000)}]`);
    if (decoded === undefined || !('attachments' in decoded)) throw new Error('it waits for its attachment');
    expect(new Assembly(decoded, 0).add(Buffer.from('x'))).toBe('invalid');
  });

  it.each([1, -1, 0.5, '0', null, undefined, NaN])('is invalid with a placeholder for %s', (num) => {
    const packet = { type: 'event', namespace: '/', ack: '', args: ['name', [hole(num)]] } as const;
    expect(new Assembly({ packet, attachments: 1 }, 0).add(Buffer.from('x'))).toBe('invalid');
  });

  // a client of msgpack can send both; the clients of text in its room closed their connections over it
  it('is not sent on beside a placeholder that the sender made up', () => {
    expect(extract([Buffer.from('x'), hole(99)])).toBeUndefined();
    expect(extract([hole(0)])).toEqual({ value: [hole(0)], attachments: [] });
    expect(() => encodeSignal({ x: Buffer.from('x'), y: hole(99) })).toThrow('_placeholder');
    expect(() => encodeSignal([hole(0)])).toThrow('_placeholder');
    expect(encodeSignal([Buffer.from('x')]).json).toBe(JSON.stringify([hole(0)]));
  });
});
