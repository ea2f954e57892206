/** The SDK in real Chromium: what it keeps over a reload, and what its tabs share. */
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { connect } from '../../src/client/index.ts';
import type { Client } from '../../src/client/index.ts';
import { storeContract } from '../contract/store.contract.ts';
import { tokenOf } from '../support/server.ts';
import { until } from '../support/until.ts';
import { useLab } from './lab.ts';
import type { Tab } from './lab.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const lab = useLab(fileURLToPath(new URL('lab-page.ts', import.meta.url)));

const others: Client[] = [];
afterEach(() => {
  for (const other of others.splice(0)) other.close();
});

/** A channel with another user, who writes on request. */
async function channel(
  id: string,
): Promise<{ say(body: string): Promise<unknown>; bodies(): unknown[]; leave(): void }> {
  const other = connect({ url: lab.server.url, token: () => tokenOf('other', { name: 'Other' }), WebSocket });
  others.push(other);
  await other.createRoom({ kind: 'channel', id, name: id });
  const room = other.room(id);
  return {
    say: (body) => room.send(body),
    bodies: () => room.messages.value.map(({ body }) => body),
    leave: () => other.close(),
  };
}

async function both(id: string, user: string, options?: { store?: string }): Promise<[Tab, Tab]> {
  const profile = await lab.profile();
  const first = await lab.tab(profile, user, options);
  await first.connected();
  await first.call('call', 'room:join', { room: id });
  const second = await lab.tab(profile, user, options);
  await second.connected();
  for (const tab of [first, second]) {
    await tab.call('open', id);
    await until('the room is open', async () => (await tab.call('room', id)) === 'ready');
  }
  return [first, second];
}

describe('the store contract', () => {
  it('is kept by IndexedDB and by memory', async () => {
    const tab = await lab.tab(await lab.profile());
    expect(await tab.call('cases')).toEqual(Object.keys(storeContract));
    for (const name of Object.keys(storeContract)) {
      for (const kind of ['memory', 'indexedDB'] as const) await tab.call('runCase', name, kind);
    }
  });

  it('goes on when the browser has deleted the database', async () => {
    const tab = await lab.tab(await lab.profile());
    const found = await tab.page.evaluate(`(async () => {
      const store = lab.indexedDb('thrown away');
      await store.set('a', 1);
      await new Promise((resolve, reject) => {
        const request = indexedDB.deleteDatabase('thrown away');
        request.onsuccess = resolve;
        request.onerror = reject;
      });
      await store.set('b', 2);
      return [await store.get('a'), await store.get('b')];
    })()`);
    expect(found).toEqual([undefined, 2]);
  });
});

describe('one tab', () => {
  it('finds its rooms, messages and what waits to be sent again after a reload, before it is connected', async () => {
    const other = await channel('reload');
    const tab = await lab.tab(await lab.profile(), 'ann', { store: 's' });
    await tab.call('call', 'room:join', { room: 'reload' });
    await tab.call('open', 'reload');
    await other.say('one');
    await other.say('two');
    await tab.holds('reload', ['one', 'two']);
    // A reload does not wait for writes to the store that are under way.
    await until('the store has the messages', async () =>
      JSON.stringify(await tab.page.evaluate(`lab.indexedDb('s').list('')`)).includes('"two"'),
    );
    await tab.page.context().setOffline(true);
    await until('it is cut', async () => (await tab.call('status')) !== 'connected');
    await tab.call('send', 'reload', 'queued 1');
    await tab.call('send', 'reload', 'queued 2');
    await other.say('three');
    // The pages are served by the test itself, so they load without a network too.
    await tab.page.reload();
    await tab.call('start', await tokenOf('ann', { name: 'ann' }), { store: 's' });
    await tab.call('open', 'reload');
    await tab.holds('reload', ['one', 'two']);
    expect(await tab.call('status')).not.toBe('connected');
    expect(await tab.call('rooms')).toEqual(['reload']);
    expect(await tab.call('outgoing', 'reload')).toEqual(['queued 1 sending', 'queued 2 sending']);
    await tab.page.context().setOffline(false);
    const all = ['one', 'two', 'three', 'queued 1', 'queued 2'];
    await tab.holds('reload', all);
    expect(other.bodies()).toEqual(all);
    expect(await tab.call('outgoing', 'reload')).toEqual([]);
    expect(await tab.call('storeError')).toBeUndefined();
  });

  it('keeps nothing of a user who signs out', async () => {
    const other = await channel('forgotten');
    const tab = await lab.tab(await lab.profile(), 'ann', { store: 'f' });
    await tab.call('call', 'room:join', { room: 'forgotten' });
    await tab.call('open', 'forgotten');
    await other.say('secret');
    await tab.holds('forgotten', ['secret']);
    await tab.call('forget');
    expect(await tab.page.evaluate(`lab.indexedDb('f').list('')`)).toEqual([]);
  });
});

