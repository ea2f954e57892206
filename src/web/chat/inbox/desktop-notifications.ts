/**
 * The system's notifications: on request, and only while no tab is visible. Only one of several tabs shows them: the
 * holder of a Web Lock. Browsers without Web Locks (plain http) have no notifications either.
 */
import { signal } from '@preact/signals';
import type { ReadonlySignal } from '@preact/signals';
import type { Client, EventData, Message, RoomEntry } from '../../../client/index.ts';
import { pushed, startPush, stopPush } from './push.ts';
import { withNames } from '../text/mention-names.ts';
import { nameOf } from '../members/people.ts';
import { titleOf } from '../rooms.ts';
import { addressOfMessage } from '../route.ts';
import { readStored, writeStored } from '../../ui/storage.ts';
import { summaryOf } from '../text/text.ts';

const key = 'parley.notify';
const visibleLock = 'parley visible';
const notifier = 'parley notifier';

export type Permission = 'off' | 'on' | 'denied' | 'impossible';

/**
 * Chrome on Android has the class and requests the permission, but its constructor throws: only service workers may use
 * it.
 */
let refused = false;

function present(): Permission {
  // The type does not cover a runtime without these.
  if (refused || !('Notification' in globalThis) || !('locks' in navigator)) return 'impossible';
  if (Notification.permission === 'denied') return 'denied';
  return Notification.permission === 'granted' && readStored(localStorage, key) === true ? 'on' : 'off';
}

const held = signal(present());
export const permission: ReadonlySignal<Permission> = held;
addEventListener('storage', (event) => event.key === key && (held.value = present()));

/** Call it from a click: browsers request the permission only then. */
export async function allowNotifications(client: Client): Promise<void> {
  const answer = await Notification.requestPermission();
  writeStored(localStorage, key, answer === 'granted' ? true : undefined);
  held.value = present();
  if (held.value === 'on') await startPush(client);
}

export async function stopNotifications(client: Client): Promise<void> {
  writeStored(localStorage, key, undefined);
  held.value = present();
  await stopPush(client);
}

/** @returns a function that ends it */
export function startNotifications(client: Client): () => void {
  if (held.value === 'impossible') return () => undefined;
  const stopHolding = holdLockWhileVisible();
  const ended = new AbortController();
  let mine = false;
  navigator.locks
    .request(notifier, { signal: ended.signal }, () => {
      mine = true;
      return new Promise<void>((resolve) => ended.signal.addEventListener('abort', () => resolve()));
    })
    // The request was cancelled before this tab got the lock.
    .catch(() => undefined);
  // subscriptions end by themselves, so each connection registers again
  const register = (): void => void (held.value === 'on' && startPush(client));
  const show = async (notification: EventData<'notification'>): Promise<void> => {
    const room = client.rooms.value.find(({ id }) => id === notification.room);
    if (room === undefined || !mine || held.value !== 'on' || pushed.value) return;
    if ((await isAnyTabVisible()) || ended.signal.aborted) return;
    const { message } = await client.call('message:get', { room: room.id, seq: notification.seq });
    notify(room, message);
  };
  const stops = [
    // the server decides by level, quiet hours and snooze; a message that is gone has no notification
    client.on('notification', (notification) => void show(notification).catch(() => undefined)),
    client.on('ready', register),
  ];
  if (client.state.value.status === 'connected') register();
  return () => {
    ended.abort();
    stopHolding();
    for (const stop of stops) stop();
  };
}

function notify(room: RoomEntry, message: Message): void {
  const author = nameOf(message.from, message.name);
  const title = room.kind === 'direct' ? author : `${author} in ${titleOf(room)}`;
  const text = summaryOf(message);
  // A later notification of the same room replaces this one.
  const shown = made(title, { body: withNames(text), tag: `parley ${room.id}`, icon: 'favicon.svg' });
  shown?.addEventListener('click', () => {
    window.focus();
    location.hash = addressOfMessage(message);
    shown.close();
  });
}

function made(title: string, options: NotificationOptions): Notification | undefined {
  try {
    return new Notification(title, options);
  } catch {
    refused = true;
    held.value = present();
    return undefined;
  }
}

/** Shows the other tabs that this one is visible, by a lock that several tabs may hold. */
function holdLockWhileVisible(): () => void {
  let release: (() => void) | undefined;
  const update = (): void => {
    release?.();
    release = undefined;
    if (document.visibilityState !== 'visible') return;
    const done = new Promise<void>((resolve) => (release = resolve));
    navigator.locks.request(visibleLock, { mode: 'shared' }, () => done).catch(() => undefined);
  };
  update();
  document.addEventListener('visibilitychange', update);
  return () => {
    document.removeEventListener('visibilitychange', update);
    release?.();
  };
}

async function isAnyTabVisible(): Promise<boolean> {
  if (document.visibilityState === 'visible') return true;
  const { held: locks = [] } = await navigator.locks.query();
  return locks.some(({ name }) => name === visibleLock);
}
