/** Threads, mentions, pins, receipts and other bodies than text. */
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { expect, it, vi } from 'vitest';
import { connect } from '../../src/client/index.ts';
import type { Client } from '../../src/client/index.ts';
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
  const item = person.page.locator('.chat .item[data-seq]', { hasText: text }).first();
  const button = item.getByRole('button', { name: action, exact: true });
  // The list may move between the two.
  await until(
    `${action} is pressed`,
    async () => {
      await item.hover();
      return button.click({ timeout: 2000 }).then(
        () => true,
        () => false,
      );
    },
    60_000,
  );
}

async function roomOf({ page }: Person): Promise<string> {
  return decodeURIComponent((await until('a room is shown', () => new URL(page.url()).hash.split('/')[2])) ?? '');
}

/** Somebody else in that room, without a window. */
async function withGuest(
  name: string,
  room: string,
  work: (client: Client, id: string) => Promise<void>,
): Promise<void> {
  const { token, user } = await stage.parley.guest(name);
  const client = connect({ url: stage.parley.url, token, WebSocket });
  try {
    await client.joinRoom(room);
    await work(client, user.id);
  } finally {
    client.close();
  }
}

const thread = ({ page }: Person) => page.getByRole('complementary', { name: 'Thread' });
const threadTexts = (person: Person): Promise<string[]> => thread(person).locator('.item .text').allInnerTexts();
const threadField = (person: Person) => person.page.getByRole('textbox', { name: 'Reply in the thread' });
const inThread = (person: Person, text: string) => thread(person).locator('.item[data-seq]', { hasText: text });
const chip = ({ page }: Person) => page.locator('.thread-chip');

async function answer(person: Person, text: string): Promise<void> {
  await threadField(person).fill(text);
  await threadField(person).press('Enter');
  await inThread(person, text).waitFor();
}

it('two people talk in a thread beside the room, and get notifications of threads that they follow', async () => {
  const [ann, ben] = await pair('threads');
  await ann.say('Where do we meet?');
  await ben.reach('Where do we meet?');
  await act(ben, 'Where do we meet?', 'Thread');
  await thread(ben).getByText('No replies yet').waitFor();
  await answer(ben, 'at the pier');
  // The author of a message follows its thread with the first reply.
  await chip(ann).getByText('1 reply', { exact: true }).waitFor();
  await chip(ann).getByText('1 unread').waitFor();
  await chip(ann).click();
  await inThread(ann, 'at the pier').waitFor();
  await until('it is read', async () => (await chip(ann).locator('.badge').count()) === 0);
  await answer(ann, 'when?');
  await inThread(ben, 'when?').waitFor();
  await answer(ben, 'at noon');
  await inThread(ann, 'at noon').waitFor();
  expect(await threadTexts(ann)).toEqual(['Where do we meet?', 'at the pier', 'when?', 'at noon']);
  expect(await threadTexts(ben)).toEqual(await threadTexts(ann));
  await chip(ann).getByText('3 replies').waitFor();

  const reply = inThread(ann, 'when?');
  await reply.hover();
  await reply.getByRole('button', { name: 'Delete', exact: true }).click();
  await ann.page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click();
  await inThread(ben, 'Message deleted').waitFor();
  await chip(ben).getByText('2 replies').waitFor();

  await threadField(ann).press('Escape');
  await thread(ann).waitFor({ state: 'detached' });
  await ann.page.locator('.thread-chip:focus').waitFor();
  await chip(ben).getByText('2 replies').waitFor();
  await answer(ben, 'bring the map');
  await chip(ann).getByText('1 unread').waitFor();
  await chip(ann).click();
  await thread(ann).getByRole('button', { name: 'Following' }).click();
  await thread(ann).getByRole('button', { name: 'Follow', exact: true }).waitFor();
  expect(await audit(ann.page)).toEqual([]);
  await ann.page.getByRole('button', { name: 'Close the thread' }).click();
  await answer(ben, 'and water');
  await chip(ann).getByText('4 replies').waitFor();
  expect(await chip(ann).locator('.badge').count()).toBe(0);
});

