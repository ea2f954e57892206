/**
 * Which room is shown stands in the address, so that Back, reload and a second tab do what one expects: `#/room/<id>`,
 * `#/room/<id>/<seq>` for one of its messages, `#/room/<id>/thread/<root>` for a thread and, with `/<seq>` behind it, for
 * one of its replies.
 */
import { computed, signal } from '@preact/signals';
import type { ReadonlySignal } from '@preact/signals';
import type { Message } from '../../client/index.ts';

interface Place {
  readonly room: string;
  readonly seq?: number | undefined;
  /** The root of the thread that `seq`, if it is given, is a reply in. */
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

/** The message in its list that is to be shown, until it is. */
export const wantedMessage: ReadonlySignal<number | undefined> = computed(() =>
  current.value?.thread === undefined ? current.value?.seq : undefined,
);

/** The root of the thread that is to be opened, until it and what is wanted in it are shown. */
export const wantedThread: ReadonlySignal<number | undefined> = computed(() => current.value?.thread);

/** The reply that is to be shown in that thread. */
export const wantedReply: ReadonlySignal<number | undefined> = computed(() =>
  current.value?.thread === undefined ? undefined : current.value.seq,
);

/** For links. @param seq of a message in the room's list */
export function addressOf(room: string, seq?: number): string {
  return `${prefix}${encodeURIComponent(room)}${seq === undefined ? '' : `/${seq}`}`;
}

/** @param seq of a reply in it */
export function addressOfThread(room: string, root: number, seq?: number): string {
  return `${addressOf(room)}/thread/${root}${seq === undefined ? '' : `/${seq}`}`;
}

/** Where a message is read: a reply in its thread, any other in the room's list. */
export function addressOfMessage({ room, seq, thread }: Pick<Message, 'room' | 'seq' | 'thread'>): string {
  return thread === undefined || thread.root === seq ? addressOf(room, seq) : addressOfThread(room, thread.root, seq);
}

export function showRoom(id: string): void {
  location.hash = addressOf(id);
  // At once: `hashchange` comes later, and who asks in between must not lead on to another room.
  current.value = read();
}

/** What was wanted was shown, or cannot be. It replaces the entry: the same link leads there again, and Back to where one was. */
export function wantedShown(): void {
  const place = current.peek();
  if (place?.seq === undefined && place?.thread === undefined) return;
  history.replaceState(null, '', addressOf(place.room));
  current.value = { room: place.room };
}

/** Of a room that we left, or that is gone: back to the list, unless another one is shown by now. */
export function leaveShown(id: string): void {
  if (shownRoom.peek() === id) showList();
}

/** From a room back to the list. It replaces the entry, so that Back does not lead into the room again. */
export function showList(): void {
  history.replaceState(null, '', '#/');
  current.value = undefined;
}