describe('two tabs', () => {
  it('share one connection: both are live, and each message is sent once', async () => {
    const other = await channel('shared');
    const before = await lab.connections();
    const [first, second] = await both('shared', 'ann');
    expect(await lab.connections()).toBe(before + 1);
    expect([first.sockets, second.sockets]).toEqual([1, 0]);
    await other.say('hello');
    for (const tab of [first, second]) {
      await tab.holds('shared', ['hello']);
      expect(await tab.call('unread', 'shared')).toBe(1);
    }
    await second.call('markRead', 'shared');
    await until('the first has it read', async () => (await first.call('unread', 'shared')) === 0);
    for (let round = 1; round <= 3; round += 1) {
      await first.call('send', 'shared', `first ${round}`);
      await second.call('send', 'shared', `second ${round}`);
    }
    await until('all are sent', async () => (await second.call('settled')).length === 3);
    await until('the other has all', () => other.bodies().length === 7);
    for (const tab of [first, second]) {
      await tab.holds('shared', other.bodies());
      expect(await tab.call('outgoing', 'shared')).toEqual([]);
    }
    for (const name of ['first', 'second']) {
      expect(other.bodies().filter((body) => String(body).startsWith(name))).toEqual(
        [1, 2, 3].map((n) => `${name} ${n}`),
      );
    }
  });

  it('transfer the connection when the leader is closed, and lose nothing', async () => {
    const other = await channel('transferred');
    const [first, second] = await both('transferred', 'ann', { store: 'h' });
    await first.page.context().setOffline(true);
    await until('both are cut', async () => {
      const states = await Promise.all([first, second].map((tab) => tab.call('status')));
      return states.every((status) => status !== 'connected');
    });
    await first.call('send', 'transferred', 'written in the first');
    await second.call('send', 'transferred', 'written in the second');
    expect(await second.call('outgoing', 'transferred')).toEqual([
      'written in the first sending',
      'written in the second sending',
    ]);
    await other.say('missed');
    await first.page.close();
    await second.page.context().setOffline(false);
    await second.connected();
    expect(second.sockets).toBeGreaterThan(0);
    const all = ['missed', 'written in the first', 'written in the second'];
    await second.holds('transferred', all);
    await until('the other has all', () => other.bodies().length === 3);
    expect(other.bodies()).toEqual(all);
    expect(await second.call('settled')).toEqual(['written in the second is 3']);
  });

  it('transfer it at once when the leader crashes', async () => {
    const other = await channel('crashed');
    const [first, second] = await both('crashed', 'ann');
    const session = await first.page.context().newCDPSession(first.page);
    // The request gets no answer.
    void session.send('Page.crash').catch(() => undefined);
    await until('the second leads', () => second.sockets > 0);
    await second.connected();
    await other.say('after the crash');
    await second.holds('crashed', ['after the crash']);
  });

  it('transfer it when the browser freezes the leader, which follows after the freeze', async () => {
    const other = await channel('frozen');
    const [first, second] = await both('frozen', 'ann');
    // Chromium freezes hidden pages only, and headless ones never are: the events it would send. A page in which really
    // nothing runs is the next test's.
    await first.page.evaluate(`document.dispatchEvent(new Event('freeze'))`);
    await until('the second leads', () => second.sockets > 0);
    await other.say('while it was frozen');
    await second.holds('frozen', ['while it was frozen']);
    expect(await first.call('status')).toBe('connecting');
    await first.page.evaluate(`document.dispatchEvent(new Event('resume'))`);
    await first.holds('frozen', ['while it was frozen']);
    expect(first.sockets).toBe(1);
    await first.call('send', 'frozen', 'back');
    await second.holds('frozen', ['while it was frozen', 'back']);
    // Left for another page, it is gone at once.
    await second.page.goto('about:blank');
    await until('the first leads', () => first.sockets === 2);
    await other.say('and again');
    await first.holds('frozen', ['while it was frozen', 'back', 'and again']);
  });

  it('take it from a leader that is stuck, which follows when it moves again', async () => {
    const other = await channel('stuck');
    const [first, second] = await both('stuck', 'ann');
    const session = await first.page.context().newCDPSession(first.page);
    await session.send('Debugger.enable');
    await session.send('Debugger.pause');
    // The page stops at its next task.
    void first.page.evaluate('1').catch(() => undefined);
    await second.call('send', 'stuck', 'anybody there?');
    await until('the second leads', () => second.sockets > 0, 40_000);
    await second.holds('stuck', ['anybody there?']);
    await until('the other has it once', () => other.bodies().length === 1);
    await session.send('Debugger.resume');
    await session.send('Debugger.disable');
    await first.holds('stuck', ['anybody there?']);
    await first.call('send', 'stuck', 'here again');
    await second.holds('stuck', ['anybody there?', 'here again']);
    expect(other.bodies()).toEqual(['anybody there?', 'here again']);
  });

  it('watch together: both get the presence, and the remaining one continues', async () => {
    const other = await channel('watched');
    const [first, second] = await both('watched', 'ann');
    for (const tab of [first, second]) await tab.call('watchMembers', 'watched');
    for (const tab of [first, second]) {
      await until('both are there', async () => {
        const present = await tab.call('present', 'watched');
        return present['ann'] === true && present['other'] === true;
      });
    }
    await first.page.close();
    other.leave();
    await until('the other has gone', async () => (await second.call('present', 'watched'))['other'] === false, 30_000);
  });

  it('share nothing if they are of two users', async () => {
    const profile = await lab.profile();
    const [ann, ben] = [await lab.tab(profile, 'ann'), await lab.tab(profile, 'ben')];
    await Promise.all([ann.connected(), ben.connected()]);
    expect([ann.sockets, ben.sockets]).toEqual([1, 1]);
    expect(await lab.connections()).toBe(2);
  });

  it('have a connection each with the option for it', async () => {
    const profile = await lab.profile();
    const tabs = [await lab.tab(profile, 'ann', { tabs: false }), await lab.tab(profile, 'ann', { tabs: false })];
    await Promise.all(tabs.map((tab) => tab.connected()));
    expect(await lab.connections()).toBe(2);
  });
});
