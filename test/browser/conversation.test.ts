import type { BrowserContextOptions } from 'playwright-core';
import { WebSocket } from 'ws';
import { describe, expect, it, vi } from 'vitest';
import { connect } from '../../src/client/index.ts';
import { until } from '../support/until.ts';
import type { Person } from './browser.ts';
import { useStage } from './stage.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const stage = useStage();

async function visit(name: string, options?: BrowserContextOptions): Promise<Person> {
  return (await stage.arrive(options)).enter(name);
}

/** Two people in a channel that is theirs alone. */
async function pair(channel: string, second = 'Ben'): Promise<[Person, Person]> {
  const [ann, ben] = await Promise.all([visit('Ann'), visit(second)]);
  await ann.create('Channel', channel);
  await ben.join(channel);
  return [ann, ben];
}

describe('two people', () => {
  it('get the messages of each other, in one order, each message once', async () => {
    const [ann, ben] = await pair('talk');
    await ann.say('one');
    await ben.reach('one');
    await ben.say('two');
    await ann.reach('two');
    await Promise.all([ann.say('three from Ann'), ben.say('three from Ben')]);
    await Promise.all([ann.reach('three from Ben'), ben.reach('three from Ann')]);
    expect(await ann.texts()).toEqual(await ben.texts());
    expect(await ann.texts()).toHaveLength(4);
  });

  it('see who is typing, until the message is there', async () => {
    const [ann, ben] = await pair('typing');
    await ann.field.pressSequentially('hel');
    await ben.page.getByText('Ann is typing').waitFor();
    await ann.say('hello');
    await ben.reach('hello');
    await ben.page.getByText('Ann is typing').waitFor({ state: 'detached' });
  });

  it('have unread messages counted, marked and cleared', async () => {
    const [ann, ben] = await pair('unread');
    await ann.say('seen');
    await ben.reach('seen');
    await ben.open('general');
    await ann.say('missed 1');
    await ann.say('missed 2');
    await ben.link('unread').getByText('2 unread').waitFor();
    await until('the title has the count', async () => (await ben.page.title()) === '(2) Parley');
    await ben.open('unread');
    await ben.reach('missed 2');
    const order = await ben.page.locator('.unread-line, .item .text').allInnerTexts();
    expect(order).toEqual(['seen', 'New messages', 'missed 1', 'missed 2']);
    await ben.link('unread').locator('.badge').waitFor({ state: 'detached' });
    await until('the title has the count', async () => (await ben.page.title()) === 'Parley');
  });

  // The line was shown, and everything under it was marked as read.
  it('have unread what was not on the screen yet, until it is', async () => {
    const [ann, ben] = await pair('much unread');
    await ann.say('seen');
    await ben.reach('seen');
    await ben.open('general');
    await seed(await roomOf(ann), 40);
    await ben.link('much unread').getByText('40 unread').waitFor();
    await ben.open('much unread');
    await isReadFromItsLine(ben);
    await ann.say('one more');
    await ben.link('much unread').getByText('41 unread').waitFor();
    await scroll(ben, 1);
    await ben.link('much unread').locator('.badge').waitFor({ state: 'detached' });
  });

  // The list of rooms was empty when the room was drawn first, so there was no line, and the end was shown and marked.
  it('have the line where it was after a reload of the page', async () => {
    const [ann, ben] = await pair('loaded anew');
    await ann.say('seen');
    await ben.reach('seen');
    await ben.open('general');
    // So that what his browser keeps of the room ends there.
    await ben.page.reload();
    await ben.inRoom('general');
    await seed(await roomOf(ann), 40);
    await ben.link('loaded anew').getByText('40 unread').waitFor();
    const second = await ben.another();
    await second.page.goto(ann.page.url());
    await isReadFromItsLine(second);
    await ann.say('one more');
    await ben.link('loaded anew').getByText('41 unread').waitFor();
    await second.page.reload();
    await isReadFromItsLine(second);
    await ann.say('and one');
    await ben.link('loaded anew').getByText('42 unread').waitFor();
    await scroll(second, 1);
    await ben.link('loaded anew').locator('.badge').waitFor({ state: 'detached' });
  });

  it('reply to each other', async () => {
    const [ann, ben] = await pair('replies');
    await ann.say('Who has the key?');
    await ben.reach('Who has the key?');
    await ben.item('Who has the key?').hover();
    await ben.item('Who has the key?').getByRole('button', { name: 'Reply' }).click();
    await ben.say('I do');
    await ann.reach('I do');
    expect(await ann.item('I do').locator('.quote').innerText()).toBe('Ann Who has the key?');
  });

  it('write to each other directly', async () => {
    const [ann, ben] = await pair('meeting');
    await ann.page.getByRole('button', { name: 'Write to Ben' }).click();
    await ann.inRoom('Ben');
    await ann.say('between us');
    await ben.link('Ann').getByText('1 unread').waitFor();
    await ben.open('Ann');
    await ben.say('yes');
    await ann.reach('yes');
    expect(await ann.texts()).toEqual(['between us', 'yes']);
    // Two need no list of members, also where the page learns only later that they are two.
    await ann.page.reload();
    await ann.inRoom('Ben');
    expect(await ann.page.getByRole('complementary', { name: 'Members' }).count()).toBe(0);
  });

  it('meet in a group by invitation', async () => {
    const [ann, ben] = await pair('lobby', 'Grouped Ben');
    await ann.create('Group', 'committee');
    // The list used to come from names on the page. The list lacked him if the event of his join came late.
    await ann.page.reload();
    await ann.inRoom('committee');
    await ann.page.getByRole('button', { name: 'Invite people' }).click();
    await ann.page.getByRole('button', { name: 'Invite Grouped Ben' }).click();
    await ann.page.getByRole('button', { name: 'Invited Grouped Ben' }).waitFor();
    await ann.page.keyboard.press('Escape');
    await ann.say('welcome');
    await ben.open('committee');
    await ben.reach('welcome');
    await ben.page.getByRole('button', { name: 'Browse channels' }).click();
    await ben.page.getByRole('button', { name: 'Open lobby' }).waitFor();
    expect(await ben.page.getByRole('dialog').getByText('committee').count()).toBe(0);
  });

  it('leave, and are gone for the other', async () => {
    const [ann, ben] = await pair('leaving');
    await ann.page.getByRole('button', { name: 'Write to Ben' }).waitFor();
    await ben.page.getByRole('button', { name: 'Leave this channel' }).click();
    await ben.link('leaving').waitFor({ state: 'detached' });
    await ann.page.getByRole('button', { name: 'Write to Ben' }).waitFor({ state: 'detached' });
  });
});

