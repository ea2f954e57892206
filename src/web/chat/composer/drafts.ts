/** What is being written, over a reload of the tab: kept for each user, since the next one may sign in to the same tab. */
import { readStored, writeStored } from '../../ui/storage.ts';

const prefix = 'parley.draft.';

/** Neither id may contain what stands between them. */
export function draftKey(user: string, room: string, thread: number | undefined): string {
  return `${prefix}${user}/${room}${thread === undefined ? '' : `#${thread}`}`;
}

/** @returns '' where there is none */
export function readDraft(key: string): string {
  const draft = readStored(sessionStorage, key);
  return typeof draft === 'string' ? draft : '';
}

export function writeDraft(key: string, draft: string): void {
  writeStored(sessionStorage, key, draft === '' ? undefined : draft);
}

/** Who signs out leaves nothing behind. */
export function forgetDrafts(): void {
  for (const key of Object.keys(sessionStorage)) {
    if (key.startsWith(prefix)) writeStored(sessionStorage, key, undefined);
  }
}
