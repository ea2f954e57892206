/** The demo with rooms: search, notifications, settings, members, join links. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import type { BrowserContextOptions } from 'playwright-core';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { connect } from '../../src/client/index.ts';
import type { Client } from '../../src/client/index.ts';
import { until as untilWithin } from '../support/until.ts';
import { audit } from './audit.ts';
import type { Person } from './browser.ts';
import { useStage } from './stage.ts';

vi.setConfig({ testTimeout: 180_000, hookTimeout: 120_000 });

const stage = useStage(/WebSocket connection|ERR_INTERNET_DISCONNECTED/);
const visit = async (name: string, options?: BrowserContextOptions): Promise<Person> =>
  (await stage.arrive(options)).enter(name);

/** As long as it takes, on a slow machine too. */
const until: typeof untilWithin = (what, condition) => untilWithin(what, condition, 60_000);

const others: Client[] = [];
afterEach(() => {
  for (const client of others.splice(0)) client.close();
});

/** Somebody who needs no window. */
async function remote(name: string): Promise<Client> {
  const { token } = await stage.parley.guest(name);
  const client = connect({ url: stage.parley.url, token, WebSocket });
  others.push(client);
  await until(`${name} is connected`, () => client.state.value.status === 'connected');
  return client;
}

const idOf = (client: Client): string => client.user.value?.id ?? '';

/** The id of the user at a window, from what their page holds. */
async function userAt({ page }: Person): Promise<string> {
  const token = await page.evaluate<string>(`JSON.parse(localStorage.getItem('parley.session')).token`);
  const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { sub: string };
  return claims.sub;
}

async function roomAt({ page }: Person): Promise<string> {
  return decodeURIComponent((await until('a room is shown', () => new URL(page.url()).hash.split('#/room/')[1])) ?? '');
}

async function say(client: Client, room: string, texts: readonly string[]): Promise<void> {
  const send = (text: string): Promise<unknown> =>
    client.call('message:send', { room, id: randomUUID(), body: { text } });
  // In no order, for it is faster so.
  for (let at = 0; at < texts.length; at += 30) await Promise.all(texts.slice(at, at + 30).map(send));
}

const dialog = ({ page }: Person) => page.getByRole('dialog').last();

async function openSettings(person: Person, tab?: string): Promise<void> {
  await person.page.getByRole('button', { name: 'Room settings' }).click();
  if (tab !== undefined) await dialog(person).getByRole('tab', { name: tab }).click();
}

async function closeDialog(person: Person): Promise<void> {
  const open = await person.page.getByRole('dialog').count();
  await person.page.keyboard.press('Escape');
  await until('the dialog is closed', async () => (await person.page.getByRole('dialog').count()) < open);
}

