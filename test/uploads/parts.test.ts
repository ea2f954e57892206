/** The parts of uploads that need no server: types, names, links, places and locks. */
import { describe, expect, it } from 'vitest';
import { contradicts, isAllowed, typeOf } from '../../src/uploads/content-type.ts';
import { fileNameIn } from '../../src/uploads/file-name.ts';
import { UploadLocks } from '../../src/uploads/locks.ts';
import { SignedLinks } from '../../src/uploads/signed-links.ts';
import { Transfers } from '../../src/uploads/transfers.ts';
import { pdf, png } from './tus.ts';

describe('the type of a file', () => {
  it.each([
    ['a PNG', png, 'image/png'],
    ['a PDF', pdf(100), 'application/pdf'],
    ['HTML', Buffer.from('<!doctype html><p>'), 'text/plain'],
    ['SVG', Buffer.from('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>'), 'text/plain'],
    ['JSON', Buffer.from('{"a":1}'), 'text/plain'],
    ['a text that is cut in a character', Buffer.from('Grüße').subarray(0, 3), 'text/plain'],
    ['bytes', Buffer.from([0x81, 0, 1, 2]), 'application/octet-stream'],
  ])('of %s follows from its content', async (_, bytes, type) => {
    expect(await typeOf(bytes)).toBe(type);
  });

  it.each([
    ['a.png', 'image/png', false],
    ['a.PNG', 'text/plain', true],
    ['a.html', 'image/png', true],
    ['a.html', 'text/plain', false],
    ['a.html.png', 'text/plain', true],
    ['a.webm', 'audio/webm', false],
    ['a.unknown', 'text/plain', false],
    ['png', 'text/plain', false],
  ])('contradicts a name or not: %s, %s', (name, type, wrong) => {
    expect(contradicts(name, type)).toBe(wrong);
  });

  it('is allowed by its name or by its kind', () => {
    expect(isAllowed('image/png', ['image/*'])).toBe(true);
    expect(isAllowed('image/png', ['image/gif', 'audio/*'])).toBe(false);
  });
});

it('a name comes in base64, with others around it', () => {
  const coded = Buffer.from('Grüße.pdf').toString('base64');
  expect(fileNameIn(`filetype YQ==, filename ${coded},is_confidential`)).toBe('Grüße.pdf');
  expect(() => fileNameIn('filetype YQ==')).toThrow('filename');
  expect(() => fileNameIn(`filename ${Buffer.from([0xff, 0xfe]).toString('base64')}`)).toThrow('filename');
});

it('a link works until its end, and not with another secret', () => {
  let now = 1_000_000;
  const links = new SignedLinks({ secret: 'one', linkMs: 10_000, now: () => now });
  const { url, expires } = links.make('id', 'a b.pdf');
  const query = new URL(url, 'http://localhost').searchParams;
  const signature = query.get('signature') ?? '';
  expect(url.startsWith('/files/id/a%20b.pdf?')).toBe(true);
  const check = (of = links): string => of.check('id', 'a b.pdf', String(expires), signature);
  expect(check()).toBe('valid');
  now = expires - 1;
  expect(check()).toBe('valid');
  now = expires;
  expect(check()).toBe('expired');
  expect(check(new SignedLinks({ secret: 'two', linkMs: 10_000, now: () => 0 }))).toBe('forged');
});

it('places for transfers end at the limit of all, and at an eighth for each', () => {
  let refused = 0;
  const transfers = new Transfers(16, () => refused++);
  const free = Array.from({ length: 16 }, (_, n) => transfers.take(`user-${n >> 1}`));
  expect(() => transfers.take('another')).toThrow('at a time');
  free[0]?.();
  free[0]?.();
  expect(() => transfers.take('user-1')).toThrow('at a time');
  free.push(transfers.take('another'));
  expect(refused).toBe(2);
  expect(() => transfers.take('another')).toThrow('at a time');
});

it('a second request for an upload asks the first one to end, and waits for it', async () => {
  const holds: string[] = [];
  const locks = new UploadLocks({
    hold: (id) => Promise.resolve(holds.push(id) > 0),
    letGo: () => Promise.resolve(),
  });
  const order: string[] = [];
  const first = locks.newLock('a');
  await first.lock(new AbortController().signal, () => void order.push('asked'));
  const second = locks.newLock('a');
  const third = locks.newLock('a');
  const entered = (name: string) => () => void order.push(name);
  const waiting = second.lock(new AbortController().signal, () => void second.unlock()).then(entered('second'));
  const after = third.lock(new AbortController().signal, () => {}).then(entered('third'));
  expect(order[0]).toBe('asked');
  await first.unlock();
  await waiting;
  await after;
  expect(order.filter((one) => one !== 'asked')).toEqual(['second', 'third']);
  await third.unlock();
  expect(holds).toEqual(['a', 'a', 'a']);
});
