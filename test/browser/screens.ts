/**
 * Pictures of the main screens, for the docs: a server of its own, a conversation of several people written with the SDK,
 * and Chromium. `npm run build && node --import tsx test/browser/screens.ts [folder]`; without a folder into docs/screens.
 * The fonts are the machine's; it needs one with emoji. Those in the repository were made with Inter as the system's font.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { WebSocket } from 'ws';
import { connect } from '../../src/client/index.ts';
import type { Client } from '../../src/client/index.ts';
import { launch } from './chromium.ts';
import { Parley } from './parley.ts';
import { shrink } from './small-png.ts';

const folder = process.argv[2] ?? fileURLToPath(new URL('../../docs/screens', import.meta.url));
/** So that the repository stays small; the script fails past it. */
const maxBytes = 120 * 1024;

const cast = {
  ann: 'Ann Lindqvist',
  ben: 'Ben Carter',
  mira: 'Mira Okafor',
  tomas: 'Tomás Rivera',
  yuki: 'Yuki Tanaka',
  priya: 'Priya Nair',
} as const;
type Who = keyof typeof cast;

interface Actor {
  readonly id: string;
  readonly token: string;
  readonly client: Client;
}
type Actors = Readonly<Record<Who, Actor>>;

async function actor(parley: Parley, name: string): Promise<Actor> {
  const { token, user } = await parley.guest(name);
  return { id: user.id, token, client: connect({ url: parley.url, token, WebSocket, device: 'a script' }) };
}

/** [who, what, the message before it that it answers, counted back] */
type Line = readonly [who: Who, text: string, answers?: number];

async function speak(actors: Actors, room: string, lines: readonly Line[]): Promise<number[]> {
  const seqs: number[] = [];
  for (const [who, text, answers] of lines) {
    const options = answers === undefined ? {} : { replyTo: seqs[seqs.length - answers] as number };
    const { seq } = await actors[who].client.room(room).send({ text }, options);
    seqs.push(seq);
  }
  return seqs;
}

/** A week of a small team that publishes a walking guide. */
async function seed(actors: Actors): Promise<void> {
  const { ann, ben, mira, tomas, yuki, priya } = actors;
  const everybody = [ben, mira, tomas, yuki, priya];
  for (const [id, name, topic] of [
    ['general', 'general', 'Everything that concerns all of us'],
    ['autumn-guide', 'autumn guide', 'Twelve walks, out on 3 October'],
    ['photos', 'photos', 'The best of each walk, in full size'],
  ] as const) {
    await ann.client.createRoom({ kind: 'channel', id, name });
    await ann.client.call('room:update', { room: id, topic });
    for (const { client } of everybody) await client.joinRoom(id);
  }
  await ann.client.call('room:role', { room: 'autumn-guide', user: mira.id, role: 'admin' });
  await speak(actors, 'photos', [
    ['yuki', 'Forty pictures from the ridge are in the shared folder, sorted by stage.'],
    ['priya', 'The one with the two herons has to be the cover.'],
  ]);
  const guide = await speak(actors, 'autumn-guide', [
    ['mira', 'Morning! The text of walk 7 is back from the proofreader. Two open questions, both about the ferry.'],
    ['tomas', 'I was there on Sunday. The ferry runs until 31 October, every half hour, and takes dogs.'],
    ['mira', 'Perfect, that answers both of them.', 1],
    ['ann', 'Then walk 7 is done? That leaves the map of walk 9 and the cover.'],
    ['yuki', 'The map is at the printer for a test print: https://maps.example.org/walk-9'],
    ['ben', 'Saw it. The contour lines are far better than last year, you can read them in the rain.'],
    ['ann', 'Lovely work, Yuki. Could we make the ferry stop a little larger, though?', 2],
    ['yuki', 'Sure, in ten minutes.'],
    ['tomas', 'For the cover, I vote for the herons.'],
    ['priya', 'Herons.'],
    ['mira', 'Herons! And the orange for the title.'],
    ['ann', 'So it is settled. Thank you all, we are three days early.'],
    ['ben', '🎉'],
  ]);
  const at = (index: number): number => guide[index] as number;
  const inGuide = (who: Actor) => who.client.room('autumn-guide');
  await inGuide(tomas).edit(at(1), {
    text: 'I was there on Sunday. The ferry runs until 31 October, every half hour, and takes dogs and bicycles.',
  });
  for (const who of [mira, ann, ben]) await inGuide(who).react(at(1), '👍');
  for (const who of [ben, priya, ann, tomas]) await inGuide(who).react(at(4), '😍');
  await inGuide(mira).react(at(6), '👀');
  for (const who of [ben, mira, yuki, priya, tomas]) await inGuide(who).react(at(11), '🎉');
  await inGuide(yuki).react(at(11), '❤️');

  const { id: trip } = await ann.client.createRoom({ kind: 'group', name: 'Friday supper' });
  for (const who of [ben, priya]) await ann.client.invite(trip, who.id);
  await speak(actors, trip, [
    ['priya', 'The place by the harbour has a table for three at seven.'],
    ['ann', 'Take it!'],
  ]);
  const { id: direct } = await mira.client.createRoom({ kind: 'direct', user: ann.id });
  await speak(actors, direct, [
    ['mira', 'Do you have a minute about the print run?'],
    ['ann', 'After lunch, I will call you.'],
    ['mira', 'Great. The printer asks for 4,000 or 5,000.'],
  ]);
  await speak(actors, 'general', [
    ['ben', 'The office is closed on Monday, the floor is being sanded.'],
    ['tomas', `@${ann.id} could you bring the banner for the book fair?`],
    ['priya', 'I have the ferry timetable for the noticeboard, if anybody needs it.'],
  ]);
  const { id: fair } = await priya.client.createRoom({ kind: 'group', name: 'Book fair' });
  await priya.client.call('invitation:create', { room: fair, user: ann.id });
  const { id: old } = await ann.client.createRoom({ kind: 'channel', name: 'spring guide' });
  await speak(actors, old, [['ann', 'Sold out. On to the next one.']]);
  await ann.client.call('room:archive', { room: old });
  // Ann has read what is not to be new in the pictures.
  for (const { id, seq } of ann.client.rooms.value.filter((room) => room.id !== 'general' && room.id !== direct))
    await ann.client.call('read', { room: id, seq });
}