describe('search', () => {
  it('finds messages, in all rooms or in one, page by page, and jumps to them', async () => {
    const [ann, ben] = await Promise.all([visit('Ann'), remote('Ben')]);
    await ann.create('Channel', 'birds');
    const birds = await roomAt(ann);
    await ben.joinRoom(birds);
    await say(ben, birds, ['A bittern, <b>at dawn</b> <img src=x onerror="throw 1"> in the reeds']);
    await say(
      ben,
      birds,
      Array.from({ length: 120 }, (_, at) => `entry ${at + 1}${at % 5 === 0 ? ' and a wagtail' : ''}`),
    );
    await ben.joinRoom('general');
    await say(ben, 'general', ['no bittern here']);
    await until('all is indexed', async () => {
      // A search costs as much as ten other commands, and there is a rate of those.
      await delay(500);
      const found = await Promise.all(['wagtail', 'bittern'].map((query) => ben.call('search', { query, limit: 50 })));
      return found[0]?.hits.length === 24 && found[1]?.hits.length === 2;
    });
    // So that the page holds the newest of them only.
    await ann.page.reload();
    await ann.mayType('birds');
    await ann.page.keyboard.press('Control+k');
    await ann.page.locator('#search:focus').waitFor();
    await ann.page.keyboard.type('wagtail');
    const hits = ann.page.locator('.hit');
    await until('a page is there', async () => (await hits.count()) === 20);
    await ann.page.getByRole('button', { name: 'More results' }).click();
    await until('all are there', async () => (await hits.count()) === 24);
    await ann.page.getByRole('button', { name: 'More results' }).waitFor({ state: 'detached' });
    const field = ann.page.getByRole('textbox', { name: 'Search messages and conversations' });
    await field.fill('bittern');
    await until('both rooms are searched', async () => (await hits.count()) === 2);
    await ann.page.getByRole('button', { name: 'In birds' }).click();
    await until('one room is searched', async () => (await hits.count()) === 1);
    // Marked, and markup is text.
    expect(await hits.locator('mark').allInnerTexts()).toEqual(['bittern']);
    expect(await hits.innerText()).toContain('<b>at dawn</b>');
    expect(await hits.locator('b, img').count()).toBe(0);
    expect(await audit(ann.page)).toEqual([]);
    // The first of 121, from the other room and with the keyboard alone.
    await ann.page.evaluate(`location.hash = '#/room/general'`);
    await ann.inRoom('general');
    await field.press('ArrowDown');
    await ann.page.keyboard.press('Enter');
    await ann.page.locator('.item[data-found]', { hasText: 'A bittern' }).waitFor();
    const place = await ann.page.locator('.item', { hasText: 'A bittern' }).boundingBox();
    expect(place?.y).toBeGreaterThan(0);
    await ann.page.getByRole('button', { name: /jump to the latest/ }).waitFor();
    // A room by its name.
    await ann.page.keyboard.press('Control+k');
    await ann.page.getByRole('button', { name: 'End the search' }).click();
    await ann.page.keyboard.press('Control+k');
    await ann.page.keyboard.type('gener');
    await ann.page.locator('.found-room', { hasText: 'general' }).click();
    await ann.inRoom('general');
    await ann.link('birds').waitFor();
  });

  it('says so when a message is too far back', async () => {
    const crowd = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map((n) => remote(`Writer ${n}`)));
    const { id: room } = (await crowd[0]?.createRoom({ kind: 'channel', name: 'endless' })) ?? { id: '' };
    await Promise.all(
      crowd.map(async (client) => {
        await client.joinRoom(room);
        await say(
          client,
          room,
          Array.from({ length: 160 }, (_, at) => `line ${at}`),
        );
      }),
    );
    const ann = await visit('Ann');
    await ann.join('endless');
    await ann.page.goto(`${stage.parley.url}/#/room/${room}/3`);
    await ann.page.getByText(/too far back to show: 1,277 messages ago/).waitFor();
    expect(new URL(ann.page.url()).hash).toBe(`#/room/${room}`);
  });
});

