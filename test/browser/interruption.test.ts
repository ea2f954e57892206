import { expect, it, vi } from 'vitest';
import type { Person } from './browser.ts';
import { useStage } from './stage.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

/** What Chromium prints when it cannot connect, and what these tests are about. */
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
  await ben.hears('queued 3');
  await ann.hears('queued 3');
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
  // The server is away, so the page has to be up again before it can be loaded.
  await stage.parley.start();
  await ann.page.reload();
  await ann.hears('written before the reload');
  await ben.hears('written before the reload');
  expect(await ben.texts()).toEqual(['written before the reload']);
});

it('lives through a server that is killed and comes back', async () => {
  const [ann, ben] = await pair('killed');
  await ann.say('before');
  await ben.hears('before');
  await stage.parley.kill();
  await Promise.all([ann.banner.waitFor(), ben.banner.waitFor()]);
  await ann.write('while it was down 1');
  await ann.write('while it was down 2');
  await stage.parley.start();
  await ann.page
    .getByRole('button', { name: 'Try now' })
    .click({ timeout: 2000 })
    .catch(() => undefined);
  await ann.hears('while it was down 2');
  await ben.hears('while it was down 2');
  const expected = ['before', 'while it was down 1', 'while it was down 2'];
  expect(await ann.texts()).toEqual(expected);
  expect(await ben.texts()).toEqual(expected);
  await ann.banner.waitFor({ state: 'detached' });
});
