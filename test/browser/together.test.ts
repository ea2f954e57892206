/** What the demo shows of the SDK's presence, and of several tabs of one person. */
import { expect, it, vi } from 'vitest';
import { until } from '../support/until.ts';
import type { Person } from './browser.ts';
import { useStage } from './stage.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const stage = useStage(/WebSocket connection|ERR_INTERNET_DISCONNECTED/);
const visit = async (name: string): Promise<Person> => (await stage.arrive()).enter(name);

it('shows who is there: in the member list, in the list of conversations, and in the room of two', async () => {
  const [ann, ben] = await Promise.all([visit('Ann'), visit('Ben')]);
  await ann.create('Group', 'who is there');
  const id = decodeURIComponent(new URL(ann.page.url()).hash.split('#/room/')[1] ?? '');
  await ann.page.getByRole('button', { name: 'Invite people' }).click();
  await ann.page.getByRole('button', { name: 'Invite Ben', exact: true }).click();
  await ann.page.keyboard.press('Escape');
  const inList = ann.page.getByRole('complementary').locator('.person', { hasText: 'Ben' });
  await inList.locator('[data-online=true]').waitFor();
  await inList.click();
  await ann.inRoom('Ben');
  await ann.link('Ben').locator('[data-online=true]').waitFor();
  await ann.page.locator('.chat-head', { hasText: 'Online' }).waitFor();
  await ben.page.context().close();
  await ann.link('Ben').locator('[data-online=false]').waitFor();
  await ann.page.locator('.chat-head', { hasText: 'Offline' }).waitFor();
  await ann.page.goto(`${stage.parley.url}/#/room/${id}`);
  await inList.locator('[data-online=false]').waitFor();
});

it('keeps two tabs of one person alike on one connection, also when the first is closed', async () => {
  const [ann, ben] = await Promise.all([visit('Ann'), visit('Ben')]);
  await ann.create('Channel', 'two tabs');
  await ben.join('two tabs');
  const second = await ann.another();
  let sockets = 0;
  second.page.on('websocket', () => (sockets += 1));
  await second.page.goto(ann.page.url());
  await second.inRoom('two tabs');
  await ann.say('from the first');
  await second.hears('from the first');
  await second.say('from the second');
  await ann.hears('from the second');
  await ben.say('to both');
  await Promise.all([ann.hears('to both'), second.hears('to both')]);
  expect(sockets).toBe(0);
  await ann.page.context().setOffline(true);
  await second.banner.waitFor();
  await ann.write('offline in the first');
  // What waits is shown in every tab.
  await second.page.locator('.item[data-state=sending]', { hasText: 'offline in the first' }).waitFor();
  await ann.page.close();
  await second.page.context().setOffline(false);
  await second.hears('offline in the first');
  await ben.hears('offline in the first');
  expect(sockets).toBeGreaterThan(0);
  expect(await ben.texts()).toEqual(['from the first', 'from the second', 'to both', 'offline in the first']);
  expect(await second.texts()).toEqual(await ben.texts());
});

it('signs out of all tabs, and leaves nothing behind', async () => {
  const ann = await visit('Ann');
  await ann.create('Channel', 'signing out');
  await ann.say('a secret');
  const second = await ann.another();
  await second.page.goto(ann.page.url());
  await second.hears('a secret');
  await ann.page.getByRole('button', { name: 'Sign out' }).click();
  await second.page.getByLabel('Your name').waitFor();
  const kept = `new Promise((resolve) => {
    const opening = indexedDB.open('parley');
    opening.onsuccess = () => {
      const keys = opening.result.transaction('entries').objectStore('entries').getAllKeys();
      keys.onsuccess = () => { opening.result.close(); resolve(keys.result); };
    };
  })`;
  await until('nothing is kept', async () => (await ann.page.evaluate<unknown[]>(kept)).length === 0);
});