describe('notifications', () => {
  it('gather mentions, invitations and unread rooms', async () => {
    const [ann, ben] = await Promise.all([visit('Ann'), remote('Ben')]);
    const me = await userAt(ann);
    await ann.create('Channel', 'mentioned');
    const room = await roomAt(ann);
    await ben.joinRoom(room);
    await ann.open('general');
    const { id: club } = await ben.createRoom({ kind: 'group', name: 'Book club' });
    const { id: other } = await ben.createRoom({ kind: 'group', name: 'Chess club' });
    for (const invited of [club, other]) await ben.call('invitation:create', { room: invited, user: me });
    await say(ben, room, [`@${me}: are you coming?`]);
    await ann.link('mentioned').getByText('You are mentioned.').waitFor({ state: 'attached' });
    await ann.page.getByRole('button', { name: 'Notifications, 3 new' }).click();
    const panel = dialog(ann);
    await panel.getByText('@Ann: are you coming?').waitFor();
    expect(await audit(ann.page)).toEqual([]);
    await panel.getByRole('button', { name: 'Decline Chess club' }).click();
    await panel.getByRole('button', { name: 'Decline Chess club' }).waitFor({ state: 'detached' });
    await panel.getByRole('button', { name: 'Accept Book club' }).click();
    await ann.inRoom('Book club');
    await ann.page.getByRole('button', { name: 'Notifications, 1 new' }).click();
    await panel.getByRole('button', { name: 'Mark all as read' }).click();
    await panel.getByRole('button', { name: 'Mark all as read' }).waitFor({ state: 'detached' });
    await ann.link('mentioned').locator('.badge').waitFor({ state: 'detached' });
    // Read, but still there, and the way to it.
    await panel.getByText('@Ann: are you coming?').click();
    await ann.inRoom('mentioned');
    await ann.page.locator('.item[data-found]', { hasText: 'are you coming?' }).waitFor();
    await ann.page.getByRole('button', { name: 'Notifications', exact: true }).waitFor();
    const mark = ben.rooms.value.find(({ id }) => id === club);
    expect(mark?.role).toBe('owner');
  });

  it('of the system come on request, while the page is hidden, and not from muted rooms', async () => {
    const ann = await stage.arriveWithNotifications();
    // Records the notifications, in a hidden page.
    await ann.page.addInitScript(`
      globalThis.shown = [];
      const Real = Notification;
      globalThis.Notification = class extends Real {
        constructor(title, options) { super(title, options); shown.push(title + ': ' + options.body); }
      };
      globalThis.hide = (hidden) => {
        Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => hidden ? 'hidden' : 'visible' });
        document.dispatchEvent(new Event('visibilitychange'));
      };`);
    await ann.page.reload();
    await ann.enter('Ann');
    const me = await userAt(ann);
    const ben = await remote('Ben');
    const { id: loud } = await ben.createRoom({ kind: 'group', name: 'loud' });
    const { id: quiet } = await ben.createRoom({ kind: 'group', name: 'quiet' });
    for (const room of [loud, quiet]) await ben.invite(room, me);
    await say(ben, loud, ['before the permission']);
    await ann.open('loud');
    await openSettings(ann, 'Notifications');
    await dialog(ann).getByText('All messages', { exact: true }).click();
    await closeDialog(ann);
    await ann.open('quiet');
    await openSettings(ann, 'Notifications');
    await dialog(ann).getByText('Nothing', { exact: true }).click();
    await dialog(ann).getByRole('button', { name: 'Notify this device' }).click();
    await dialog(ann).getByRole('button', { name: 'Stop notifying this device' }).waitFor();
    await closeDialog(ann);
    await ann.open('general');
    await say(ben, loud, ['while it is visible']);
    await ann.link('loud').getByText('1 unread').waitFor();
    await ann.page.getByRole('button', { name: 'Notifications, 1 new' }).waitFor();
    await ann.page.evaluate('hide(true)');
    await say(ben, quiet, ['from the muted room']);
    await ann.link('quiet').getByText('1 unread').waitFor();
    await say(ben, loud, ['while it is hidden']);
    const shown = (): Promise<string[]> => ann.page.evaluate<string[]>('shown');
    await until('it is shown', async () => (await shown()).length > 0);
    expect(await shown()).toEqual(['Ben in loud: while it is hidden']);
    // The muted room is not counted, and shown as such.
    await until('the title counts the other', async () => (await ann.page.title()) === '(2) Parley');
    await ann.link('quiet').getByText('Muted', { exact: true }).waitFor({ state: 'attached' });
    await ann.page.evaluate('hide(false)');
  });
});