async function visit(browser: Browser, url: string, token: string, options: BrowserContextOptions): Promise<Page> {
  const context = await browser.newContext({ locale: 'en-GB', timezoneId: 'Europe/London', ...options });
  await context.addInitScript(`localStorage.setItem('parley.session', ${JSON.stringify(JSON.stringify({ token }))})`);
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  await page.goto(`${url}/#/room/autumn-guide`);
  await page.getByText('three days early').waitFor();
  return page;
}

async function take(page: Page, name: string): Promise<void> {
  const path = join(folder, `${name}.png`);
  await page.evaluate('document.fonts.ready');
  // Transitions have come to their end, and no caret blinks in one picture and not in the next.
  const picture = shrink(await page.screenshot({ animations: 'disabled', caret: 'hide' }));
  console.log(`${name}.png ${(picture.length / 1024).toFixed(0)} KB`);
  writeFileSync(path, picture);
  if (picture.length > maxBytes) throw new Error(`${name}.png has more than ${maxBytes / 1024} KB`);
}

const desktop = { viewport: { width: 1280, height: 800 } };
const phone = { viewport: { width: 390, height: 780 }, hasTouch: true, isMobile: true };

async function onDesktop(browser: Browser, url: string, { ann }: Actors): Promise<void> {
  const page = await visit(browser, url, ann.token, desktop);
  const present = page.getByRole('complementary').locator('[data-online=true]');
  await present.nth(5).waitFor();
  await take(page, 'room');
  const field = page.getByRole('textbox', { name: 'Search messages and conversations' });
  await field.fill('ferry');
  await page.locator('.hit').nth(3).waitFor();
  await page.locator('.hit', { hasText: 'ferry stop' }).click();
  await page.locator('[data-found]').waitFor();
  await take(page, 'search');
  await page.getByRole('button', { name: 'End the search' }).click();
  await page.getByRole('button', { name: /^Notifications, 2 new/ }).click();
  await page.getByRole('dialog').getByText('could you bring the banner').waitFor();
  await take(page, 'notifications');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Room settings' }).click();
  await page.getByRole('dialog').getByLabel('Topic').waitFor();
  await take(page, 'settings');
  await page.context().close();
}

async function inTheDark(browser: Browser, url: string, { ann }: Actors): Promise<void> {
  const page = await visit(browser, url, ann.token, { ...desktop, colorScheme: 'dark' });
  await page.getByRole('complementary').locator('[data-online=true]').nth(5).waitFor();
  await take(page, 'dark');
  await page.context().close();
}

async function onPhone(browser: Browser, url: string, { ann }: Actors): Promise<void> {
  const page = await visit(browser, url, ann.token, phone);
  await take(page, 'phone-room');
  await page.getByRole('button', { name: 'Back to the conversations' }).click();
  await page.getByRole('navigation').getByText('Friday supper').waitFor();
  await take(page, 'phone-list');
  await page.context().close();
}

async function signIn(browser: Browser, url: string): Promise<void> {
  const page = await browser.newPage({ ...desktop, locale: 'en-GB' });
  await page.goto(url);
  await page.getByLabel('Your name').fill('Ann Lindqvist');
  await take(page, 'sign-in');
  await page.close();
}

mkdirSync(folder, { recursive: true });
const parley = await Parley.start();
let browser: Browser | undefined;
const clients: Client[] = [];
try {
  browser = await launch();
  const entries: [Who, Actor][] = [];
  for (const who of Object.keys(cast) as Who[]) entries.push([who, await actor(parley, cast[who])]);
  clients.push(...entries.map(([, { client }]) => client));
  const actors = Object.fromEntries(entries) as Record<Who, Actor>;
  await seed(actors);
  await signIn(browser, parley.url);
  await onDesktop(browser, parley.url, actors);
  await inTheDark(browser, parley.url, actors);
  await onPhone(browser, parley.url, actors);
} finally {
  for (const client of clients) client.close();
  await browser?.close();
  await parley.stop();
}
