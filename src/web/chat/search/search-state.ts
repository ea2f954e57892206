/** The query and its scope. The field is in the sidebar, and buttons elsewhere lead to it. */
import { signal } from '@preact/signals';
import { showList } from '../route.ts';
import { phone } from '../../ui/hooks.ts';

export const query = signal('');
/** The room to search in; undefined: all rooms. */
export const searchedRoom = signal<string | undefined>(undefined);

const fieldId = 'search';

export { fieldId as searchFieldId };

export function openSearch(room?: string): void {
  searchedRoom.value = room;
  // On a phone the field is above the list.
  if (matchMedia(phone).matches) showList();
  // Focuses a visible field at once, and a field on a phone after the list is rendered.
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

/**
 * Opens the search with Ctrl or Cmd and K anywhere, and with a slash outside of text fields.
 * @returns a function that ends it
 */
export function listenForSearchKeys(): () => void {
  addEventListener('keydown', press);
  return () => {
    removeEventListener('keydown', press);
    // The next user of this tab must not see the query.
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