describe('a room', () => {
  it('is set up by its owner, and the others see it', async () => {
    const [ann, ben] = await Promise.all([visit('Ann'), visit('Ben')]);
    await ann.create('Channel', 'plain');
    await ben.join('plain');
    await openSettings(ann);
    await dialog(ann).getByLabel('Name', { exact: true }).fill('ornate');
    await dialog(ann).getByLabel('Topic').fill('gold and stucco');
    await dialog(ann).getByRole('switch').check();
    await dialog(ann).getByLabel('Slow mode').selectOption('One message in 30 seconds');
    await dialog(ann).getByLabel('Authors may edit for').selectOption('15 minutes');
    await dialog(ann).getByLabel('Messages are kept').selectOption('30 days');
    expect(await audit(ann.page)).toEqual([]);
    await dialog(ann).getByRole('button', { name: 'Save' }).click();
    await ann.inRoom('ornate');
    await ben.page.getByText('Only the owner and admins write here.').waitFor();
    await ben.page.locator('.chat-head', { hasText: 'gold and stucco' }).waitFor();
    await openSettings(ben);
    const facts = dialog(ben).locator('.facts');
    await facts.getByText('30 days').waitFor();
    await facts.getByText('15 minutes').waitFor();
    expect(await dialog(ben).getByRole('button', { name: 'Save' }).count()).toBe(0);
    await closeDialog(ben);
    await openSettings(ann);
    await dialog(ann).getByRole('switch').uncheck();
    await dialog(ann).getByRole('button', { name: 'Save' }).click();
    await ben.page.getByText('Slow mode: one message in 30 seconds.').waitFor();
    await ben.say('the one');
  });

  // Each message offered everything wherever one had ever been allowed to write.
  it('offers with a message what its server would allow, and nothing else', async () => {
    const [ann, ben] = await Promise.all([remote('Ann'), visit('Ben')]);
    const { id: room } = await ann.createRoom({ kind: 'channel', name: 'narrowed' });
    await ben.join('narrowed');
    await ben.say('from Ben');
    const offered = async (): Promise<string> => {
      const buttons = ben.stored('from Ben').locator('.action-bar button');
      const labels = Array.from({ length: await buttons.count() }, (_, at) =>
        buttons.nth(at).getAttribute('aria-label', { timeout: 1000 }),
      );
      return (await Promise.all(labels)).join(', ');
    };
    const are = (expected: string) =>
      until(`${expected === '' ? 'nothing' : expected} is offered`, async () => {
        const now = await offered().catch(() => undefined);
        return now === expected;
      });
    await are('React, Reply, Thread, Edit, Delete');
    // The time limit for edits passes while the message is shown.
    await ann.call('room:update', { room, editWindow: 1 });
    await are('React, Reply, Thread, Delete');
    await ann.call('room:update', { room, editWindow: null, senders: 'admins' });
    await are('React, Delete');
    await ann.call('room:mute', { room, user: await userAt(ben) });
    await are('Delete');
    await ann.call('room:unmute', { room, user: await userAt(ben) });
    await ann.call('room:update', { room, senders: 'all' });
    await are('React, Reply, Thread, Edit, Delete');
    await ann.call('room:archive', { room });
    await are('');
    expect(await ben.stored('from Ben').getByRole('button').count()).toBe(0);
  });

  it('has a dialog that a selection beyond its edge leaves open, and a press beside it closes', async () => {
    const ann = await visit('Ann');
    await ann.create('Channel', 'selected');
    await openSettings(ann);
    const { mouse } = ann.page;
    const field = await dialog(ann).getByLabel('Name', { exact: true }).boundingBox();
    await mouse.move((field?.x ?? 0) + 60, (field?.y ?? 0) + 10);
    await mouse.down();
    await mouse.move(4, 4);
    await mouse.up();
    await dialog(ann).getByRole('tab', { name: 'More' }).click();
    await mouse.click(4, 4);
    await ann.page.getByRole('dialog').waitFor({ state: 'detached' });
  });

  it('is archived, transferred and deleted by its owner', async () => {
    const [ann, ben] = await Promise.all([visit('Ann'), remote('Ben')]);
    await ann.create('Group', 'the attic');
    const room = await roomAt(ann);
    await openSettings(ann, 'More');
    await dialog(ann).getByRole('button', { name: 'Archive' }).click();
    await ann.page.getByRole('region', { name: 'Archived' }).getByText('the attic').waitFor();
    await ann.page.getByText('This conversation is archived').waitFor();
    await dialog(ann).getByRole('button', { name: 'Unarchive' }).click();
    await ann.page.getByRole('region', { name: 'Archived' }).waitFor({ state: 'detached' });
    await closeDialog(ann);
    // The form sends an invitation, and the other user accepts.
    await openSettings(ann, 'Access');
    await dialog(ann).getByLabel('Name or user id').fill(idOf(ben));
    await dialog(ann).getByRole('button', { name: 'Invite' }).click();
    await dialog(ann)
      .getByRole('button', { name: /^Cancel/ })
      .waitFor();
    await ben.call('invitation:accept', { room });
    await ann.page.getByText('Ben accepted your invitation to the attic.').waitFor();
    await closeDialog(ann);
    await ann.page.getByRole('button', { name: 'Manage Ben' }).waitFor();
    await openSettings(ann, 'More');
    await dialog(ann).getByRole('button', { name: 'Transfer…' }).click();
    await dialog(ann).getByLabel('The new owner').selectOption('Ben');
    await dialog(ann).getByRole('button', { name: 'Transfer', exact: true }).click();
    await ann.page.getByText('Ben now owns the attic.').waitFor();
    await dialog(ann).getByRole('button', { name: 'Delete…' }).waitFor({ state: 'detached' });
    await ben.call('room:transfer', { room, user: await userAt(ann) });
    await dialog(ann).getByRole('button', { name: 'Delete…' }).click();
    const remove = dialog(ann).getByRole('button', { name: 'Delete for everybody' });
    expect(await remove.isDisabled()).toBe(true);
    await dialog(ann)
      .getByLabel(/^Type its name/)
      .fill('the attic');
    await remove.click();
    await ann.link('the attic').waitFor({ state: 'detached' });
    await until('it is gone for the other', () => !ben.rooms.value.some(({ id }) => id === room));
  });

  it('has members who are managed', async () => {
    const [ann, ben] = await Promise.all([visit('Ann'), visit('Ben')]);
    await ann.create('Channel', 'order');
    await ben.join('order');
    const manage = async (): Promise<void> => {
      await ann.page.getByRole('button', { name: 'Manage Ben' }).click();
    };
    await manage();
    expect(await audit(ann.page)).toEqual([]);
    await dialog(ann).getByRole('button', { name: 'Mute', exact: true }).click();
    await ben.page.getByText(/^You are muted in this room until/).waitFor();
    await dialog(ann).getByRole('button', { name: 'Unmute' }).click();
    await ben.field.waitFor();
    await dialog(ann).getByLabel('Role').selectOption('Guest: reads only');
    await ben.page.getByText('You may read here, but not write.').waitFor();
    await dialog(ann).getByLabel('Role').selectOption('Admin: manages the room');
    await ben.page.getByRole('button', { name: 'Invite people' }).waitFor();
    // The focus is where it was.
    await closeDialog(ann);
    expect(await ann.page.evaluate<string>('document.activeElement.title')).toBe('Manage Ben');
    await manage();
    await dialog(ann).getByRole('button', { name: 'Ban…' }).click();
    await dialog(ann).getByLabel('Reason, for the other admins').fill('loud at night');
    await dialog(ann).getByRole('button', { name: 'Ban Ben' }).click();
    await ben.link('order').waitFor({ state: 'detached' });
    await ben.page.getByRole('button', { name: 'Join', exact: true }).click();
    await ben.page.getByText(/banned/i).waitFor();
    await openSettings(ann, 'Access');
    await dialog(ann).getByText('loud at night').waitFor();
    expect(await audit(ann.page)).toEqual([]);
    await dialog(ann).getByRole('button', { name: 'Unban Ben' }).click();
    await dialog(ann).getByRole('button', { name: 'Unban Ben' }).waitFor({ state: 'detached' });
    await ben.page.getByRole('button', { name: 'Join', exact: true }).click();
    await ben.mayType('order');
  });

  it('lets people in by a link, until it is revoked', async () => {
    const ann = await visit('Ann', { permissions: ['clipboard-read', 'clipboard-write'] });
    await ann.create('Group', 'by link');
    await openSettings(ann, 'Access');
    await dialog(ann).getByLabel('Expires after').selectOption('1 hour');
    await dialog(ann).getByLabel(/^For/).selectOption('5 people');
    await dialog(ann).getByRole('button', { name: 'Create a link' }).click();
    await dialog(ann).getByRole('button', { name: 'Copy', exact: true }).click();
    await dialog(ann).getByRole('button', { name: 'Copied' }).waitFor();
    const address = await ann.page.evaluate<string>('navigator.clipboard.readText()');
    expect(address).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/#join=[\w-]{32}$/);
    const ben = await stage.arrive();
    await ben.page.goto(address);
    await ben.page.getByLabel('Your name').fill('Ben');
    await ben.page.keyboard.press('Enter');
    await dialog(ben).getByRole('button', { name: 'Join', exact: true }).click();
    await ben.inRoom('by link');
    expect(ben.page.url()).not.toContain('join=');
    await dialog(ann).getByRole('button', { name: 'Revoke' }).click();
    await dialog(ann).getByText('There are no links.').waitFor();
    const carl = await visit('Carl');
    await carl.page.goto(address);
    await dialog(carl).getByRole('button', { name: 'Join', exact: true }).click();
    await carl.page.getByText('This link does not work').waitFor();
    expect(await carl.link('by link').count()).toBe(0);
  });
});

