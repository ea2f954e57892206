/** The cases that every form of presence passes; src/presence/presence.ts states the contract in prose. */
import { afterEach, describe, expect, it } from 'vitest';
import type { Change, Presence, PresenceListener } from '../../src/presence/presence.ts';
import { until } from '../support/until.ts';

export interface OpenPresence {
  readonly presence: Presence;
  close(): Promise<void>;
}

const opened: OpenPresence[] = [];

const isOnline = async (presence: Presence, user: string) => (await presence.read([user]))[0]?.online;

type OpenForm = (listener: PresenceListener) => Promise<OpenPresence>;

async function start(
  openForm: OpenForm,
): Promise<{ presence: Presence; changes: Change[]; of: (user: string) => boolean[] }> {
  const changes: Change[] = [];
  const one = await openForm({ changed: (some) => void changes.push(...some), reset: () => {} });
  opened.push(one);
  const of = (user: string) => changes.filter((change) => change.user === user).map(({ online }) => online);
  return { presence: one.presence, changes, of };
}

export function presenceContract(form: string, openForm: OpenForm): void {
  afterEach(async () => {
    for (const one of opened.splice(0)) await one.close();
  });

  describe(`presence in ${form}`, () => {
    it('reports the first arrival and the last departure of a user, on any number of devices', async () => {
      const { presence, changes, of } = await start(openForm);
      presence.arrived('ann');
      presence.arrived('ann');
      await until('the listener has the change', () => of('ann').length === 1);
      presence.left('ann');
      presence.arrived('fence');
      await until('the listener has the fence', () => of('fence').length === 1);
      expect(of('ann')).toEqual([true]);
      expect(presence.localUsers).toBe(2);
      const before = Date.now();
      presence.left('ann');
      await until('the listener has the change', () => of('ann').length === 2);
      const change = changes.find((one) => one.user === 'ann' && !one.online);
      expect(Math.abs((change?.lastSeen ?? 0) - before)).toBeLessThan(5000);
      expect(change?.agoMs).toBeGreaterThanOrEqual(0);
      expect(presence.localUsers).toBe(1);
    });

    it('reads users in the order of the request', async () => {
      const { presence, of } = await start(openForm);
      presence.arrived('ann');
      presence.arrived('ben');
      presence.left('ben');
      await until('it has settled', async () => of('ann').length > 0 && (await isOnline(presence, 'ben')) === false);
      const states = await presence.read(['nobody', 'ann', '__proto__', 'ann']);
      expect(states).toEqual([{ online: false }, { online: true }, { online: false }, { online: true }]);
      expect(await presence.read([])).toEqual([]);
    });

    it('ends a flap in the last state', async () => {
      const { presence, of } = await start(openForm);
      for (let i = 0; i < 50; i++) {
        presence.arrived('ann');
        presence.left('ann');
      }
      presence.arrived('ann');
      await until('she is online', async () => (await isOnline(presence, 'ann')) === true && of('ann').at(-1) === true);
    });

    it('ignores a departure without an arrival', async () => {
      const { presence, of } = await start(openForm);
      presence.left('ann');
      presence.arrived('ann');
      await until('the listener has the change', () => of('ann').length === 1);
      expect(of('ann')).toEqual([true]);
    });

    it('keeps thousands of users apart', async () => {
      const { presence, changes } = await start(openForm);
      const users = Array.from({ length: 3000 }, (__, i) => `u${i}`);
      for (const user of users) presence.arrived(user);
      await until('the listener has every arrival', () => changes.length === users.length);
      for (const user of users.slice(0, 1500)) presence.left(user);
      await until('the listener has the departures', () => changes.length === 4500);
      const states = await presence.read(users);
      expect(states.map((one) => one.online)).toEqual(users.map((__, i) => i >= 1500));
    });

    it('has no local users after it is closed', async () => {
      const { presence } = await start(openForm);
      presence.arrived('ann');
      await presence.close();
      expect(presence.localUsers).toBe(0);
    });
  });
}
