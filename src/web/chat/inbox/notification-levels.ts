/**
 * The notification level of each room. The protocol has no such setting, so the browser stores it for each user, and
 * all tabs share it.
 */
import { signal } from '@preact/signals';
import type { Client, RoomSummary } from '../../../client/index.ts';
import { readStored, writeStored } from '../../ui/storage.ts';

export const levelNames = ['all', 'mentions', 'nothing'] as const;
export type Level = (typeof levelNames)[number];
type Levels = Readonly<Record<string, Level>>;

const prefix = 'parley.levels.';
let key = '';
const chosen = signal<Levels>({});

/** A channel has many messages that are not for this user. Groups and direct messages have few. */
export function levelOf({ id, kind }: Pick<RoomSummary, 'id' | 'kind'>): Level {
  return chosen.value[id] ?? (kind === 'channel' ? 'mentions' : 'all');
}

/** A muted room is not counted, and is shown pale. */
export function isMuted(room: Pick<RoomSummary, 'id' | 'kind'>): boolean {
  return levelOf(room) === 'nothing';
}

export function setLevel(id: string, level: Level): void {
  chosen.value = { ...chosen.value, [id]: level };
  writeStored(localStorage, key, chosen.value);
}

/** Loads the levels as soon as the user is known. @returns a function that ends it */
export function loadLevels(client: Client): () => void {
  const load = (): void => {
    const user = client.user.value?.id;
    if (user === undefined) return;
    key = prefix + user;
    chosen.value = restored();
  };
  load();
  const stop = client.user.subscribe(load);
  addEventListener('storage', levelsChanged);
  return () => {
    stop();
    removeEventListener('storage', levelsChanged);
  };
}

/** A sign-out removes all levels. */
export function forgetLevels(): void {
  if (key !== '') writeStored(localStorage, key, undefined);
  chosen.value = {};
}

/** Another tab changed a level. */
function levelsChanged(event: StorageEvent): void {
  if (event.key === key) chosen.value = restored();
}

function restored(): Levels {
  const stored = readStored(localStorage, key);
  if (typeof stored !== 'object' || stored === null) return {};
  const known = Object.entries(stored).filter((entry): entry is [string, Level] => isLevel(entry[1]));
  return Object.fromEntries(known);
}

function isLevel(value: unknown): value is Level {
  return levelNames.some((name) => name === value);
}
