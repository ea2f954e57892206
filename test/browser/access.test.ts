import { describe, expect, it, vi } from 'vitest';
import { audit } from './audit.ts';
import { useStage } from './stage.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
const stage = useStage();

describe('on a phone', () => {
  it('shows the room or the list, and goes back to where it came from', async () => {
    const ann = await (await stage.arrive(phone)).enter('Ann');
    await ann.page.getByRole('navigation').waitFor({ state: 'hidden' });
    await ann.page.getByRole('button', { name: 'Back to the conversations' }).click();
    await ann.page.getByRole('navigation').waitFor();
    await ann.field.waitFor({ state: 'hidden' });
    await ann.link('general').click();
    await ann.inRoom('general');
    await ann.page.goBack();
    await ann.page.getByRole('navigation').waitFor();
  });

  it('lays the members over the room and gives the focus back', async () => {
    const ann = await (await stage.arrive(phone)).enter('Ann');
    const toggle = ann.page.getByRole('button', { name: 'Members', exact: true });
    await toggle.click();
    await ann.page.getByRole('complementary').getByText('Ann').first().waitFor();
    await ann.page.keyboard.press('Escape');
    await ann.page.getByRole('complementary').waitFor({ state: 'detached' });
    expect(await ann.page.evaluate<string>('document.activeElement.title')).toBe('Members');
  });

  it('does not scroll sideways, whatever is written', async () => {
    const ann = await (await stage.arrive(phone)).enter('Ann');
    await ann.say('w'.repeat(400));
    await ann.say(`https://example.org/${'a'.repeat(300)}`);
    expect(await audit(ann.page)).toEqual([]);
  });
});

it('is used with the keyboard alone', async () => {
  const ann = await stage.arrive();
  await ann.page.keyboard.type('Keyboard Ann');
  await ann.page.keyboard.press('Enter');
  await ann.mayType('general');
  await ann.page.keyboard.type('no mouse');
  await ann.page.keyboard.press('Enter');
  await ann.reach('no mouse');
  await ann.page.getByRole('button', { name: 'New channel or group' }).focus();
  await ann.page.keyboard.press('Enter');
  await ann.page.locator('dialog input[name=name]:focus').waitFor();
  await ann.page.keyboard.type('by hand');
  await ann.page.keyboard.press('Enter');
  await ann.mayType('by hand');
  await ann.page.keyboard.type('still none');
  await ann.page.keyboard.press('Enter');
  await ann.reach('still none');
});

it('takes the focus into a dialog and gives it back, however that is closed', async () => {
  const ann = await (await stage.arrive()).enter('Ann');
  await ann.create('Channel', 'focus');
  // Else the new room takes the focus between the button's and the key.
  await ann.mayType('focus');
  const dialog = ann.page.getByRole('dialog');
  for (const name of ['Notifications', 'Browse channels', 'New channel or group', 'Room settings', 'Invite people']) {
    const opener = ann.page.getByRole('button', { name, exact: true });
    for (const way of ['Escape', 'Close']) {
      await opener.press('Enter');
      await dialog.locator(':focus').waitFor();
      if (way === 'Escape') await ann.page.keyboard.press('Escape');
      else await dialog.getByRole('button', { name: 'Close', exact: true }).press('Enter');
      await dialog.waitFor({ state: 'detached' });
      await ann.page.locator(':focus').and(opener).waitFor();
    }
  }
});

it('keeps the focus when a button is disabled or removed by its own action', async () => {
  const ann = await (await stage.arrive()).enter('Ann');
  await ann.create('Channel', 'kept focus');
  await ann.mayType('kept focus');
  await ann.page.getByRole('button', { name: 'Room settings' }).click();
  const dialog = ann.page.getByRole('dialog');
  await dialog.getByRole('tab', { name: 'More' }).click();
  await dialog.getByRole('button', { name: 'Archive', exact: true }).press('Enter');
  await dialog.locator(':focus', { hasText: /^Unarchive$/ }).waitFor();
  await ann.page.keyboard.press('Enter');
  await dialog.locator(':focus', { hasText: /^Archive$/ }).waitFor();
});

describe.each(['light', 'dark'] as const)('in %s', (colorScheme) => {
  it('names every control, and all text can be read', async () => {
    const ann = await stage.arrive({ colorScheme });
    expect(await audit(ann.page)).toEqual([]);
    await ann.enter('Ann');
    const ben = await (await stage.arrive({ colorScheme })).enter('Ben');
    await ben.say(`an address in ${colorScheme}: https://example.org`);
    await ann.say(`read in ${colorScheme}`);
    await ann.page.getByRole('button', { name: 'Write to Ben' }).first().waitFor();
    expect(await audit(ann.page)).toEqual([]);
    for (const dialog of ['New channel or group', 'Browse channels', 'Invite people']) {
      const opener = ann.page.getByRole('button', { name: dialog });
      // Only the first visitor owns `general` and may invite.
      if ((await opener.count()) === 0) continue;
      await opener.click();
      await ann.page.getByRole('dialog').waitFor();
      expect(await audit(ann.page)).toEqual([]);
      await ann.page.keyboard.press('Escape');
      await ann.page.getByRole('dialog').waitFor({ state: 'detached' });
    }
  });
});

it('remembers the theme that was chosen', async () => {
  const ann = await (await stage.arrive({ colorScheme: 'light' })).enter('Ann');
  await ann.page.getByRole('button', { name: 'Use the dark theme' }).click();
  await ann.page.reload();
  await ann.inRoom('general');
  expect(await ann.page.evaluate<string>('getComputedStyle(document.documentElement).colorScheme')).toBe('dark');
  await ann.page.getByRole('button', { name: 'Use the light theme' }).waitFor();
});
