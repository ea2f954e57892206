/** Notifications of the demo: the bell and the settings on two devices, pushes to the service worker, and the offline shell. */
import { randomUUID } from 'node:crypto';
import { WebSocket } from 'ws';
import { afterAll, expect, it, vi } from 'vitest';
import { connect, type Client } from '../../src/client/index.ts';
import { serviceNetworks, startPushService } from '../notifications/push/push-service.ts';
import { until } from '../support/until.ts';
import { audit } from './audit.ts';
import type { Person } from './browser.ts';
import { useStage } from './stage.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let key = '';
const service = await startPushService(() => key);
const clients: Client[] = [];
afterAll(() => {
  for (const client of clients) client.close();
  service.close();
});

const stage = useStage(/WebSocket connection|ERR_CONNECTION_REFUSED|Failed to load resource/, 'direct', {
  PARLEY_OUTGOING_NETWORKS: serviceNetworks,
});
const visit = async (name: string): Promise<Person> => (await stage.arrive()).enter(name);

/** A user without a page. */
async function remote(name: string, token?: string): Promise<Client> {
  const client = connect({
    url: stage.parley.url,
    token: token ?? (await stage.parley.guest(name)).token,
    WebSocket,
  });
  clients.push(client);
  await until('it is connected', () => client.state.value.status === 'connected');
  return client;
}

const bell = ({ page }: Person, name: string) => page.getByRole('button', { name, exact: true });
const dialog = ({ page }: Person) => page.getByRole('dialog').last();
const stored = (person: Person): Promise<string> =>
  person.page.evaluate<string>(`localStorage.getItem('parley.session')`);

/** The user at a window. */
async function userAt(person: Person): Promise<{ readonly id: string; readonly token: string }> {
  const { token } = JSON.parse(await stored(person)) as { token: string };
  const { sub } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { sub: string };
  return { id: sub, token };
}

/** Another device of the person. */
async function deviceOf(person: Person): Promise<Person> {
  const session = await stored(person);
  const device = await stage.arrive();
  await device.page.evaluate(`localStorage.setItem('parley.session', ${JSON.stringify(session)})`);
  await device.page.reload();
  return device;
}

const say = (client: Client, room: string, words: string): Promise<unknown> =>
  client.call('message:send', { room, id: randomUUID(), body: { text: words } });

it('the bell has the same notifications on two devices, and one that is read on one is read on the other', async () => {
  const [ann, ben] = [await visit('Ann'), await remote('Ben')];
  const phone = await deviceOf(ann);
  const { id: room } = await ben.createRoom({ kind: 'group', name: 'news' });
  const { id: me } = await userAt(ann);
  await ben.invite(room, me);
  await say(ben, room, `@${me} read this`);
  await bell(ann, 'Notifications, 1 new').waitFor();
  await bell(phone, 'Notifications, 1 new').click();
  const entry = dialog(phone).getByRole('region', { name: 'For you' }).getByText('read this');
  await entry.waitFor();
  expect(await audit(phone.page)).toEqual([]);
  await entry.click();
  await phone.inRoom('news');
  await bell(phone, 'Notifications').waitFor();
  await bell(ann, 'Notifications').waitFor();
});

it('the level of a room, quiet hours and snooze are those of the user on every device', async () => {
  const ann = await visit('Ann');
  const { token } = await userAt(ann);
  const client = await remote('Ann', token);
  const ofServer = () => client.call('preferences:get', {});
  await ann.page.getByRole('button', { name: 'Room settings' }).click();
  await dialog(ann).getByRole('tab', { name: 'Notifications' }).click();
  await dialog(ann).getByText('Nothing', { exact: true }).click();
  await until('the level is stored', async () => (await ofServer()).rooms?.['general']?.level === 'none');
  await ann.page.keyboard.press('Escape');
  await ann.page.getByRole('button', { name: 'Your settings' }).click();
  const settings = dialog(ann).getByRole('region', { name: 'Notifications' });
  await settings.getByLabel('Mon').check();
  await settings.getByLabel('Fri').check();
  await settings.getByLabel('From').fill('21:30');
  await settings.getByLabel('Shown on your devices').selectOption('Sender only');
  await settings.getByRole('button', { name: 'For an hour' }).click();
  await settings.getByText(/^Snoozed until/).waitFor();
  expect(await audit(ann.page)).toEqual([]);
  const zone = await ann.page.evaluate<string>('new Intl.DateTimeFormat().resolvedOptions().timeZone');
  const window = { from: '21:30', to: '07:00', zone };
  await until('all is stored', async () => (await ofServer()).preferences.snoozeUntil !== undefined);
  expect((await ofServer()).preferences).toMatchObject({
    quiet: [
      { day: 'mon', ...window },
      { day: 'fri', ...window },
    ],
    content: 'sender',
  });

  const phone = await deviceOf(ann);
  await phone.link('general').getByText('Muted', { exact: true }).waitFor({ state: 'attached' });
  await phone.page.getByRole('button', { name: 'Your settings' }).click();
  const there = dialog(phone).getByRole('region', { name: 'Notifications' });
  await there.getByText(/^Snoozed until/).waitFor();
  expect(await there.getByLabel('Mon').isChecked()).toBe(true);
  expect(await there.getByLabel('Tue').isChecked()).toBe(false);
  expect(await there.getByLabel('From').inputValue()).toBe('21:30');
  await there.getByRole('button', { name: 'End snooze' }).click();
  await there.getByText('Snooze everything').waitFor();
  expect((await ofServer()).preferences.snoozeUntil ?? null).toBeNull();
});

