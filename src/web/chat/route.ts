/**
 * The shown room is in the address, so that Back, reload and a second tab work as usual. `#/room/<id>` is a room, and
 * `#/room/<id>/<seq>` one of its messages. `#/room/<id>/thread/<root>` is a thread, and with `/<seq>` at the end one of
 * its replies.
 */
import { computed, signal } from '@preact/signals';
import type { ReadonlySignal } from '@preact/signals';
import type { Message } from '../../client/index.ts';

interface Place {
  readonly room: string;
  readonly seq?: number | undefined;
  /** The root of the thread that has the reply `seq`. */
  readonly thread?: number | undefined;
}

const prefix = '#/room/';

function read(): Place | undefined {
  if (!location.hash.startsWith(prefix)) return undefined;
  const [id = '', ...parts] = location.hash.slice(prefix.length).split('/');
  const room = decoded(id);
  const [first, root, reply] = parts;
  const thread = first === 'thread' ? numbered(root) : undefined;
  return thread === undefined ? { room, seq: numbered(first) } : { room, thread, seq: numbered(reply) };
}

function numbered(text: string | undefined): number | undefined {
  const number = Number(text);
  return Number.isSafeInteger(number) && number > 0 ? number : undefined;
}

/** An address may be typed by hand. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const current = signal(read());
addEventListener('hashchange', () => (current.value = read()));

/** The id of the room that is shown; undefined: the list. */
export const shownRoom: ReadonlySignal<string | undefined> = computed(() => current.value?.room);

/** The message in the room's list to show, until it is visible. */
export const wantedMessage: ReadonlySignal<number | undefined> = computed(() =>
  current.value?.thread === undefined ? current.value?.seq : undefined,
);

/** The root of the thread to open, until the thread and its wanted reply are shown. */
export const wantedThread: ReadonlySignal<number | undefined> = computed(() => current.value?.thread);

/** The reply to show in that thread. */
export const wantedReply: ReadonlySignal<number | undefined> = computed(() =>
  current.value?.thread === undefined ? undefined : current.value.seq,
);

/** The address of a room, or of a message. @param seq of a message in the room's list */
export function addressOf(room: string, seq?: number): string {
  return `${prefix}${encodeURIComponent(room)}${seq === undefined ? '' : `/${seq}`}`;
}

/** @param seq of a reply in it */
export function addressOfThread(room: string, root: number, seq?: number): string {
  return `${addressOf(room)}/thread/${root}${seq === undefined ? '' : `/${seq}`}`;
}

/** The address of a message: a reply is in its thread, any other message in the room's list. */
export function addressOfMessage({ room, seq, thread }: Pick<Message, 'room' | 'seq' | 'thread'>): string {
  return thread === undefined || thread.root === seq ? addressOf(room, seq) : addressOfThread(room, thread.root, seq);
}

export function showRoom(id: string): void {
  location.hash = addressOf(id);
  // Sets the value at once: `hashchange` comes later, and code that runs in between must see the new room.
  current.value = read();
}

/**
 * Called after the wanted message was shown or was not found. The entry of the history is replaced, so that the same
 * link works again and Back leads to the page before.
 */
export function wantedShown(): void {
  const place = current.peek();
  if (place?.seq === undefined && place?.thread === undefined) return;
  history.replaceState(null, '', addressOf(place.room));
  current.value = { room: place.room };
}

/** Returns from a room that was left or removed to the list, unless another room is shown by now. */
export function leaveShown(id: string): void {
  if (shownRoom.peek() === id) showList();
}

/**
 * Returns from a room to the list. The entry of the history is replaced, so that Back does not lead into the room
 * again.
 */
export function showList(): void {
  history.replaceState(null, '', '#/');
  current.value = undefined;
}
