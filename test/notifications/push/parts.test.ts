/** The parts of pushes that need no server. */
import { createECDH } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type postgres from 'postgres';
import { CleanUp } from '../../../src/notifications/channels/clean-up.ts';
import { newVapidKeys, vapidKeys } from '../../../src/notifications/push/vapid.ts';
import { WebPush } from '../../../src/notifications/push/web-push.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { silentLog } from '../../support/messaging.ts';

function noSql(): never {
  throw new Error('no device is removed');
}

const noted = (calls: number, failed: number, kind: 'gone' | 'failed', clock = { now: 0 }): CleanUp => {
  const cleanUp = new CleanUp({
    sql: noSql as unknown as postgres.Sql,
    calls: new Metrics().push,
    log: silentLog,
    now: () => clock.now,
  });
  for (let n = 0; n < calls; n++) cleanUp.note('a', n < failed ? { kind, error: 'no' } : { kind: 'sent' });
  return cleanUp;
};

describe('the removal of devices', () => {
  it.each([
    [199, 199, 'gone', true],
    [200, 9, 'gone', true],
    [200, 10, 'gone', false],
    [200, 10, 'failed', false],
    [1000, 49, 'gone', true],
    [1000, 50, 'failed', false],
  ] as const)('with %i calls, of which %i are %s: %s', (calls, failed, kind, allowed) => {
    const cleanUp = noted(calls, failed, kind);
    expect(cleanUp.allows('a')).toBe(allowed);
    expect(cleanUp.allows('b')).toBe(true);
  });

  it('does not count a push that is too large', () => {
    const cleanUp = noted(200, 9, 'gone');
    for (let n = 0; n < 20; n++) cleanUp.note('a', { kind: 'too_large', error: 'no' });
    expect(cleanUp.allows('a')).toBe(true);
  });

  it('is allowed again five minutes later', () => {
    const clock = { now: 0 };
    const cleanUp = noted(1000, 1000, 'gone', clock);
    clock.now = 299_000;
    expect(cleanUp.allows('a')).toBe(false);
    clock.now = 310_000;
    expect(cleanUp.allows('a')).toBe(true);
  });

  it('remembers 1,000 providers', () => {
    const cleanUp = noted(200, 200, 'gone');
    for (let n = 0; n < 999; n++) cleanUp.note(`other-${n}`, { kind: 'sent' });
    expect(cleanUp.allows('a')).toBe(false);
    // the question made it the latest one
    for (let n = 0; n < 1000; n++) cleanUp.note(`more-${n}`, { kind: 'sent' });
    expect(cleanUp.allows('a')).toBe(true);
  });
});

describe('the key of a server', () => {
  it('gives the public key with which browsers subscribe', () => {
    for (let n = 0; n < 300; n++) {
      const keys = newVapidKeys();
      expect(keys.publicKey).toMatch(/^B[\w-]{86}$/);
      expect(vapidKeys(keys.privateKey)).toEqual(keys);
    }
  });

  it.each(['', 'short', 'A'.repeat(43), 'A'.repeat(44), `${'A'.repeat(42)}=`, '/'.repeat(43)])('is not %j', (text) => {
    expect(vapidKeys(text)).toBeUndefined();
  });
});

const endpoint = (host: string): string => `https://${host}/x`;

describe('a push service that needs a pause', () => {
  const secrets = JSON.stringify({
    p256dh: createECDH('prime256v1').generateKeys('base64url'),
    auth: Buffer.alloc(16).toString('base64url'),
  });
  const push = { payload: '{}', lane: 'high', topic: 'room:hall', ttlMs: 1000 } as const;

  it('gets no call before its end, and others do', async () => {
    const clock = { now: 1_000_000 };
    const calls: string[] = [];
    const transport = new WebPush({
      keys: newVapidKeys(),
      subject: 'mailto:a@example.com',
      now: () => clock.now,
      outgoing: {
        post: (url) => {
          calls.push(new URL(url).host);
          return Promise.resolve({ status: 429, headers: { 'retry-after': '7' }, body: '' });
        },
      },
    });
    const send = (host: string) =>
      transport.send({ address: endpoint(host), secrets }, push, new AbortController().signal);
    expect(await send('a.example')).toMatchObject({ kind: 'failed', waitMs: 7000 });
    clock.now += 6000;
    expect(await send('a.example')).toMatchObject({ kind: 'failed', waitMs: 1000 });
    expect(await send('b.example')).toMatchObject({ waitMs: 7000 });
    clock.now += 1000;
    await send('a.example');
    expect(calls).toEqual(['a.example', 'b.example', 'a.example']);
  });

  it('is one of 1,000 that the server remembers', async () => {
    let calls = 0;
    const transport = new WebPush({
      keys: newVapidKeys(),
      subject: 'mailto:a@example.com',
      now: () => 0,
      outgoing: {
        post: () => {
          calls++;
          return Promise.resolve({ status: 503, headers: { 'retry-after': '7' }, body: '' });
        },
      },
    });
    const send = (n: number) =>
      transport.send({ address: endpoint(`s${n}.example`), secrets }, push, new AbortController().signal);
    for (let n = 0; n < 1000; n++) await send(n);
    await send(0);
    expect(calls).toBe(1000);
    await send(1000);
    await send(0);
    expect(calls).toBe(1002);
  });

  it('makes no call for a browser whose keys encrypt nothing', async () => {
    const transport = new WebPush({
      keys: newVapidKeys(),
      subject: 'mailto:a@example.com',
      outgoing: { post: () => Promise.reject(new Error('no call is made')) },
    });
    const target = { address: endpoint('a.example'), secrets: '{"p256dh":"AAAA","auth":"AAAA"}' };
    expect(await transport.send(target, push, new AbortController().signal)).toMatchObject({ kind: 'refused' });
  });
});
