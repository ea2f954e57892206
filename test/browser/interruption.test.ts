import { expect, it, vi } from 'vitest';
import type { Person } from './browser.ts';
import { useStage } from './stage.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

/** The message of Chromium for a failed connection, which these tests cause. */
const interruptions = /WebSocket connection|ERR_INTERNET_DISCONNECTED|ERR_CONNECTION/;

const stage = useStage(interruptions);

async function pair(channel: string): Promise<[Person, Person]> {
  const [ann, ben] = (await Promise.all(['Ann', 'Ben'].map(async (name) => (await stage.arrive()).enter(name)))) as [
    Person,
    Person,
  ];
  await ann.create('Channel', channel);
  await ben.join(channel);
  return [ann, ben];
}

it('delivers what was written offline once, in order, and catches up on what was missed', async () => {
  const [ann, ben] = await pair('offline');
  await ann.say('before');
  await ann.page.context().setOffline(true);
  await ann.banner.waitFor();
  await ann.write('queued 1');
  await ann.write('queued 2');
  await ann.write('queued 3');
  await ann.page.locator('.item[data-state=sending]').nth(2).waitFor();
  await ben.say('meanwhile');
  await ann.page.context().setOffline(false);
  await ben.reach('queued 3');
  await ann.reach('queued 3');
  await ann.banner.waitFor({ state: 'detached' });
  const expected = ['before', 'meanwhile', 'queued 1', 'queued 2', 'queued 3'];
  expect(await ben.texts()).toEqual(expected);
  expect(await ann.texts()).toEqual(expected);
});

it('keeps what waits over a reload of the page', async () => {
  const [ann, ben] = await pair('kept');
  await stage.parley.kill();
  await ann.banner.waitFor();
  await ann.write('written before the reload');
  await ann.page.locator('.item[data-state=sending]').waitFor();
  // The server is unavailable, so that the page has to be up again before a reload.
  await stage.parley.start();
  await ann.page.reload();
  await ann.reach('written before the reload');
  await ben.reach('written before the reload');
  expect(await ben.texts()).toEqual(['written before the reload']);
});

// The field was emptied although the outbox was full, and the message was nowhere.
it('leaves what cannot be queued any more in the field, and says so', async () => {
  const [ann] = await pair('full');
  await ann.page.context().setOffline(true);
  await ann.banner.waitFor();
  // Another tab publishes its messages of the other room, because typing all of them takes minutes.
  await ann.page.evaluate(`{
    const { token } = JSON.parse(localStorage.getItem('parley.session'));
    const { sub } = JSON.parse(atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')));
    const put = Array.from({ length: 500 }, (_, at) => (
      { input: { room: 'general', id: crypto.randomUUID(), body: { text: 'waits' } }, at: Date.now() + at }));
    const tabs = new BroadcastChannel('parley ' + new URL('.', location.href).href + ' ' + sub);
    tabs.postMessage(JSON.stringify({ kind: 'outbox', news: { put }, from: 'another tab' }));
    tabs.close();
  }`);
  await ann.banner.getByText('500 messages wait').waitFor();
  await ann.write('one too many');
  await ann.page.getByText('Too many messages wait to be sent').waitFor();
  expect(await ann.field.inputValue()).toBe('one too many');
  expect(await ann.item('one too many').count()).toBe(0);
});

it('lives through a server that is killed and comes back', async () => {
  const [ann, ben] = await pair('killed');
  await ann.say('before');
  await ben.reach('before');
  await stage.parley.kill();
  await Promise.all([ann.banner.waitFor(), ben.banner.waitFor()]);
  await ann.write('while it was down 1');
  await ann.write('while it was down 2');
  await stage.parley.start();
  await ann.page
    .getByRole('button', { name: 'Try now' })
    .click({ timeout: 2000 })
    .catch(() => undefined);
  await ann.reach('while it was down 2');
  await ben.reach('while it was down 2');
  const expected = ['before', 'while it was down 1', 'while it was down 2'];
  expect(await ann.texts()).toEqual(expected);
  expect(await ben.texts()).toEqual(expected);
  await ann.banner.waitFor({ state: 'detached' });
});