describe('one person', () => {
  it('finds history and identity again after a reload', async () => {
    const [ann, ben] = await pair('reload');
    await ann.say('before');
    await ben.reach('before');
    await ann.page.reload();
    await ann.inRoom('reload');
    await ann.reach('before');
    await ann.say('after');
    await ben.reach('after');
    expect(await ann.page.locator('.group.mine .text').allInnerTexts()).toEqual(['before', 'after']);
    expect(await ben.page.locator('.author').allInnerTexts()).toEqual(['Ann']);
  });

  it('keeps a draft over a reload, and several lines in one message', async () => {
    const [ann] = await pair('draft');
    await ann.field.fill('first line');
    await ann.field.press('Shift+Enter');
    await ann.field.pressSequentially('second line');
    await ann.page.reload();
    await ann.inRoom('draft');
    await ann.field.press('Enter');
    await ann.reach('first line');
    expect(await ann.texts()).toEqual(['first line\nsecond line']);
  });

  it('gets addresses as links without a referrer, and markup as text', async () => {
    const [ann] = await pair('links');
    await ann.say('see https://example.org/a_(b)?q=1#x. <b>not bold</b> javascript:alert(1)');
    const link = ann.item('see').getByRole('link');
    expect(await link.count()).toBe(1);
    expect(await link.getAttribute('href')).toBe('https://example.org/a_(b)?q=1#x');
    expect(await link.getAttribute('rel')).toContain('noopener');
    expect(await ann.item('see').locator('b').count()).toBe(0);
  });

  it('reads older messages page by page, and stays where it was', async () => {
    const ann = await visit('Ann');
    await ann.create('Channel', 'long');
    const room = await roomOf(ann);
    await seed(room, 160);
    await ann.reach('entry 160');
    await ann.page.reload();
    await ann.reach('entry 160');
    expect((await ann.texts()).length).toBeLessThan(160);
    await until('the first message is there', async () => {
      await scroll(ann, 0);
      return (await ann.texts())[0] === 'entry 1';
    });
    expect(await ann.texts()).toEqual(Array.from({ length: 160 }, (_, at) => `entry ${at + 1}`));
    await ann.page.getByText('This is where the conversation began.').waitFor();
  });

  it('is not moved by what comes while it reads older messages', async () => {
    const [ann, ben] = await pair('place');
    await seed(await roomOf(ann), 60);
    await ann.reach('entry 60');
    await scroll(ann, 0.5);
    const jump = ann.page.getByRole('button', { name: /jump to the latest/ });
    await jump.waitFor();
    let before = -1;
    await until('the scroll position is stable', async () => {
      const { top } = await scrolled(ann);
      const still = top === before;
      before = top;
      return still;
    });
    await ben.say('news');
    await ann.page.getByRole('button', { name: /1 new/ }).waitFor();
    expect(await scrolled(ann).then(({ top }) => top)).toBe(before);
    await jump.click();
    await jump.waitFor({ state: 'detached' });
    await until('the end is shown', async () => (await scrolled(ann)).left < 60);
  });

  it('signs out, and the next one starts as somebody else', async () => {
    const ann = await visit('Ann');
    await ann.signOut();
    await ann.enter('Another');
    await ann.page.locator('.me-name', { hasText: 'Another' }).waitFor();
  });

  it('finds no draft of another in the same tab, and its own again', async () => {
    const ann = await visit('Ann');
    await ann.field.fill('for nobody else');
    const { token } = await stage.parley.guest('Ben');
    const hers = await ann.page.evaluate<string>(`localStorage.getItem('parley.session')`);
    const become = async (session: string, name: string): Promise<void> => {
      await ann.page.evaluate(`localStorage.setItem('parley.session', ${JSON.stringify(session)})`);
      await ann.page.reload();
      await ann.page.locator('.me-name', { hasText: name }).waitFor();
      await ann.inRoom('general');
    };
    await become(JSON.stringify({ token }), 'Ben');
    expect(await ann.field.inputValue()).toBe('');
    await become(hers, 'Ann');
    expect(await ann.field.inputValue()).toBe('for nobody else');
    await ann.signOut();
    await ann.page.getByLabel('Your name').waitFor();
    const kept = `Object.keys(sessionStorage).filter((key) => key.startsWith('parley.draft.'))`;
    await until('no draft is kept', async () => (await ann.page.evaluate<string[]>(kept)).length === 0);
  });

  it('comes in with a token', async () => {
    const { token } = await stage.parley.guest('Bearer');
    const arrived = await stage.arrive();
    await arrived.page.getByRole('button', { name: 'I have a token' }).click();
    await arrived.page.getByLabel('Token').fill(token);
    await arrived.page.getByLabel('Token').press('Enter');
    await arrived.inRoom('general');
  });

  it('sees the reason when its token is refused', async () => {
    const arrived = await stage.arrive();
    await arrived.page.getByRole('button', { name: 'I have a token' }).click();
    await arrived.page.getByLabel('Token').fill('nonsense');
    await arrived.page.getByRole('button', { name: 'Enter', exact: true }).click();
    await arrived.page.getByText('Signed out:').waitFor();
  });
});

