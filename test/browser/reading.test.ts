/** Where reading begins, and what a message costs in a busy room. */
import { WebSocket } from 'ws';
import { expect, it, vi } from 'vitest';
import { connect } from '../../src/client/index.ts';
import type { Client, Room } from '../../src/client/index.ts';
import { until } from '../support/until.ts';
import type { Person } from './browser.ts';
import { useStage } from './stage.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 240_000 });

const stage = useStage(/ERR_INTERNET_DISCONNECTED|WebSocket connection/);

async function visit(name: string): Promise<Person> {
  return (await stage.arrive()).enter(name);
}

async function roomOf({ page }: Person): Promise<string> {
  return decodeURIComponent((await until('a room is shown', () => new URL(page.url()).hash.split('/')[2])) ?? '');
}

/** Somebody else in that room, without a window. */
async function guestIn(name: string, room: string): Promise<Client> {
  const { token } = await stage.parley.guest(name);
  const client = connect({ url: stage.parley.url, token, WebSocket });
  await client.joinRoom(room);
  return client;
}

/** Not all at once: so many may wait for an answer. */
async function sendMany(room: Room, from: number, to: number, replyTo?: number): Promise<void> {
  for (let at = from; at <= to; at += 100) {
    const numbers = Array.from({ length: Math.min(100, to - at + 1) }, (_, n) => at + n);
    await Promise.all(numbers.map((n) => room.send({ text: `entry ${n}.` }, replyTo === undefined ? {} : { replyTo })));
  }
}

interface Divided {
  /** The seq of the message after the divider. */
  readonly seq: number;
  readonly inView: boolean;
}

/** The place of the divider, once there is one. */
async function divider({ page }: Person, log = '.chat .log'): Promise<Divided> {
  await page.locator(`${log} [data-unread]`).waitFor({ timeout: 120_000 });
  return page.evaluate<Divided>(`(() => {
    const log = document.querySelector('${log}');
    const mark = log.querySelector('[data-unread]');
    const next = [...log.querySelectorAll('.item[data-seq]')].find((item) => mark.compareDocumentPosition(item) & 4);
    const [seen, { top, bottom }] = [log.getBoundingClientRect(), mark.getBoundingClientRect()];
    return { seq: Number(next.dataset.seq), inView: top >= seen.top && bottom <= seen.bottom };
  })()`);
}

/** Closes the window, which would draw every message. @returns the session */
async function leave(ann: Person): Promise<string> {
  const session = await ann.page.evaluate<string>(`localStorage.getItem('parley.session')`);
  await ann.page.context().close();
  return session;
}

/** The same person at another machine, which has nothing of the conversations yet. */
async function elsewhere(session: string): Promise<Person> {
  const again = await stage.arrive();
  await again.page.evaluate(`localStorage.setItem('parley.session', ${JSON.stringify(session)})`);
  await again.page.reload();
  await again.page.locator('.me-name', { hasText: 'Ann' }).waitFor();
  return again;
}

/** A channel of Ann's, read up to its 20th message, which she has left for `general`. */
async function readUpTo20(ann: Person, name: string): Promise<[Client, Room]> {
  await ann.create('Channel', name);
  const id = await roomOf(ann);
  const client = await guestIn('Ben', id);
  await sendMany(client.room(id), 1, 20);
  await ann.reach('entry 20.');
  const own = client.user.value?.id;
  await until('Ann has read it', async () => {
    const { receipts } = await client.call('room:receipts', { room: id });
    return receipts.some(({ user, read }) => user !== own && read === 20);
  });
  await ann.open('general');
  return [client, client.room(id)];
}

it('begins at the first unread message, in whatever page it is', async () => {
  for (const [name, unread] of [
    ['in the page', 30],
    ['before the page', 130],
    ['far back', 1000],
  ] as const) {
    const first = await visit('Ann');
    const [client, room] = await readUpTo20(first, name);
    const session = await leave(first);
    await sendMany(room, 21, 20 + unread);
    const ann = await elsewhere(session);
    await ann
      .link(name)
      .getByText(`entry ${20 + unread}.`)
      .waitFor();
    await ann.open(name);
    expect([name, await divider(ann)]).toEqual([name, { seq: 21, inView: true }]);
    await ann.page.getByRole('button', { name: /jump to the latest message/ }).waitFor();
    // The divider stays in its place during reading.
    await ann.page.getByRole('button', { name: /jump to the latest message/ }).click();
    await ann.reach(`entry ${20 + unread}.`);
    expect((await divider(ann)).seq).toBe(21);
    client.close();
  }
});

