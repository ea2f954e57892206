/** The entry `parley/notifications` against a real server and a push service that speaks its real protocol. */
import { WebSocket } from 'ws';
import { afterAll, expect, it, onTestFinished } from 'vitest';
import { connect, type Client } from '../../src/client/index.ts';
import { notifications, registerPush, unregisterPush, type PushWorker } from '../../src/client/notifications.ts';
import { newVapidKeys } from '../../src/notifications/push/vapid.ts';
import { serviceNetworks, startPushService } from '../notifications/push/push-service.ts';
import { stage } from '../stage.ts';
import { tokenOf } from '../support/server.ts';
import { until } from '../support/until.ts';

const keys = newVapidKeys();
const service = await startPushService(() => keys.publicKey);
afterAll(() => service.close());
const { server, people, room, say } = await stage({
  people: ['owner', 'ann'],
  config: { PARLEY_VAPID_PRIVATE_KEY: keys.privateKey, PARLEY_OUTGOING_NETWORKS: serviceNetworks },
});

async function enter(): Promise<Client> {
  const client = connect({ url: server.url, token: () => tokenOf('ann'), WebSocket });
  onTestFinished(() => client.close());
  await until('it is connected', () => client.state.value.status === 'connected');
  return client;
}

it('the count follows mentions, marks, and the read marks of this client', async () => {
  const client = await enter();
  const bell = notifications(client);
  onTestFinished(() => bell.close());
  const seen: string[] = [];
  bell.on(({ kind }) => seen.push(kind));
  const hall = await room();
  await say('owner', hall, 'one @ann');
  await until('it is counted', () => bell.unread.value === 1);
  expect(seen).toEqual(['mention']);
  const { notifications: listed } = await bell.list({ unread: true });
  await bell.mark({ ids: listed.map(({ id }) => id) });
  expect(bell.unread.value).toBe(0);
  const seq = await say('owner', hall, 'two @ann');
  await until('the second one is counted', () => bell.unread.value === 1);
  await client.call('read', { room: hall, seq });
  await until('the read mark of this client counts', () => bell.unread.value === 0, 5000);
});

it('preferences of the user and of a room are stored', async () => {
  const bell = notifications(await enter());
  onTestFinished(() => bell.close());
  const hall = await room();
  await bell.setPreferences({ content: 'none' });
  await bell.setPreferences({ level: 'none' }, hall);
  expect(await bell.preferences()).toEqual({ preferences: { content: 'none' }, rooms: { [hall]: { level: 'none' } } });
  await bell.setPreferences({});
});

it('a browser is registered once, again for another key of the server, and removed', async () => {
  const client = await enter();
  const browsers = [service.browser(), service.browser()];
  /** The push manager of a browser, as far as the client uses it. */
  const manager = (key: string) => {
    let held: { readonly browser: (typeof browsers)[number]; readonly key: string } | undefined = {
      browser: service.browser(),
      key,
    };
    const subscription = () =>
      held === undefined
        ? null
        : {
            options: { applicationServerKey: new Uint8Array(Buffer.from(held.key, 'base64url')).buffer },
            toJSON: () => held?.browser.subscription ?? {},
            unsubscribe: () => {
              held = undefined;
              return Promise.resolve(true);
            },
          };
    const pushManager: PushWorker['pushManager'] = {
      getSubscription: () => Promise.resolve(subscription()),
      subscribe: ({ applicationServerKey }) => {
        held ??= { browser: browsers.shift() ?? service.browser(), key: applicationServerKey };
        return Promise.resolve(subscription() as NonNullable<ReturnType<typeof subscription>>);
      },
    };
    return { worker: { pushManager }, key: () => held?.key };
  };
  const { worker, key } = manager(newVapidKeys().publicKey);
  const first = await registerPush(client, worker, 'Laptop');
  expect(key()).toBe(keys.publicKey);
  expect(first).toMatchObject({ name: 'Laptop' });
  expect(await registerPush(client, worker)).toMatchObject({ id: first?.id, name: 'Laptop' });
  const hall = await room();
  await say('owner', hall, 'hello @ann');
  await until('the push has arrived', () => service.received.some(({ payload }) => payload.room === hall));
  await unregisterPush(client, worker);
  expect(key()).toBeUndefined();
  expect((await people.ann.ok('device:list', {})).devices).toEqual([]);
});
