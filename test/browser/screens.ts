/**
 * Pictures of the main screens, for the docs: a server of its own, a story of several people (screens-story.ts),
 * and Chromium. `npm run build && node --import tsx test/browser/screens.ts [folder]`; without a folder into docs/screens.
 * The fonts are the machine's; it needs one with emoji. The pictures of the repository use Inter as the system's font.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { WebSocket } from 'ws';
import { connect } from '../../src/client/index.ts';
import type { Client, Room } from '../../src/client/index.ts';
import { temporaryFolder } from '../support/processes.ts';
import { launch } from './chromium.ts';
import { Parley } from './parley.ts';
import { cast, guide, story } from './screens-story.ts';
import type { Who } from './screens-story.ts';
import { shrink } from './small-png.ts';

const folder = process.argv[2] ?? fileURLToPath(new URL('../../docs/screens', import.meta.url));
/** So that the repository stays small; the script fails past it. */
const maxBytes = 120 * 1024;

interface Actor {
  readonly token: string;
  readonly client: Client;
}
type Actors = Readonly<Record<Who, Actor>>;

/** The story is imported; the author of it connects. */
async function stageStory(parley: Parley): Promise<Actors> {
  const file = join(temporaryFolder('parley-story-'), 'story.ndjson');
  writeFileSync(file, story(Date.now()));
  await parley.pause();
  try {
    await parley.command('import', file);
  } finally {
    rmSync(dirname(file), { recursive: true });
  }
  await parley.start();
  const actors: [Who, Actor][] = [];
  for (const [who, name] of Object.entries(cast) as [Who, string][]) {
    const token = (await parley.command('token', '--user', who, '--name', name)).trim();
    actors.push([who, { token, client: connect({ url: parley.url, token, WebSocket }) }]);
  }
  return Object.fromEntries(actors) as Record<Who, Actor>;
}

const inGuide = ({ client }: Actor): Room => client.room(guide.id);

/** The parts that an import does not bring. */
async function furnish(actors: Actors): Promise<void> {
  const { ann, 'ben.carter': ben, 'mira.okafor': mira, 'tomas.r': tomas, 'yuki.tanaka': yuki, priya } = actors;
  for (const [room, topic] of [
    ['autumn-guide', 'Twelve walks, out on 3 October'],
    ['general', 'Everything that concerns all of us'],
  ] as const)
    await ann.client.call('room:update', { room, topic });
  await ann.client.call('room:role', { room: guide.id, user: 'mira.okafor', role: 'admin' });
  await ann.client.call('room:archive', { room: 'spring-guide' });
  await inGuide(tomas).edit(2, {
    text: 'I was there on Sunday. The ferry runs until 31 October, every half hour, and takes dogs and bicycles.',
  });
  for (const who of [mira, ann, ben]) await inGuide(who).react(2, '👍');
  for (const who of [ben, priya, ann, tomas]) await inGuide(who).react(5, '😍');
  await inGuide(mira).react(7, '👀');
  for (const who of [ben, mira, yuki, priya, tomas]) await inGuide(who).react(15, '🎉');
  await inGuide(yuki).react(15, '❤️');
  await ann.client.call('thread:follow', { room: guide.id, root: 9 });
  await ann.client.call('message:pin', { room: guide.id, seq: 5 });
  await ann.client.call('message:pin', { room: guide.id, seq: 2 });
  await tomas.client.room('general').send({ text: '@ann could you bring the banner for the book fair?' });
  const { id: fair } = await priya.client.createRoom({ kind: 'group', name: 'Book fair' });
  await priya.client.call('invitation:create', { room: fair, user: 'ann' });
}

async function visit(browser: Browser, url: string, token: string, options: BrowserContextOptions): Promise<Page> {
  const context = await browser.newContext({ locale: 'en-GB', timezoneId: 'Europe/London', ...options });
  await context.addInitScript(`localStorage.setItem('parley.session', ${JSON.stringify(JSON.stringify({ token }))})`);
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  await page.goto(`${url}/#/room/${guide.id}`);
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
  await page.locator('.thread-chip', { hasText: '3 replies' }).click();
  const thread = page.getByRole('complementary', { name: 'Thread' });
  await thread.getByText('the sky above them').waitFor();
  // Off the message under it.
  await page.mouse.move(640, 795);
  await take(page, 'thread');
  await thread.getByRole('button', { name: 'Close the thread' }).click();
  await page.getByRole('button', { name: /pinned/ }).click();
  await page.getByRole('list', { name: 'Pinned messages' }).waitFor();
  await take(page, 'pins');
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
  const actors = await stageStory(parley);
  clients.push(...Object.values(actors).map(({ client }) => client));
  await furnish(actors);
  await signIn(browser, parley.url);
  await onDesktop(browser, parley.url, actors);
  await inTheDark(browser, parley.url, actors);
  await onPhone(browser, parley.url, actors);
} finally {
  for (const client of clients) client.close();
  await browser?.close();
  await parley.stop();
}