it('begins there also when that message is deleted', async () => {
  const first = await visit('Ann');
  const [client, room] = await readUpTo20(first, 'deleted');
  const session = await leave(first);
  await sendMany(room, 21, 150);
  await room.delete(21);
  const ann = await elsewhere(session);
  // the page has its read mark with the summary of the room
  await ann.link('deleted').getByText('entry 150.').waitFor();
  await ann.open('deleted');
  expect(await divider(ann)).toEqual({ seq: 21, inView: true });
  client.close();
});

it('begins at the first unread reply of a long thread', async () => {
  const ann = await visit('Ann');
  const [client, room] = await readUpTo20(ann, 'threaded');
  await ann.open('threaded');
  const thread = ann.page.getByRole('complementary', { name: 'Thread' });
  const show = async (): Promise<void> => {
    const root = ann.page.locator('.chat .item[data-seq="20"]');
    await root.hover();
    await root.getByRole('button', { name: 'Thread', exact: true }).click();
    await thread.waitFor();
  };
  await show();
  const field = ann.page.getByRole('textbox', { name: 'Reply in the thread' });
  await field.fill('mine');
  await field.press('Enter');
  await thread.locator('.item[data-seq="21"]').waitFor();
  await ann.page.getByRole('button', { name: 'Close the thread' }).click();
  await ann.open('general');
  await sendMany(room, 22, 161, 20);
  await ann.page
    .getByRole('button', { name: /^Threads/ })
    .getByText('1 with unread replies')
    .waitFor();
  await ann.page.getByRole('button', { name: /^Threads/ }).click();
  await ann.page.getByRole('dialog').getByRole('link').first().click();
  await thread.waitFor();
  expect(await divider(ann, '.thread .log')).toEqual({ seq: 22, inView: true });
  client.close();
});

it('begins there after a list that was started over, which was open or not', async () => {
  const ann = await visit('Ann');
  const [client, room] = await readUpTo20(ann, 'started over');
  await ann.open('started over');
  await ann.page.context().setOffline(true);
  await ann.banner.waitFor();
  // More than a catch-up brings: the list starts over from its newest page.
  await sendMany(room, 21, 1100);
  await ann.page.context().setOffline(false);
  expect(await divider(ann)).toEqual({ seq: 21, inView: true });
  client.close();
});

it('draws no more for a message than what it changes, and once a frame', async () => {
  const ann = await visit('Ann');
  await ann.create('Channel', 'busy');
  const id = await roomOf(ann);
  const [ben, zoe] = await Promise.all([guestIn('Ben Able', id), guestIn('Zoe Young', id)]);
  // So that each message is a group of its own.
  for (let n = 1; n <= 200; n += 2) {
    await ben.room(id).send({ text: `entry ${n}.` });
    await zoe.room(id).send({ text: `entry ${n + 1}.` });
  }
  await ann.stored('entry 200.').waitFor({ timeout: 120_000 });
  // Each group that is drawn writes its time; each avatar that is drawn cuts a name into letters.
  await ann.page.evaluate(`
    window.drawn = { groups: 0, segmenters: 0, segmented: 0, changes: 0, frames: 0 };
    const { toISOString } = Date.prototype;
    Date.prototype.toISOString = function () { drawn.groups += 1; return toISOString.call(this); };
    const { segment } = Intl.Segmenter.prototype;
    Intl.Segmenter.prototype.segment = function (text) { drawn.segmented += 1; return segment.call(this, text); };
    Intl.Segmenter = class extends Intl.Segmenter { constructor(...a) { super(...a); drawn.segmenters += 1; } };
  `);
  for (let n = 201; n <= 220; n += 2) {
    await ben.room(id).send({ text: `entry ${n}.` });
    await zoe.room(id).send({ text: `entry ${n + 1}.` });
  }
  await ann.stored('entry 220.').waitFor({ timeout: 120_000 });
  const { groups, segmenters, segmented } = await ann.page.evaluate<Record<string, number>>('drawn');
  expect(segmenters).toBe(0);
  // The new ones, and a few that its coming changes; not the 200 that were there.
  expect(groups).toBeLessThan(20 * 6);
  expect(segmented).toBeLessThan(20 * 6);

  await ann.page.evaluate(`
    const tick = () => { drawn.frames += 1; requestAnimationFrame(tick); };
    requestAnimationFrame(tick);
    new MutationObserver(() => (drawn.changes += 1)).observe(document.querySelector('.chat .log-content'), { childList: true });
    drawn.frames = 0;
  `);
  await Promise.all(Array.from({ length: 200 }, (_, n) => (n % 2 ? ben : zoe).room(id).send({ text: `burst ${n}.` })));
  await until(
    'all are there',
    async () => (await ann.page.locator('.item', { hasText: 'burst' }).count()) === 200,
    120_000,
  );
  const { changes = 0, frames = 0 } = await ann.page.evaluate<Record<string, number>>('drawn');
  expect(changes).toBeLessThanOrEqual(frames + 2);
  ben.close();
  zoe.close();
});
