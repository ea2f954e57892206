/** The contract of presence, run on each form; redis.test.ts has the cases of several nodes. */
import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, inject, it } from 'vitest';
import { MemoryPresence } from '../../src/presence/memory.ts';
import type { Change, Presence, PresenceListener } from '../../src/presence/presence.ts';
import { RedisPresence } from '../../src/presence/redis.ts';
import { openRedis } from '../../src/storage/redis.ts';
import { silentLog } from '../support/messaging.ts';
import { until } from '../support/until.ts';

const cleanUp: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).toReversed()) await step();
});

const forms: Record<string, (listener: PresenceListener) => Promise<Presence>> = {
  memory: (listener) => Promise.resolve(new MemoryPresence(listener)),
  Redis: async (listener) => {
    const redis = await openRedis({ url: inject('redisUrl'), log: silentLog });
    cleanUp.push(() => redis.close());
    const prefix = `test-${randomBytes(6).toString('hex')}:`;
    return new RedisPresence({ redis, prefix, node: 'n', listener, log: silentLog });
  },
};

const isOnline = async (presence: Presence, user: string) => (await presence.read([user]))[0]?.online;

describe.each(Object.entries(forms))('presence, in its form %s', (_, make) => {
  async function start(): Promise<{ presence: Presence; received: Change[]; of: (user: string) => boolean[] }> {
    const received: Change[] = [];
    const presence = await make({ changed: (changes) => void received.push(...changes), reset: () => {} });
    cleanUp.push(() => presence.close());
    const of = (user: string) => received.filter((change) => change.user === user).map(({ online }) => online);
    return { presence, received, of };
  }

  it('reports the first arrival and the last departure of a user, with any number of devices', async () => {
    const { presence, received, of } = await start();
    presence.arrived('ann');
    presence.arrived('ann');
    await until('the change is reported', () => of('ann').length === 1);
    presence.left('ann');
    presence.arrived('fence');
    await until('the fence is reported', () => of('fence').length === 1);
    expect(of('ann')).toEqual([true]);
    expect(presence.localUsers).toBe(2);
    const before = Date.now();
    presence.left('ann');
    await until('the change is reported', () => of('ann').length === 2);
    const change = received.find((one) => one.user === 'ann' && !one.online);
    expect(Math.abs((change?.lastSeen ?? 0) - before)).toBeLessThan(5000);
    expect(change?.agoMs).toBeGreaterThanOrEqual(0);
    expect(presence.localUsers).toBe(1);
  });

  it('reads users in order, and when the absent were last there', async () => {
    const { presence, of } = await start();
    presence.arrived('ann');
    presence.arrived('ben');
    presence.left('ben');
    await until('it has settled', async () => of('ann').length > 0 && (await isOnline(presence, 'ben')) === false);
    const standings = await presence.read(['nobody', 'ann', '__proto__', 'ann']);
    expect(standings).toEqual([{ online: false }, { online: true }, { online: false }, { online: true }]);
    expect(await presence.read([])).toEqual([]);
  });

  it('ends a short absence where it began', async () => {
    const { presence, of } = await start();
    for (let i = 0; i < 50; i++) {
      presence.arrived('ann');
      presence.left('ann');
    }
    presence.arrived('ann');
    await until('she is online', async () => (await isOnline(presence, 'ann')) === true && of('ann').at(-1) === true);
  });

  it('takes a departure that had no arrival for nothing', async () => {
    const { presence, of } = await start();
    presence.left('ann');
    presence.arrived('ann');
    await until('the change is reported', () => of('ann').length === 1);
    expect(of('ann')).toEqual([true]);
  });

  it('keeps thousands of users apart', async () => {
    const { presence, received } = await start();
    const users = Array.from({ length: 3000 }, (__, i) => `u${i}`);
    for (const user of users) presence.arrived(user);
    await until('all are reported', () => received.length === users.length);
    for (const user of users.slice(0, 1500)) presence.left(user);
    await until('half are reported again', () => received.length === 4500);
    const standings = await presence.read(users);
    expect(standings.map((one) => one.online)).toEqual(users.map((__, i) => i >= 1500));
  });

  it('has nobody left when it is closed', async () => {
    const { presence } = await start();
    presence.arrived('ann');
    await presence.close();
    expect(presence.localUsers).toBe(0);
  });
});

it('memory remembers so many who left, and no more', async () => {
  const presence = new MemoryPresence({ changed: () => {}, reset: () => {} }, { maxRemembered: 3 });
  for (const user of ['a', 'b', 'c', 'd']) {
    presence.arrived(user);
    presence.left(user);
  }
  const standings = await presence.read(['a', 'b', 'c', 'd']);
  expect(standings.map(({ lastSeen }) => lastSeen !== undefined)).toEqual([false, true, true, true]);
});