/** The line is on the screen under the last message that was read, and the end is not. */
async function isReadFromItsLine({ page }: Person): Promise<void> {
  await page.locator('.unread-line').waitFor();
  await page.getByRole('button', { name: /jump to the latest/ }).waitFor();
  const shown = await page.locator('.unread-line, .item .text').allInnerTexts();
  expect(shown.slice(0, 3)).toEqual(['seen', 'New messages', 'entry 1']);
  const [line, log] = await Promise.all([
    page.locator('.unread-line').boundingBox(),
    page.locator('.log').boundingBox(),
  ]);
  expect(line?.y).toBeGreaterThan(log?.y ?? Infinity);
  expect(line?.y).toBeLessThan((log?.y ?? 0) + (log?.height ?? 0));
}

/** Text, for the page's own types are not known here. `to`: 0 the top, 1 the end. */
function scroll({ page }: Person, to: number): Promise<void> {
  return page.evaluate(`{ const log = document.querySelector('.log'); log.scrollTop = log.scrollHeight * ${to}; }`);
}

function scrolled({ page }: Person): Promise<{ top: number; left: number }> {
  return page.evaluate<{ top: number; left: number }>(
    `{ const log = document.querySelector('.log');
       ({ top: log.scrollTop, left: log.scrollHeight - log.scrollTop - log.clientHeight }); }`,
  );
}

async function roomOf({ page }: Person): Promise<string> {
  return decodeURIComponent((await until('a room is shown', () => new URL(page.url()).hash.split('#/room/')[1])) ?? '');
}

/** Another user fills a channel, with the SDK. */
async function seed(room: string, count: number): Promise<void> {
  const { token } = await stage.parley.guest('Seeder');
  const client = connect({ url: stage.parley.url, token, WebSocket });
  try {
    await client.joinRoom(room);
    const sent = Array.from({ length: count }, (_, at) => client.room(room).send({ text: `entry ${at + 1}` }));
    await Promise.all(sent);
  } finally {
    client.close();
  }
}