it('a long thread is read page by page, on a phone as a page of its own', async () => {
  const arrived = await stage.arrive({ viewport: { width: 390, height: 844 }, colorScheme: 'dark' });
  const ann = await arrived.enter('Ann');
  await ann.page.getByRole('button', { name: 'Back to the conversations' }).click();
  await ann.create('Channel', 'long thread');
  await ann.say('the list');
  await withGuest('Seeder', await roomOf(ann), async (client) => {
    const room = client.room(await roomOf(ann));
    const sent = Array.from({ length: 120 }, (_, at) => room.send({ text: `entry ${at + 1}` }, { replyTo: 1 }));
    await Promise.all(sent);
  });
  await ann.reach('entry 120');
  await ann.page.reload();
  await ann.reach('entry 120');
  // The root is in front of what is loaded, so the way there is one of its replies.
  await act(ann, 'entry 120', 'Thread');
  await inThread(ann, 'entry 120').waitFor();
  const box = await thread(ann).boundingBox();
  expect([box?.width, box?.height]).toEqual([390, 844]);
  await until('the first reply is there', async () => {
    await ann.page.evaluate(`document.querySelector('.thread .log').scrollTop = 0`);
    return (await threadTexts(ann))[1] === 'entry 1';
  });
  expect(await threadTexts(ann)).toEqual(['the list', ...Array.from({ length: 120 }, (_, at) => `entry ${at + 1}`)]);
  await thread(ann).getByText('120 replies').waitFor();
  expect(await audit(ann.page)).toEqual([]);
});

it('a reply that was found is shown in its thread, however far back', async () => {
  const ann = await visit('Ann');
  await ann.create('Channel', 'found in a thread');
  await ann.say('what did you see?');
  const room = await roomOf(ann);
  await withGuest('Seeder', room, async (client) => {
    await client.room(room).send({ text: 'a heron at the weir' }, { replyTo: 1 });
    // More than the page of a thread.
    const sent = Array.from({ length: 80 }, (_, at) =>
      client.room(room).send({ text: `entry ${at + 1}` }, { replyTo: 1 }),
    );
    await Promise.all(sent);
    await until(
      'it is indexed',
      async () => {
        // A search costs as much as ten other commands, and there is a rate of those.
        await delay(500);
        return (await client.call('search', { query: 'heron', room })).hits.length === 1;
      },
      60_000,
    );
  });
  await ann.reach('entry 80');
  // Everything that is marked, for the mark goes again.
  await ann.page.evaluate(`window.marked = []; new MutationObserver((changes) => {
    for (const { target } of changes) if ('found' in target.dataset) marked.push(target.innerText.split('\\n')[0]);
  }).observe(document.body, { subtree: true, attributeFilter: ['data-found'] })`);
  await ann.page.keyboard.press('Control+k');
  await ann.page.locator('#search:focus').waitFor();
  await ann.page.keyboard.type('heron');
  const hit = ann.page.locator('.hit', { hasText: 'heron at the weir' });
  for (const times of [1, 2]) {
    await hit.click();
    await thread(ann).locator('.item:focus', { hasText: 'a heron at the weir' }).waitFor();
    expect(await ann.page.evaluate('marked')).toEqual(Array<string>(times).fill('a heron at the weir'));
    await thread(ann)
      .getByRole('button', { name: /jump to the latest reply/ })
      .waitFor();
    expect(new URL(ann.page.url()).hash).toBe(`#/room/${encodeURIComponent(room)}`);
    await ann.page.keyboard.press('Escape');
    await thread(ann).waitFor({ state: 'detached' });
    // Back to the link that led there.
    await ann.page.locator('.hit:focus').waitFor();
  }
});

