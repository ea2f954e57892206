/** Faults of the page that people met: tokens, dialogs that act later, people of one name, pages of other origins. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { describe, expect, it, vi } from 'vitest';
import { connect } from '../../src/client/index.ts';
import type { Client } from '../../src/client/index.ts';
import { until } from '../support/until.ts';
import { audit } from './audit.ts';
import type { Person } from './browser.ts';
import { useStage } from './stage.ts';

vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

const stage = useStage(
  /ERR_INTERNET_DISCONNECTED|WebSocket connection|a (request|socket) to http:|a socket to ws:|status of 4|Content Security Policy/,
);

async function visit(name: string): Promise<Person> {
  return (await stage.arrive()).enter(name);
}

async function roomOf({ page }: Person): Promise<string> {
  return decodeURIComponent((await until('a room is shown', () => new URL(page.url()).hash.split('/')[2])) ?? '');
}

async function guest(name: string): Promise<Client> {
  const { token } = await stage.parley.guest(name);
  return connect({ url: stage.parley.url, token, WebSocket });
}

const dialog = ({ page }: Person) => page.getByRole('dialog');

describe('a page of another port of this machine', () => {
  it('fetches a guest token and connects with it', async () => {
    const other = createServer((_, answer) => answer.setHeader('content-type', 'text/html').end('<p>another</p>'));
    other.listen(0, '127.0.0.1');
    await until('it listens', () => other.listening);
    const person = await stage.arrive();
    try {
      await person.page.goto(`http://127.0.0.1:${(other.address() as AddressInfo).port}/`);
      const said = await person.page.evaluate<string>(`(async () => {
        const url = ${JSON.stringify(stage.parley.url)};
        const answer = await fetch(url + '/api/v1/auth/guest', {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ name: 'Visitor' }),
        });
        const { token } = await answer.json();
        const socket = new WebSocket(url.replace('http', 'ws') + '/socket.io/?EIO=4&transport=websocket');
        return new Promise((resolve, reject) => {
          socket.onerror = () => reject(new Error('no socket'));
          socket.onmessage = ({ data }) => {
            if (data.startsWith('0')) socket.send('40' + JSON.stringify({ token }));
            else if (data.includes('"ready"')) resolve(data);
          };
        });
      })()`);
      expect(said).toContain('Visitor');
    } finally {
      await person.page.goto('about:blank');
      other.close();
      other.closeAllConnections();
    }
  });
});

describe('a token that is not taken', () => {
  it('comes back to the form of tokens, with its text and the reason', async () => {
    const { token } = await stage.parley.guest('Bearer');
    const short = (await stage.parley.command('token', '--user', 'ann', '--name', 'Ann', '--ttl', '8s')).trim();
    for (const [kind, text] of [
      ['mistyped', `${token.slice(0, -4)}AAAA`],
      ['nonsense', 'nonsense'],
      ['expires', short],
    ] as const) {
      const ann = await stage.arrive();
      await ann.page.getByRole('button', { name: 'I have a token' }).click();
      await ann.page.getByLabel('Token').fill(text);
      await ann.page.getByLabel('Token').press('Enter');
      await ann.page.getByText('Signed out:').waitFor({ timeout: 60_000 });
      expect([kind, await ann.page.getByLabel('Token').inputValue()]).toEqual([kind, text]);
      expect(await ann.page.getByLabel('Your name').count()).toBe(0);
      expect(await audit(ann.page)).toEqual([]);
      await ann.page.reload();
      await ann.page.getByText('Signed out:').waitFor();
      expect([kind, await ann.page.getByLabel('Token').inputValue()]).toEqual([kind, text]);
      // Nobody was made in its place.
      await ann.page.getByRole('button', { name: 'Enter', exact: true }).click();
      await ann.page.getByText('Signed out:').waitFor();
      expect(await ann.page.locator('.me-name').count()).toBe(0);
      await ann.page.getByRole('button', { name: 'Enter as a guest' }).click();
      await ann.enter('Somebody');
    }
  });

  it('of a guest leads to the form of names', async () => {
    const ann = await visit('Ann');
    await ann.page.evaluate(`{
      const held = JSON.parse(localStorage.getItem('parley.session'));
      localStorage.setItem('parley.session', JSON.stringify({ ...held, token: held.token.slice(0, -4) + 'AAAA' }));
    }`);
    await ann.page.reload();
    await ann.page.getByText('Signed out:').waitFor();
    await ann.page.getByLabel('Your name').waitFor();
  });
});

describe('signing out', () => {
  it('needs a confirmation of a guest, for whom there is no way back', async () => {
    const ann = await visit('Ann');
    const out = ann.page.getByRole('button', { name: 'Sign out' });
    await out.click();
    await dialog(ann).getByText('A guest cannot sign in again').waitFor();
    expect(await audit(ann.page)).toEqual([]);
    await ann.page.keyboard.press('Escape');
    await dialog(ann).waitFor({ state: 'detached' });
    await ann.page.locator('.me-name', { hasText: 'Ann' }).waitFor();
    await out.click();
    await dialog(ann).getByRole('button', { name: 'Sign out' }).click();
    await ann.page.getByLabel('Your name').waitFor();
  });

  it('needs no confirmation of the bearer of a token', async () => {
    const { token } = await stage.parley.guest('Bearer');
    const ann = await stage.arrive();
    await ann.page.getByRole('button', { name: 'I have a token' }).click();
    await ann.page.getByLabel('Token').fill(token);
    await ann.page.getByLabel('Token').press('Enter');
    await ann.inRoom('general');
    await ann.page.getByRole('button', { name: 'Sign out' }).click();
    await ann.page.getByLabel('Your name').waitFor();
  });
});

describe('an action that was started offline', () => {
  it('does not happen when its dialog or panel was closed before the connection came back', async () => {
    const [ann, ben] = await Promise.all([visit('Ann'), guest('Ben')]);
    await ben.joinRoom('general');
    await ben.createRoom({ kind: 'channel', name: 'to be joined' });
    await ann.page.getByRole('button', { name: 'Write to Ben' }).waitFor();
    const before = ann.page.url();
    const offline = (off: boolean): Promise<void> => ann.page.context().setOffline(off);
    const closed = async (): Promise<void> => {
      await ann.page.keyboard.press('Escape');
      await dialog(ann).waitFor({ state: 'detached' });
    };

    await ann.page.getByRole('button', { name: 'Browse channels' }).click();
    const join = ann.page.getByRole('button', { name: 'Join to be joined', exact: true });
    await join.waitFor();
    await offline(true);
    await ann.banner.waitFor();
    await join.click();
    await closed();

    await ann.page.getByRole('button', { name: 'New channel or group' }).click();
    await ann.page.getByLabel('Name', { exact: true }).fill('made by nobody');
    await ann.page.getByLabel('Name', { exact: true }).press('Enter');
    await closed();

    await ann.page.getByRole('button', { name: 'Write to Ben' }).click();
    await ann.page.getByRole('button', { name: 'Leave this channel' }).click();
    await ann.page.getByRole('button', { name: 'Close members' }).click();

    await offline(false);
    await ann.banner.waitFor({ state: 'detached' });
    await ann.say('back again');
    // Only a wait can prove it: a page that repeats an old click does so by itself.
    await delay(1500);
    expect(ann.page.url()).toBe(before);
    expect(await ann.page.locator('.room-link').count()).toBe(1);
    const { rooms } = await ben.call('room:list', { scope: 'open' });
    expect(rooms.map(({ name }) => name)).not.toContain('made by nobody');
    ben.close();
  });

  it('happens when its dialog is still open', async () => {
    const ann = await visit('Ann');
    await ann.page.getByRole('button', { name: 'New channel or group' }).click();
    await ann.page.getByLabel('Name', { exact: true }).fill('made later');
    await ann.page.context().setOffline(true);
    await ann.banner.waitFor();
    await ann.page.getByLabel('Name', { exact: true }).press('Enter');
    await ann.page.context().setOffline(false);
    await ann.inRoom('made later');
  });
});

describe('people of one name', () => {
  it('are offered with online users and the latest authors first, and with distinct labels', async () => {
    const ann = await visit('Ann');
    await ann.create('Channel', 'three Bens');
    const room = await roomOf(ann);
    const clients = [await guest('Ben'), await guest('Ben'), await guest('Ben'), await guest('Bea')];
    for (const client of clients) await client.joinRoom(room);
    const ids = clients.map((client) => client.user.value?.id ?? '');
    // The last of the three wrote last; the first of all is gone.
    await clients[1]?.room(room).send({ text: 'first' });
    await clients[2]?.room(room).send({ text: 'second' });
    await clients[0]?.room(room).send({ text: 'third' });
    await ann.reach('third');
    clients[0]?.close();
    await ann.page.locator('.members .presence[data-online=false]').first().waitFor({ timeout: 90_000 });
    await ann.field.pressSequentially('hi @B');
    const options = ann.page.getByRole('option');
    await options.first().waitFor();
    expect(await options.count()).toBe(4);
    const shown = await options.allInnerTexts();
    expect(new Set(shown).size).toBe(4);
    const bens = shown.filter((text) => text.includes('Ben'));
    expect(bens.map((text) => ids.findIndex((id) => text.includes(id.slice(-4))))).toEqual([2, 1, 0]);
    // A name that nobody shares has no addition.
    expect(shown.find((text) => text.includes('Bea'))).not.toContain(ids[3]?.slice(-4));
    expect(await audit(ann.page)).toEqual([]);
    await options.filter({ hasText: ids[1]?.slice(-4) ?? '' }).click();
    await ann.field.press('Enter');
    await ann.page.locator(`.mention[title="@${ids[1]}"]`).waitFor();
    for (const client of clients) client.close();
  });

  it('have their names in the list of conversations, also after a reload', async () => {
    const ann = await visit('Ann');
    await ann.create('Channel', 'named');
    const room = await roomOf(ann);
    const [ben, zoe] = [await guest('Ben'), await guest('Zoe')];
    await ben.joinRoom(room);
    await zoe.joinRoom(room);
    await ben.room(room).send({ text: `ask @${zoe.user.value?.id} about it` });
    await ann.link('named').getByText('ask @Zoe about it').waitFor();
    await ann.open('general');
    await ann.page.reload();
    await ann.inRoom('general');
    await ann.link('named').getByText('ask @Zoe about it').waitFor();
    expect(await ann.page.locator('.sidebar').innerText()).not.toContain('guest-');
    ben.close();
    zoe.close();
  });
});

it('needs a confirmation before a link joins a conversation', async () => {
  const ben = await guest('Ben');
  const { id } = await ben.createRoom({ kind: 'group', name: 'by a link' });
  const { token } = await ben.call('link:create', { room: id });
  const ann = await visit('Ann');
  for (const answer of ['Not now', 'Escape'] as const) {
    await ann.page.goto(`${stage.parley.url}/#join=${token}`);
    await dialog(ann).getByRole('button', { name: 'Join', exact: true }).waitFor();
    expect(ann.page.url()).not.toContain('join=');
    expect(await audit(ann.page)).toEqual([]);
    if (answer === 'Escape') await ann.page.keyboard.press('Escape');
    else await dialog(ann).getByRole('button', { name: answer }).click();
    await dialog(ann).waitFor({ state: 'detached' });
    // Only a wait can prove it: the dialog is the last that the page shows, and a join would follow by itself.
    await delay(500);
    expect((await ben.members(id)).length).toBe(1);
  }
  await ann.page.goto(`${stage.parley.url}/#join=${token}`);
  await dialog(ann).getByRole('button', { name: 'Join', exact: true }).click();
  await ann.inRoom('by a link');
  ben.close();
});

it('may load and post nothing that the page did not bring', async () => {
  const ann = await stage.arrive();
  const policy = (await ann.page.request.get(stage.parley.url)).headers()['content-security-policy'] ?? '';
  for (const directive of ["base-uri 'none'", "form-action 'none'", "object-src 'none'", "frame-ancestors 'none'"])
    expect(policy.split('; ')).toContain(directive);
  const moved = await ann.page.evaluate<string>(`(() => {
    const base = document.createElement('base');
    base.href = 'https://evil.example/';
    document.head.prepend(base);
    const { baseURI } = document;
    base.remove();
    return baseURI;
  })()`);
  expect(new URL(moved).origin).toBe(new URL(stage.parley.url).origin);
});
