/**
 * Drafts, which survive a reload of the tab. Each user has their own, because another user may sign in to the same tab.
 */
import { readStored, writeStored } from '../../ui/storage.ts';

const prefix = 'parley.draft.';

/** The separators cannot occur in the ids. */
export function draftKey(user: string, room: string, thread: number | undefined): string {
  return `${prefix}${user}/${room}${thread === undefined ? '' : `#${thread}`}`;
}

/** @returns '' if there is none */
export function readDraft(key: string): string {
  const draft = readStored(sessionStorage, key);
  return typeof draft === 'string' ? draft : '';
}

export function writeDraft(key: string, draft: string): void {
  writeStored(sessionStorage, key, draft === '' ? undefined : draft);
}

/** A sign-out removes all drafts. */
export function forgetDrafts(): void {
  for (const key of Object.keys(sessionStorage)) {
    if (key.startsWith(prefix)) writeStored(sessionStorage, key, undefined);
  }
}
