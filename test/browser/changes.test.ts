import { describe, expect, it, vi } from 'vitest';
import { until } from '../support/until.ts';
import { audit } from './audit.ts';
import type { Person } from './browser.ts';
import { useStage } from './stage.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const stage = useStage();

async function visit(name: string): Promise<Person> {
  return (await stage.arrive()).enter(name);
}

/** Two people in a channel that is theirs alone. */
async function pair(channel: string): Promise<[Person, Person]> {
  const [ann, ben] = await Promise.all([visit('Ann'), visit('Ben')]);
  await ann.create('Channel', channel);
  await ben.join(channel);
  return [ann, ben];
}

async function act(person: Person, text: string, action: string): Promise<void> {
  await person.stored(text).hover();
  await person.stored(text).getByRole('button', { name: action, exact: true }).click();
}

describe('two people', () => {
  it('react to a message, see the counts, and take it back', async () => {
    const [ann, ben] = await pair('reacting');
    await ann.say('lunch?');
    await ben.reach('lunch?');
    await act(ben, 'lunch?', 'React');
    await ben.page.getByRole('button', { name: 'thumbs up', exact: true }).click();
    const hers = ann.stored('lunch?').getByRole('button', { name: 'thumbs up: 1' });
    await hers.waitFor();
    expect(await hers.getAttribute('aria-pressed')).toBe('false');
    await hers.click();
    const his = ben.stored('lunch?').getByRole('button', { name: 'thumbs up: 2' });
    await his.waitFor();
    expect(await his.getAttribute('aria-pressed')).toBe('true');
    await his.click();
    await ann.stored('lunch?').getByRole('button', { name: 'thumbs up: 1' }).waitFor();
    await ann.stored('lunch?').getByRole('button', { name: 'thumbs up: 1' }).click();
    await ben.stored('lunch?').locator('.chip').waitFor({ state: 'detached' });
  });

  it('find the reactions again after a reload, with their own marked', async () => {
    const [ann, ben] = await pair('kept');
    await ann.say('keep this');
    await ben.reach('keep this');
    await act(ben, 'keep this', 'React');
    await ben.page.getByRole('button', { name: 'rocket', exact: true }).click();
    await ann.stored('keep this').getByRole('button', { name: 'rocket: 1' }).waitFor();
    for (const [person, pressed] of [
      [ann, 'false'],
      [ben, 'true'],
    ] as const) {
      await person.page.reload();
      await person.inRoom('kept');
      const chip = person.stored('keep this').getByRole('button', { name: 'rocket: 1' });
      await chip.waitFor();
      expect(await chip.getAttribute('aria-pressed')).toBe(pressed);
    }
  });

  it('edit what is theirs, and the other sees that it was edited', async () => {
    const [ann, ben] = await pair('editing');
    await ann.say('meet at fvie');
    await ben.reach('meet at fvie');
    await ben.stored('meet at fvie').hover();
    expect(await ben.stored('meet at fvie').getByRole('button', { name: 'Edit' }).count()).toBe(0);
    await act(ann, 'meet at fvie', 'Edit');
    const field = ann.page.getByRole('textbox', { name: 'New text' });
    expect(await field.inputValue()).toBe('meet at fvie');
    await field.fill('meet at five');
    await field.press('Enter');
    await ben.reach('meet at five');
    await ben.stored('meet at five').getByText('edited').waitFor();
    await ann.stored('meet at five').getByText('edited').waitFor();
    expect(await ben.texts()).toEqual(['meet at five']);
    await act(ann, 'meet at five', 'Edit');
    await field.fill('never mind');
    await field.press('Escape');
    await field.waitFor({ state: 'detached' });
    expect(await ann.texts()).toEqual(['meet at five']);
  });

  it('delete what is theirs after a question, and it is gone from the list of rooms too', async () => {
    const [ann, ben] = await pair('deleting');
    await ann.say('stays');
    await ann.say('regretted');
    await ben.reach('regretted');
    await act(ann, 'regretted', 'Delete');
    await ann.page.getByRole('button', { name: 'Cancel' }).click();
    await ann.page.getByRole('dialog').waitFor({ state: 'detached' });
    await act(ann, 'regretted', 'Delete');
    await ann.page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click();
    await ben.reach('Message deleted');
    await ann.reach('Message deleted');
    expect(await ben.texts()).toEqual(['stays', 'Message deleted']);
    await ben.link('deleting').getByText('Message deleted').waitFor();
    expect(await ben.stored('Message deleted').getByRole('button').count()).toBe(0);
    await ben.page.reload();
    await ben.inRoom('deleting');
    await until('it is shown again', async () => (await ben.texts()).join() === 'stays,Message deleted');
  });
});

