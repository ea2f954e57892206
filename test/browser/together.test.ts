/** The demo with presence, and with several tabs of one person. */
import { WebSocket } from 'ws';
import { expect, it, vi } from 'vitest';
import { connect } from '../../src/client/index.ts';
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
  await second.reach('from the first');
  await second.say('from the second');
  await ann.reach('from the second');
  await ben.say('to both');
  await Promise.all([ann.reach('to both'), second.reach('to both')]);
  expect(sockets).toBe(0);
  await ann.page.context().setOffline(true);
  await second.banner.waitFor();
  await ann.write('offline in the first');
  // Every tab shows the unsent messages.
  await second.page.locator('.item[data-state=sending]', { hasText: 'offline in the first' }).waitFor();
  await ann.page.close();
  await second.page.context().setOffline(false);
  await second.reach('offline in the first');
  await ben.reach('offline in the first');
  expect(sockets).toBeGreaterThan(0);
  expect(await ben.texts()).toEqual(['from the first', 'from the second', 'to both', 'offline in the first']);
  expect(await second.texts()).toEqual(await ben.texts());
});

/** Another connection with the token of somebody's page takes that token back. */
async function takeBack(token: string): Promise<void> {
  const client = connect({ url: stage.parley.url, token, WebSocket });
  try {
    const { sessions } = await client.call('session:list', {});
    // This client uses the same token, and is mostly closed before the answer.
    await client.call('session:revoke', { session: sessions[0]?.session ?? '' }).catch(() => undefined);
    await until('it is not taken any more', () => client.state.value.status === 'closed');
  } finally {
    client.close();
  }
}

// The other tab took the end of the session for the wish of its user, and deleted the outbox of both.
it('signs a user with a revoked token out of all tabs, shows the reason, and keeps unsent messages', async () => {
  const ann = await visit('Ann');
  await ann.create('Channel', 'put out');
  const second = await ann.another();
  await second.page.goto(ann.page.url());
  await second.inRoom('put out');
  const token = await ann.page.evaluate<string>(`JSON.parse(localStorage.getItem('parley.session')).token`);
  const { sub: user } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { sub: string };
  await ann.page.context().setOffline(true);
  await Promise.all([ann.banner.waitFor(), second.banner.waitFor()]);
  await ann.write('not sent yet');
  await second.page.locator('.item[data-state=sending]', { hasText: 'not sent yet' }).waitFor();
  await takeBack(token);
  await ann.page.context().setOffline(false);
  for (const { page } of [ann, second]) await page.getByText('Signed out:').waitFor();
  await second.page.reload();
  await second.page.getByText('Signed out:').waitFor();
  const another = await stage.parley.command('token', '--user', user);
  await ann.page.getByRole('button', { name: 'I have a token' }).click();
  await ann.page.getByLabel('Token').fill(another.trim());
  await ann.page.getByLabel('Token').press('Enter');
  await Promise.all([ann.reach('not sent yet'), second.reach('not sent yet')]);
  // The reason is gone with the next session: this end of it is a wish.
  await second.page.getByRole('button', { name: 'Sign out' }).click();
  await ann.page.getByLabel('Your name').waitFor();
  await nothingIsKept(ann);
});

it('signs out of all tabs, and leaves nothing behind', async () => {
  const ann = await visit('Ann');
  await ann.create('Channel', 'signing out');
  await ann.say('a secret');
  const second = await ann.another();
  await second.page.goto(ann.page.url());
  await second.reach('a secret');
  await ann.signOut();
  await second.page.getByLabel('Your name').waitFor();
  await nothingIsKept(ann);
});

async function nothingIsKept({ page }: Person): Promise<void> {
  const kept = `new Promise((resolve) => {
    const opening = indexedDB.open('parley');
    opening.onsuccess = () => {
      const keys = opening.result.transaction('entries').objectStore('entries').getAllKeys();
      keys.onsuccess = () => { opening.result.close(); resolve(keys.result); };
    };
  })`;
  await until('nothing is kept', async () => (await page.evaluate<unknown[]>(kept)).length === 0);
}
