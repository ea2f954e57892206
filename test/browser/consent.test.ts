/** The demo on a server with invitations: groups and direct rooms need the consent of the invited user. */
import { expect, it, vi } from 'vitest';
import { audit } from './audit.ts';
import type { Person } from './browser.ts';
import { useStage } from './stage.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const stage = useStage(undefined, 'consent');
const visit = async (name: string): Promise<Person> => (await stage.arrive()).enter(name);

it('people are in a group only after they accepted', async () => {
  const [ann, ben] = await Promise.all([visit('Ann'), visit('Ben')]);
  await ann.create('Group', 'invited');
  await ann.page.getByRole('button', { name: 'Invite people' }).click();
  await ann.page.getByRole('button', { name: 'Invite Ben', exact: true }).click();
  await ann.page.getByRole('button', { name: 'Invited Ben', exact: true }).waitFor();
  await ann.page.keyboard.press('Escape');
  await ben.page.getByRole('button', { name: 'Notifications, 1 new' }).click();
  expect(await ben.link('invited').count()).toBe(0);
  await ben.page.getByRole('dialog').getByRole('button', { name: 'Accept invited' }).click();
  await ben.inRoom('invited');
  await ben.say('here I am');
  await ann.reach('here I am');
});

it('a direct room is requested, accepted, left and requested again', async () => {
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
  await ben.reach('may I?');
  await ben.say('of course');
  await ann.reach('of course');
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
  await ben.reach('gone?');
});

it('a blocked user reaches the other one by no way, until the block is lifted', async () => {
  const [ann, ben] = await Promise.all([visit('Ann'), visit('Bruno')]);
  await ann.create('Channel', 'square');
  await ben.join('square');
  const row = ben.page.locator('.person-row', { hasText: 'Ann' });
  const bell = (name: string) => ben.page.getByRole('button', { name, exact: true });
  await ben.page.getByRole('button', { name: 'About Ann' }).click();
  const card = ben.page.getByRole('dialog', { name: 'About Ann' });
  await card.getByRole('button', { name: 'Block…' }).click();
  await card.getByText('sees you as offline').waitFor();
  expect(await audit(ben.page)).toEqual([]);
  await card.getByRole('button', { name: 'Block Ann' }).click();
  await card.waitFor({ state: 'detached' });
  await row.getByText('blocked', { exact: true }).waitFor();
  // The page says what the server says.
  await ben.page.getByRole('button', { name: 'Write to Ann' }).click();
  await ben.page.getByRole('alert').filter({ hasText: 'blocked' }).waitFor();

  // To the blocked user the other one has gone, and all else is as before.
  await ann.page.getByRole('button', { name: 'Write to Bruno , offline' }).waitFor();
  await ann.page.getByRole('button', { name: 'Write to Bruno' }).click();
  await ann.inRoom('Bruno');
  await ann.say('are you there?');
  await ann.create('Group', 'a trap');
  await ann.page.getByRole('button', { name: 'Invite people' }).click();
  await ann.page.getByRole('button', { name: 'Invite Bruno', exact: true }).click();
  await ann.page.getByRole('button', { name: 'Invited Bruno', exact: true }).waitFor();
  await ann.page.keyboard.press('Escape');
  await ann.open('square');
  await ann.say('@room listen');
  await ben.reach('listen');
  expect(await bell('Notifications').count()).toBe(1);

  await ben.page.reload();
  await ben.inRoom('square');
  await row.getByText('blocked', { exact: true }).waitFor();
  expect(await bell('Notifications').count()).toBe(1);
  await ben.page.getByRole('button', { name: 'Your settings' }).click();
  const blocked = ben.page.getByRole('region', { name: 'Blocked users' });
  await blocked.getByRole('button', { name: 'Unblock Ann' }).waitFor();
  expect(await audit(ben.page)).toEqual([]);
  await blocked.getByRole('button', { name: 'Unblock Ann' }).click();
  await blocked.getByText('Nobody.').waitFor();
  await ben.page.keyboard.press('Escape');
  await row.getByText('blocked', { exact: true }).waitFor({ state: 'detached' });

  await ann.page.getByRole('button', { name: 'Write to Bruno , online' }).waitFor();
  await bell('Notifications, 2 new').click();
  const panel = ben.page.getByRole('dialog');
  await panel.getByRole('button', { name: 'Accept a trap' }).waitFor();
  await panel.getByRole('button', { name: 'Accept Ann' }).click();
  await ben.inRoom('Ann');
  await ben.reach('are you there?');
});

it('a block from the room of two leaves it, and the card lifts it too', async () => {
  const [ann, ben] = await Promise.all([visit('Ann'), visit('Ben')]);
  await ann.create('Channel', 'corner');
  await ben.join('corner');
  await ben.page.getByRole('button', { name: 'Write to Ann' }).click();
  await ben.inRoom('Ann');
  await ann.page.getByRole('button', { name: 'Notifications, 1 new' }).click();
  await ann.page.getByRole('dialog').getByRole('button', { name: 'Accept Ben' }).click();
  await ann.inRoom('Ben');
  await ben.page.getByRole('button', { name: 'Members' }).click();
  await ben.page.getByRole('button', { name: 'About Ann' }).click();
  await ben.page.getByRole('button', { name: 'Block…' }).click();
  await ben.page.getByText('You leave this conversation.').waitFor();
  await ben.page.getByRole('button', { name: 'Block Ann' }).click();
  await ben.link('Ann').waitFor({ state: 'detached' });
  await ann.say('hello?');
  await ben.open('corner');
  await ben.page.getByRole('button', { name: 'About Ann' }).click();
  await ben.page.getByRole('dialog').getByRole('button', { name: 'Unblock Ann' }).click();
  await ben.page.getByRole('dialog').getByRole('button', { name: 'Block…' }).waitFor();
  await ben.page.keyboard.press('Escape');
  await ben.page.getByRole('button', { name: 'Write to Ann' }).click();
  await ben.inRoom('Ann');
  await ben.reach('hello?');
});
