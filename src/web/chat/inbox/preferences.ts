/** The preferences of this user about notifications, as the server has them: levels of rooms, quiet hours, snooze. */
import { signal } from '@preact/signals';
import type { ReadonlySignal } from '@preact/signals';
import type { Client, RoomSummary } from '../../../client/index.ts';
import type { Level, RoomPreferences, UserPreferences } from '../../../client/notifications.ts';

export type { Level, UserPreferences };
export const levelNames = ['all', 'mentions', 'none'] as const satisfies readonly Level[];

type Rooms = Readonly<Record<string, RoomPreferences>>;

const own = signal<UserPreferences>({});
const ofRooms = signal<Rooms>({});
/** Other tabs read the preferences again after a change. */
const changes = 'BroadcastChannel' in globalThis ? new BroadcastChannel('parley preferences') : undefined;

/** The preferences of the user, without those for rooms. */
export const preferences: ReadonlySignal<UserPreferences> = own;

/** Direct rooms have few messages, and all of them are for this user. */
export function levelOf({ id, kind }: Pick<RoomSummary, 'id' | 'kind'>): Level {
  return ofRooms.value[id]?.level ?? own.value.level ?? (kind === 'direct' ? 'all' : 'mentions');
}

/** A muted room is not counted, and is shown pale. */
export function isMuted(room: Pick<RoomSummary, 'id' | 'kind'>): boolean {
  return levelOf(room) === 'none';
}

/** Shown at once. After a failure the page shows the preferences of the server again. */
export async function setLevel(client: Client, id: string, level: Level): Promise<void> {
  const changed = { ...ofRooms.value[id], level };
  ofRooms.value = { ...ofRooms.value, [id]: changed };
  await stored(client, () => client.call('preferences:set', { room: id, preferences: changed }));
}

/** Changes some of the preferences of the user. */
export async function setPreferences(client: Client, change: UserPreferences): Promise<void> {
  own.value = { ...own.value, ...change };
  await stored(client, () => client.call('preferences:set', { preferences: own.value }));
}

let last: Promise<unknown> = Promise.resolve();

/** One change after the other: each replaces the whole document, and the server may finish two of them in any order. */
async function stored(client: Client, call: () => Promise<unknown>): Promise<void> {
  const turn = last.then(call);
  last = turn.catch(() => undefined);
  try {
    await turn;
    changes?.postMessage(client.user.value?.id);
  } catch (error) {
    void read(client).catch(() => undefined);
    throw error;
  }
}

async function read(client: Client): Promise<void> {
  const { preferences: ofUser, rooms = {} } = await client.call('preferences:get', {});
  own.value = ofUser;
  ofRooms.value = rooms;
}

/** Reads the preferences at each connection, because another device may have changed them. @returns a function that ends it */
export function loadPreferences(client: Client): () => void {
  // after a failure, the next connection reads them again
  const refresh = (): void => void read(client).catch(() => undefined);
  const received = ({ data }: MessageEvent): void => {
    if (data === client.user.value?.id) refresh();
  };
  changes?.addEventListener('message', received);
  const stop = client.on('ready', refresh);
  if (client.state.value.status === 'connected') refresh();
  return () => {
    stop();
    changes?.removeEventListener('message', received);
  };
}

/** A sign-out removes them from the page. */
export function forgetPreferences(): void {
  own.value = {};
  ofRooms.value = {};
}