it('lists the followed threads, those with unread replies first', async () => {
  const ann = await visit('Ann');
  await ann.create('Channel', 'followed');
  await ann.say('the tent');
  await ann.say('the boat');
  const room = await roomOf(ann);
  const entry = ann.page.getByRole('button', { name: /^Threads/ });
  const links = ann.page.getByRole('dialog', { name: 'Threads' }).getByRole('link');
  const listed = async (): Promise<string[]> =>
    (await links.locator('.hit-text').allInnerTexts()).map((text) => text.trim());
  expect(await entry.count()).toBe(0);
  await withGuest('Guest', room, async (client) => {
    await client.room(room).send({ text: 'it leaks' }, { replyTo: 1 });
    // So that they are not of the same millisecond.
    await entry.getByText('1 with unread replies').waitFor();
    await client.room(room).send({ text: 'it floats' }, { replyTo: 2 });
  });
  await entry.getByText('2 with unread replies').waitFor();
  await entry.click();
  await until('both are listed', async () => (await listed()).join() === 'the boat,the tent');
  expect(await audit(ann.page)).toEqual([]);
  await links.filter({ hasText: 'the boat' }).click();
  await inThread(ann, 'it floats').waitFor();
  await entry.getByText('1 with unread replies').waitFor();
  // The last reply of all, and read.
  await answer(ann, 'good');
  await ann.open('general');
  await entry.click();
  await until('the unread one is first', async () => (await listed()).join() === 'the tent,the boat');
  await links.first().click();
  await inThread(ann, 'it leaks').waitFor();
  await ann.inRoom('followed');
  await entry.locator('.badge').waitFor({ state: 'detached' });
});

it('people are mentioned by name, chosen from a list, and see it', async () => {
  const [ann, ben] = await pair('mentions');
  await ann.page.getByRole('button', { name: 'Write to Ben' }).waitFor();
  await ann.field.pressSequentially('ask @be');
  const list = ann.page.getByRole('listbox', { name: 'People to mention' });
  await list.getByRole('option', { name: 'Ben' }).waitFor();
  await ann.field.press('Enter');
  await list.waitFor({ state: 'detached' });
  expect(await ann.field.inputValue()).toBe('ask @Ben ');
  await ann.field.pressSequentially('or @');
  // The owner may call everybody; the arrow keys go round.
  await list.getByRole('option', { name: '@room' }).waitFor();
  await ann.field.press('ArrowUp');
  const chosen = await list.getByRole('option', { selected: true }).getAttribute('id');
  expect(await ann.field.getAttribute('aria-activedescendant')).toBe(chosen);
  expect(await audit(ann.page)).toEqual([]);
  await ann.field.press('Tab');
  expect(await ann.field.inputValue()).toBe('ask @Ben or @room ');
  // The draft keeps whom it means.
  await ann.page.reload();
  await ann.mayType('mentions');
  await ann.field.press('Enter');
  await ben.page.locator('.mention.own', { hasText: '@Ben' }).waitFor();
  await ben.page.locator('.mention.own', { hasText: '@room' }).waitFor();
  await ann.page.locator('.mention:not(.own)', { hasText: '@Ben' }).waitFor();
  expect(await ann.page.locator('.mention', { hasText: '@Ben' }).getAttribute('title')).toMatch(/^@guest-/);
  // Counted by the server: it is in the list of his mentions.
  await ben.field.pressSequentially('yes @');
  await ben.page.getByRole('option', { name: 'Ann' }).waitFor();
  expect(await ben.page.getByRole('option', { name: '@room' }).count()).toBe(0);
  await ben.field.press('Escape');
  await ben.page.getByRole('listbox').waitFor({ state: 'detached' });
  await ben.field.pressSequentially('an');
  await ben.page.getByRole('option', { name: 'Ann' }).waitFor({ state: 'detached' });
  await ben.field.fill('');
  await ben.field.fill('yes @An');
  await ben.page.getByRole('option', { name: 'Ann' }).click();
  expect(await ben.field.inputValue()).toBe('yes @Ann ');
  await ben.field.press('Enter');
  await ann.page.locator('.mention.own', { hasText: '@Ann' }).waitFor();
  await act(ann, 'ask @Ben', 'Edit');
  expect(await ann.page.getByLabel('New text').inputValue()).toBe('ask @Ben or @room');
});

