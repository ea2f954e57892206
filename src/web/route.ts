/** Which room is shown stands in the address, so that Back, reload and a second tab do what one expects. */
import { signal } from '@preact/signals';
import type { ReadonlySignal } from '@preact/signals';

const prefix = '#/room/';

function read(): string | undefined {
  return location.hash.startsWith(prefix) ? decodeURIComponent(location.hash.slice(prefix.length)) : undefined;
}

const current = signal(read());
addEventListener('hashchange', () => (current.value = read()));

/** The id of the room that is shown; undefined: the list. */
export const shownRoom: ReadonlySignal<string | undefined> = current;

export function showRoom(id: string): void {
  location.hash = prefix + encodeURIComponent(id);
}

/** From a room back to the list. It replaces the entry, so that Back does not lead into the room again. */
export function showList(): void {
  history.replaceState(null, '', '#/');
  current.value = undefined;
}
