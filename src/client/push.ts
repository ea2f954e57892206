/** Web pushes of a browser: its service worker gets them, also without a page. */
import type { CommandOutput } from '../protocol/commands.ts';
import type { Client } from './client.ts';

export type PushRegistration = CommandOutput<'device:register'>['device'];

/** The parts of a `PushSubscription` that the client uses; Node's types have none of them. */
interface Subscription {
  readonly options: { readonly applicationServerKey: ArrayBuffer | null };
  toJSON(): { endpoint?: string; keys?: Record<string, string> };
  unsubscribe(): Promise<boolean>;
}

/** A `ServiceWorkerRegistration`. */
export interface PushWorker {
  readonly pushManager: {
    getSubscription(): Promise<Subscription | null>;
    subscribe(options: { userVisibleOnly: boolean; applicationServerKey: string }): Promise<Subscription>;
  };
}

/**
 * Subscribes the browser and registers the subscription as a device of the user. Browsers ask for the permission only in a
 * click. Call it again at each start of the page: subscriptions end, and the server counts the devices that are in use.
 *
 * @returns undefined if the server sends no pushes
 * @throws the error of the browser, if it has no push service or the user has refused
 */
export async function registerPush(
  client: Client,
  worker: PushWorker,
  name?: string,
): Promise<PushRegistration | undefined> {
  const { key } = await client.call('device:list', {});
  if (key === null) return undefined;
  const held = await worker.pushManager.getSubscription();
  // a server with another key cannot use the subscription
  if (held !== null && keyOf(held) !== key) await held.unsubscribe();
  const subscription = await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  return register(client, subscription, name);
}

/** Ends the subscription of the browser, and removes the device. */
export async function unregisterPush(client: Client, worker: PushWorker): Promise<void> {
  const subscription = await worker.pushManager.getSubscription();
  if (subscription === null) return;
  const { id } = await register(client, subscription);
  await subscription.unsubscribe();
  await client.call('device:remove', { id });
}

async function register(client: Client, subscription: Subscription, name?: string): Promise<PushRegistration> {
  const { endpoint = '', keys = {} } = subscription.toJSON();
  const { p256dh = '', auth = '' } = keys;
  const web = { endpoint, keys: { p256dh, auth } };
  return (await client.call('device:register', { web, ...(name === undefined ? {} : { name }) })).device;
}

function keyOf({ options }: Subscription): string | undefined {
  const { applicationServerKey: bytes } = options;
  if (bytes === null) return undefined;
  const text = btoa(String.fromCharCode(...new Uint8Array(bytes)));
  return text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
