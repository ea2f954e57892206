/**
 * The files beside a draft. They survive a reload of the tab, as the draft does: complete ones whole, and unfinished ones as
 * the address of their upload. A page does not get a file back after a reload, so that the user chooses the file again.
 */
import { readStored, writeStored } from '../../ui/storage.ts';
import { filesOf, type MessageFile } from '../text/body.ts';

export interface KeptFile {
  readonly name: string;
  readonly bytes: number;
  /** When the file was changed last, in milliseconds since 1970. */
  readonly modified: number;
  /** The address of the upload. */
  readonly url?: string;
  /** The file is complete. */
  readonly file?: MessageFile;
}

/** A sign-out removes the key with the drafts. The separator cannot occur in the ids. */
const keyOf = (draft: string): string => `${draft}/files`;

export function readFiles(draft: string): readonly KeptFile[] {
  const stored = readStored(sessionStorage, keyOf(draft));
  return Array.isArray(stored) ? stored.filter(isKept) : [];
}

export function writeFiles(draft: string, files: readonly KeptFile[]): void {
  const kept = files.filter(({ url, file }) => url !== undefined || file !== undefined);
  writeStored(sessionStorage, keyOf(draft), kept.length === 0 ? undefined : kept.map(fieldsOf));
}

/** Whether the user has chosen the file of the upload again, as far as a page can see. */
export function isSame({ name, bytes, modified }: KeptFile, file: File): boolean {
  return file.name === name && file.size === bytes && file.lastModified === modified;
}

function fieldsOf({ name, bytes, modified, url, file }: KeptFile): KeptFile {
  return { name, bytes, modified, ...(url !== undefined && { url }), ...(file !== undefined && { file }) };
}

function isKept(value: unknown): value is KeptFile {
  if (typeof value !== 'object' || value === null) return false;
  const { name, bytes, modified, url, file } = value as Record<string, unknown>;
  return (
    typeof name === 'string' &&
    typeof bytes === 'number' &&
    typeof modified === 'number' &&
    (url === undefined || typeof url === 'string') &&
    (file === undefined ? url !== undefined : filesOf({ files: [file] }).length === 1)
  );
}
