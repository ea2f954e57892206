/** The service worker of the page, and the pushes that it gets for this user. */
import { signal } from '@preact/signals';
import type { ReadonlySignal } from '@preact/signals';
import type { Client } from '../../../client/index.ts';
import { registerPush, unregisterPush } from '../../../client/notifications.ts';

const registered = signal(false);
/** The server pushes to this device, so the page itself shows nothing. */
export const pushed: ReadonlySignal<boolean> = registered;

/** Undefined: a browser without service workers, or plain http. */
function container(): ServiceWorkerContainer | undefined {
  return 'serviceWorker' in navigator && isSecureContext ? navigator.serviceWorker : undefined;
}

/** The worker names the address of a message that the user clicked. */
function opened({ data }: MessageEvent<unknown>): void {
  if (typeof data === 'object' && data !== null && 'hash' in data && typeof data.hash === 'string')
    location.hash = data.hash;
}

/** Registers the service worker, and opens messages that the user clicked in a notification. @returns a function that ends it */
export function startWorker(): () => void {
  const workers = container();
  if (workers === undefined) return () => undefined;
  workers.addEventListener('message', opened);
  // without the worker the page does all but pushes
  workers.register('sw.js').catch(() => undefined);
  return () => workers.removeEventListener('message', opened);
}

/** Registers this device. Call it where notifications are allowed. A browser without a push service is no error. */
export async function startPush(client: Client): Promise<void> {
  const worker = await container()?.ready;
  if (worker === undefined || !('pushManager' in worker)) return;
  try {
    registered.value = (await registerPush(client, worker, deviceName())) !== undefined;
  } catch {
    registered.value = false;
  }
}

export async function stopPush(client: Client): Promise<void> {
  registered.value = false;
  const worker = await container()?.getRegistration();
  if (worker !== undefined && 'pushManager' in worker) await unregisterPush(client, worker);
}

/** Ends the pushes without the server, at the end of a session: another user may sign in here. The server learns of it by 410. */
export async function dropPush(): Promise<void> {
  registered.value = false;
  const worker = await container()?.getRegistration();
  if (worker === undefined || !('pushManager' in worker)) return;
  await (await worker.pushManager.getSubscription())?.unsubscribe();
  for (const shown of await worker.getNotifications()) shown.close();
}

const browsers = ['Firefox', 'Edg', 'OPR', 'Chrome', 'Safari'] as const;
const systems = ['Android', 'iPhone', 'iPad', 'Macintosh', 'Windows', 'Linux'] as const;

function deviceName(): string {
  const { userAgent } = navigator;
  const found = [browsers, systems].map((names) => names.find((name) => userAgent.includes(name)));
  return found.filter((name) => name !== undefined).join(' on ') || 'Browser';
}
