/**
 * The seam to the place of the bytes of uploads. The names of files never reach a store: an upload is its id alone.
 *
 * - `protocol` is the data store of the tus server. The data store appends the bytes of an upload, and knows its offset. One request at a
 *   time writes an upload, which `UploadLocks` ensures.
 * - `open` gives the bytes `from` to `to`, both included. The stream begins to read when somebody reads from it, and a
 *   cancelled stream frees its file or connection. An error of a read is an error of the stream.
 * - `first` gives the first bytes, or all bytes of a shorter file.
 * - `discard` deletes the bytes, also of an unfinished upload. No bytes are a success too.
 */
import type { DataStore } from '@tus/server';

export interface UploadStore {
  readonly protocol: DataStore;
  open(id: string, from: number, to: number): Promise<ReadableStream<Uint8Array>>;
  first(id: string, bytes: number): Promise<Uint8Array>;
  discard(id: string): Promise<void>;
  close(): void;
}