it('the owner pins; everybody finds what is pinned, far back too, until it is deleted', async () => {
  const [ann, ben] = await pair('pins');
  await ann.say('the rules');
  await ann.say('the map');
  await withGuest('Seeder', await roomOf(ann), async (client) => {
    const room = client.room(await roomOf(ann));
    // More than is kept over a reload.
    await Promise.all(Array.from({ length: 120 }, (_, at) => room.send({ text: `entry ${at + 1}` })));
  });
  // Or the list moves under the pointer.
  await ann.reach('entry 120');
  await act(ann, 'the rules', 'Pin');
  await act(ann, 'the map', 'Pin');
  const line = ben.page.getByRole('button', { name: /pinned/ });
  await line.getByText('2 pinned').waitFor();
  await ben.page.reload();
  await ben.reach('entry 120');
  await line.click();
  const list = ben.page.getByRole('list', { name: 'Pinned messages' });
  expect(await list.getByRole('button', { name: 'Unpin' }).count()).toBe(0);
  expect(await audit(ben.page)).toEqual([]);
  await list.getByRole('link', { name: 'the rules' }).click();
  await ben.page.locator('.item[data-seq="1"]:focus').waitFor();
  await ben.stored('the rules').hover();
  await ben.stored('the rules').getByRole('button', { name: 'Reply' }).waitFor();
  expect(await ben.stored('the rules').getByRole('button', { name: 'Unpin' }).count()).toBe(0);
  await act(ann, 'the rules', 'Delete');
  await ann.page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click();
  await line.getByText('1 pinned').waitFor();
  await ann.page.getByRole('button', { name: /pinned/ }).click();
  await ann.page.getByRole('button', { name: 'Unpin' }).first().click();
  await line.waitFor({ state: 'detached' });
});

it('a message shows that it came and its readers; files and encrypted bodies have a form of their own', async () => {
  const [ann, ben] = await pair('receipts');
  const room = await roomOf(ann);
  await ben.open('general');
  await withGuest('Zoe', room, async (client) => {
    await ann.say('anybody there?');
    await ann.page.getByRole('button', { name: 'Delivered to 1 of 2' }).waitFor();
    await ben.open('receipts');
    const mark = ann.page.getByRole('button', { name: 'Read by 1 of 2' });
    await mark.click();
    const who = ann.page.getByRole('dialog', { name: 'Read receipts' });
    await until(
      'the names are there',
      async () => (await who.innerText()).replaceAll(/\s+/g, ' ') === 'Read by Ben Not yet Zoe',
    );
    expect(await audit(ann.page)).toEqual([]);
    await ann.page.keyboard.press('Escape');
    await who.waitFor({ state: 'detached' });

    const files = [
      { url: `${stage.parley.url}/favicon.svg`, type: 'image/png', size: 1500, name: 'harbour.png' },
      { url: 'http://localhost:9/plan%20b.pdf', type: 'application/pdf', size: 4_800_000 },
    ];
    await client.room(room).send({ text: 'two files', attachments: files });
    await client.room(room).send({ encrypted: { alg: 'megolm.v1', kid: 'key-1', data: 'AAAA' } });
  });
  const links = ann.item('two files').getByRole('link');
  await until('both files are there', async () => (await links.count()) === 2);
  expect(await links.allInnerTexts()).toEqual([
    expect.stringMatching(/harbour\.png\s+image\/png · 1\.5 KB/),
    expect.stringMatching(/plan b\.pdf\s+application\/pdf · 4\.8 MB · localhost:9/),
  ]);
  // Files on other hosts are not loaded: `expectNoTrouble` checks it.
  expect(await ann.item('two files').locator('img').count()).toBe(1);
  expect(await links.last().getAttribute('rel')).toContain('noreferrer');
  await ann.page.locator('.encrypted', { hasText: 'Encrypted message' }).getByText('megolm.v1').waitFor();
  await ann.link('receipts').getByText('Encrypted message').waitFor();
});