it('finds channels by their name or topic', async () => {
  const [ann, ben] = await Promise.all([visit('Ann'), remote('Ben')]);
  for (const [name, topic] of [
    ['violins', 'strings that are bowed'],
    ['guitars', 'strings that are plucked'],
    ['drums', 'no strings'],
  ] as const) {
    const { id } = await ben.createRoom({ kind: 'channel', name });
    await ben.call('room:update', { room: id, topic });
  }
  await ann.page.getByRole('button', { name: 'Browse channels' }).click();
  const field = dialog(ann).getByRole('textbox', { name: /^Find a channel/ });
  const names = (): Promise<string[]> => dialog(ann).locator('.picker-text > :first-child').allInnerTexts();
  await field.fill('plucked');
  await until('it is found by its topic', async () => (await names()).join() === 'guitars');
  await field.fill('viol');
  await until('it is found by its name', async () => (await names()).join() === 'violins');
  await dialog(ann).getByText('1 member').waitFor();
  await field.fill('trombones');
  await dialog(ann).getByText('No channel has').waitFor();
  await field.fill('viol');
  await dialog(ann).getByRole('button', { name: 'Join violins' }).click();
  await ann.inRoom('violins');
});

it('says how many messages wait while it is offline', async () => {
  const ann = await visit('Ann');
  await ann.create('Channel', 'waiting');
  await ann.page.context().setOffline(true);
  await ann.banner.waitFor();
  await ann.write('one');
  await ann.banner.getByText('1 message waits').waitFor();
  await ann.write('two');
  await ann.banner.getByText('2 messages wait').waitFor();
  await ann.page.context().setOffline(false);
  await ann.reach('two');
  await ann.banner.waitFor({ state: 'detached' });
});

it('shows settings, notifications and results on a phone', async () => {
  const ann = await visit('Ann', { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await openSettings(ann);
  for (const tab of ['About', 'Notifications', 'More']) {
    await dialog(ann).getByRole('tab', { name: tab }).click();
    expect(await audit(ann.page)).toEqual([]);
  }
  await closeDialog(ann);
  await ann.page.getByRole('button', { name: 'Search in this room' }).click();
  await ann.page.getByRole('navigation').waitFor();
  await ann.page.locator('#search:focus').waitFor();
  expect(await audit(ann.page)).toEqual([]);
  await ann.page.getByRole('button', { name: 'End the search' }).click();
  await ann.page.getByRole('button', { name: 'Notifications' }).click();
  await dialog(ann).waitFor();
  expect(await audit(ann.page)).toEqual([]);
});
