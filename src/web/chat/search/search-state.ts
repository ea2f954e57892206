/** What is looked for, and where: the field stands in the sidebar, but others lead to it. */
import { signal } from '@preact/signals';
import { showList } from '../route.ts';
import { phone } from '../../ui/hooks.ts';

export const query = signal('');
/** A room to look in; undefined: all of them. */
export const searchedRoom = signal<string | undefined>(undefined);

const fieldId = 'search';

export { fieldId as searchFieldId };

export function openSearch(room?: string): void {
  searchedRoom.value = room;
  // On a phone the field stands with the list.
  if (matchMedia(phone).matches) showList();
  // At once where it is there, and when a phone shows the list.
  focusField();
  setTimeout(focusField);
}

function focusField(): void {
  const field = document.getElementById(fieldId);
  if (!(field instanceof HTMLInputElement)) return;
  field.focus();
  field.select();
}

export function closeSearch(): void {
  query.value = '';
  searchedRoom.value = undefined;
}

/** Ctrl or Cmd and K anywhere, and a slash where nothing is written. @returns what ends it */
export function listenForSearchKeys(): () => void {
  addEventListener('keydown', press);
  return () => {
    removeEventListener('keydown', press);
    // The next one who signs in does not see what this one looked for.
    closeSearch();
  };
}

function press(event: KeyboardEvent): void {
  const { key, ctrlKey, metaKey, altKey, target } = event;
  const chord = key.toLowerCase() === 'k' && (ctrlKey || metaKey) && !altKey;
  const writing = target instanceof HTMLElement && target.matches('input, textarea, select, [contenteditable]');
  const slash = key === '/' && !ctrlKey && !metaKey && !altKey && !writing;
  if ((!chord && !slash) || document.querySelector('dialog[open]') !== null) return;
  event.preventDefault();
  openSearch();
}