it('a push is shown by the service worker, a click opens the message, and a clear closes the notification', async () => {
  const ann = await stage.arriveWithNotifications();
  await ann.enter('Ann');
  const { page } = ann;
  const { id: me, token } = await userAt(ann);
  await page.evaluate('navigator.serviceWorker.ready.then(() => undefined)');
  const [client, ben] = [await remote('Ann', token), await remote('Ben')];
  ({ key } = (await client.call('device:list', {})) as { key: string });
  const browser = service.browser();
  await client.call('device:register', { web: browser.subscription });
  const { id: room } = await ben.createRoom({ kind: 'group', name: 'alarms' });
  await ben.invite(room, me);
  // a page in use would wait whether the message is read there
  await page.evaluate(`Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => 'hidden' });
    document.dispatchEvent(new Event('visibilitychange'))`);
  await say(ben, room, `@${me} the house burns`);
  const [push] = await until('the push service has the push', () => browser.received.length === 1 && browser.received);

  // the decrypted push, given to the worker as the push service of the browser gives it
  const devtools = await page.context().newCDPSession(page);
  const registration = new Promise<string>((resolve) => {
    devtools.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => {
      const [one] = registrations;
      if (one !== undefined) resolve(one.registrationId);
    });
  });
  await devtools.send('ServiceWorker.enable');
  const registrationId = await registration;
  const { origin } = new URL(stage.parley.url);
  const deliver = (payload: object) =>
    devtools.send('ServiceWorker.deliverPushMessage', { origin, registrationId, data: JSON.stringify(payload) });
  const shown = (): Promise<string[]> =>
    page.evaluate<string[]>(
      `navigator.serviceWorker.ready.then((worker) => worker.getNotifications())
        .then((all) => all.map(({ title, body }) => title + ': ' + body))`,
    );
  if (push === undefined) throw new Error('there is no push');
  await deliver(push.payload);
  await until('it is shown', async () => (await shown()).length === 1);
  expect(await shown()).toEqual(['Ben in alarms: @Ann the house burns']);
  await deliver({ ...push.payload, text: 'again' });
  await until('the later one replaces it', async () => (await shown())[0] === 'Ben in alarms: again');
  expect(await shown()).toHaveLength(1);

  const [worker] = page.context().serviceWorkers();
  await worker?.evaluate(`registration.getNotifications().then(([notification]) =>
    dispatchEvent(new NotificationEvent('notificationclick', { notification })))`);
  await until('the message is opened', () => new URL(page.url()).hash.startsWith(`#/room/${room}`));
  await ann.inRoom('alarms');
  await until('the click closed it', async () => (await shown()).length === 0);

  await deliver(push.payload);
  await until('it is shown again', async () => (await shown()).length === 1);
  await deliver({ type: 'clear', room, tag: push.payload.tag, upTo: 0, badge: 1 });
  // a clear up to an earlier message leaves the notification; the next push shows that the clear is done
  await deliver({ ...push.payload, room: 'other', tag: 'room:other' });
  await until('both are shown', async () => (await shown()).length === 2);
  await deliver({ type: 'clear', room, tag: push.payload.tag, upTo: push.payload.seq, badge: 0 });
  await until('it is cleared', async () => (await shown()).length === 1);
});

it('the page comes without the server, and goes on with it', async () => {
  const ann = await visit('Ann');
  await ann.say('before the outage');
  await ann.page.evaluate('navigator.serviceWorker.ready.then(() => undefined)');
  // the second visit has all of the page from the worker
  await ann.page.reload();
  await ann.reach('before the outage');
  await stage.parley.kill();
  await ann.page.reload();
  await ann.reach('before the outage');
  await stage.parley.start();
  await ann.say('after the outage');
});
