/**
 * Which room is shown stands in the address, so that Back, reload and a second tab do what one expects: `#/room/<id>`, and
 * `#/room/<id>/<seq>` for one of its messages.
 */
import { computed, signal } from '@preact/signals';
import type { ReadonlySignal } from '@preact/signals';

interface Place {
  readonly room: string;
  readonly seq?: number;
}

const prefix = '#/room/';

function read(): Place | undefined {
  if (!location.hash.startsWith(prefix)) return undefined;
  const [id = '', seq] = location.hash.slice(prefix.length).split('/');
  const number = Number(seq);
  const room = decoded(id);
  return Number.isSafeInteger(number) && number > 0 ? { room, seq: number } : { room };
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

/** The message in it that is to be shown, until it is. */
export const wantedMessage: ReadonlySignal<number | undefined> = computed(() => current.value?.seq);

/** For links. */
export function addressOf(room: string, seq?: number): string {
  return `${prefix}${encodeURIComponent(room)}${seq === undefined ? '' : `/${seq}`}`;
}

export function showRoom(id: string): void {
  location.hash = addressOf(id);
}

/** The message was shown, or cannot be. It replaces the entry: the same link leads there again, and Back to where one was. */
export function messageShown(): void {
  const place = current.value;
  if (place?.seq === undefined) return;
  history.replaceState(null, '', addressOf(place.room));
  current.value = { room: place.room };
}

/** From a room back to the list. It replaces the entry, so that Back does not lead into the room again. */
export function showList(): void {
  history.replaceState(null, '', '#/');
  current.value = undefined;
}
