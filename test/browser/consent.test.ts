/** The demo on a server that asks people before they are in a room: groups, and rooms of two. */
import { expect, it, vi } from 'vitest';
import { audit } from './audit.ts';
import type { Person } from './browser.ts';
import { useStage } from './stage.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const stage = useStage(undefined, 'consent');
const visit = async (name: string): Promise<Person> => (await stage.arrive()).enter(name);

it('people are in a group only after they accepted', async () => {
  const [ann, ben] = await Promise.all([visit('Ann'), visit('Ben')]);
  await ann.create('Group', 'asked');
  await ann.page.getByRole('button', { name: 'Invite people' }).click();
  await ann.page.getByRole('button', { name: 'Invite Ben', exact: true }).click();
  await ann.page.getByRole('button', { name: 'Invited Ben', exact: true }).waitFor();
  await ann.page.keyboard.press('Escape');
  await ben.page.getByRole('button', { name: 'Notifications, 1 new' }).click();
  expect(await ben.link('asked').count()).toBe(0);
  await ben.page.getByRole('dialog').getByRole('button', { name: 'Accept asked' }).click();
  await ben.inRoom('asked');
  await ben.say('here I am');
  await ann.hears('here I am');
});

it('a room of two is asked for, answered, left and asked for again', async () => {
  const [ann, ben] = await Promise.all([visit('Ann'), visit('Ben')]);
  await ann.create('Channel', 'meeting place');
  await ben.join('meeting place');
  await ann.page.getByRole('button', { name: 'Write to Ben' }).click();
  await ann.inRoom('Ben');
  await ann.say('may I?');
  await ben.page.getByRole('button', { name: 'Notifications, 1 new' }).click();
  const panel = ben.page.getByRole('dialog');
  await panel.getByText('wants to write to you').waitFor();
  expect(await audit(ben.page)).toEqual([]);
  await panel.getByRole('button', { name: 'Accept Ann' }).click();
  await ben.inRoom('Ann');
  await ben.hears('may I?');
  await ben.say('of course');
  await ann.hears('of course');
  await ann.page.locator('.chat-head', { hasText: 'Online' }).waitFor();
  await ben.page.getByRole('button', { name: 'Room settings' }).click();
  await ben.page.getByRole('tab', { name: 'More' }).click();
  await ben.page.getByRole('button', { name: 'Leave…' }).click();
  await ben.page.getByRole('dialog').getByRole('button', { name: 'Leave', exact: true }).click();
  await ben.link('Ann').waitFor({ state: 'detached' });
  await ann.say('gone?');
  await ben.open('meeting place');
  await ben.page.getByRole('button', { name: 'Write to Ann' }).click();
  await ben.inRoom('Ann');
  await ben.hears('gone?');
});
