/** Uploads in a folder: a file for the bytes of each upload, and a file of JSON for the tus protocol. */
import { FileStore } from '@tus/file-store';
import { createReadStream } from 'node:fs';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { UploadStore } from './store.ts';

const partBytes = 64 * 1024;

export async function openFolderStore(folder: string, expirationMs: number): Promise<UploadStore> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const pathOf = (id: string): string => join(folder, id);
  return {
    protocol: new FileStore({ directory: folder, expirationPeriodInMilliseconds: expirationMs }),
    async open(id, start, end) {
      // opened here, so that a missing file is an error before the answer begins
      const file = await open(pathOf(id));
      const stream = createReadStream('', { fd: file, start, end, highWaterMark: partBytes });
      return Readable.toWeb(stream, { strategy: { highWaterMark: 0 } }) as ReadableStream<Uint8Array>;
    },
    async first(id, bytes) {
      const file = await open(pathOf(id));
      try {
        const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, 0);
        return buffer.subarray(0, bytesRead);
      } finally {
        await file.close();
      }
    },
    async discard(id) {
      await rm(pathOf(id), { force: true });
      await rm(`${pathOf(id)}.json`, { force: true });
    },
    close() {},
  };
}