describe('with the keyboard alone', () => {
  it('a reaction is picked with the arrow keys, and Escape gives the focus back', async () => {
    const [ann] = await pair('keys');
    await ann.say('press');
    const bar = ann.stored('press').getByRole('toolbar');
    await bar.getByRole('button', { name: 'React' }).focus();
    await ann.page.keyboard.press('Enter');
    const picker = ann.page.getByRole('dialog', { name: 'Pick a reaction' });
    await picker.waitFor();
    await ann.page.keyboard.press('Escape');
    await picker.waitFor({ state: 'detached' });
    await ann.page.keyboard.press('Enter');
    await picker.waitFor();
    for (const key of ['ArrowRight', 'ArrowDown', 'Enter']) await ann.page.keyboard.press(key);
    // One to the right, one row of six down.
    await ann.stored('press').getByRole('button', { name: 'angry: 1' }).waitFor();
    // Delete is the last action, and Edit is before it.
    for (const key of ['End', 'ArrowLeft', 'Enter']) await ann.page.keyboard.press(key);
    await ann.page.getByRole('textbox', { name: 'New text' }).fill('pressed');
    await ann.page.keyboard.press('Enter');
    await ann.reach('pressed');
  });
});

describe('on a phone', () => {
  it('the actions come with a long press or the button beside the message, and fit the screen', async () => {
    const [ann] = await pair('desk');
    await ann.say('hold me');
    const ben = await (
      await stage.arrive({ viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true })
    ).enter('Ben');
    await ben.page.getByRole('button', { name: 'Back to the conversations' }).click();
    await ben.join('desk');
    await ben.reach('hold me');
    await ben.stored('hold me').getByRole('button', { name: 'Actions' }).click();
    await ben.stored('hold me').getByRole('button', { name: 'React' }).click();
    const picker = ben.page.getByRole('dialog', { name: 'Pick a reaction' });
    await picker.waitFor();
    const box = await picker.boundingBox();
    expect(box?.x).toBeGreaterThanOrEqual(0);
    expect((box?.x ?? 0) + (box?.width ?? 0)).toBeLessThanOrEqual(360);
    await picker.getByRole('button', { name: 'heart' }).tap();
    await ann.stored('hold me').getByRole('button', { name: 'heart: 1' }).waitFor();
    const bubble = await ben.stored('hold me').locator('.bubble').boundingBox();
    const touch = await ben.page.context().newCDPSession(ben.page);
    const point = { x: (bubble?.x ?? 0) + 10, y: (bubble?.y ?? 0) + 10 };
    await touch.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: [point] });
    await ben.stored('hold me').getByRole('button', { name: 'Reply' }).waitFor();
    await touch.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
    await ben.stored('hold me').getByRole('button', { name: 'Reply' }).tap();
    await ben.say('held');
    await ann.reach('held');
  });
});

it.each(['light', 'dark'] as const)(
  'passes the audit with reactions, edits and the picker open, %s',
  async (colorScheme) => {
    const [ann] = await pair(`audit-${colorScheme}`);
    await ann.page.emulateMedia({ colorScheme });
    await ann.say('to be edited');
    await act(ann, 'to be edited', 'Edit');
    await ann.page.getByRole('textbox', { name: 'New text' }).fill('edited text');
    await ann.page.keyboard.press('Enter');
    await ann.reach('edited text');
    await ann.say('to be deleted');
    await act(ann, 'to be deleted', 'Delete');
    expect(await audit(ann.page)).toEqual([]);
    await ann.page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click();
    await ann.reach('Message deleted');
    await act(ann, 'edited text', 'React');
    await ann.page.getByRole('button', { name: 'heart', exact: true }).click();
    await ann.stored('edited text').getByRole('button', { name: 'heart: 1' }).waitFor();
    await act(ann, 'edited text', 'React');
    expect(await audit(ann.page)).toEqual([]);
  },
);
