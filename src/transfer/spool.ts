/**
 * A temporary file between a writer that must not wait and a reader that may be slow. An export holds a snapshot of Postgres,
 * and in the embedded database the only session, so its reader reads behind the writer. The file has no name, so that the
 * kernel deletes it with the process.
 */
import { randomBytes } from 'node:crypto';
import { open, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

export class SpoolFull extends Error {
  constructor(maxBytes: number) {
    super(`over ${maxBytes} bytes`);
    this.name = 'SpoolFull';
  }
}

const pieceBytes = 64 * 1024;

export class Spool {
  readonly #file: FileHandle;
  readonly #maxBytes: number;
  #written = 0;
  #read = 0;
  #ended = false;
  #error: Error | undefined = undefined;
  #wake: (() => void) | undefined = undefined;

  private constructor(file: FileHandle, maxBytes: number) {
    this.#file = file;
    this.#maxBytes = maxBytes;
  }

  /** @param folder of the file */
  static async open(folder: string, maxBytes: number): Promise<Spool> {
    const path = join(folder, `parley-spool-${randomBytes(12).toString('hex')}`);
    const file = await open(path, 'wx+', 0o600);
    await unlink(path);
    return new Spool(file, maxBytes);
  }

  get bytes(): number {
    return this.#written;
  }

  /** Bytes that were written, and not read. */
  get unread(): number {
    return this.#written - this.#read;
  }

  /** One call at a time. @throws {SpoolFull}, or the error of `end` */
  async write(text: string): Promise<void> {
    if (this.#error !== undefined) throw this.#error;
    const bytes = Buffer.from(text);
    if (this.#written + bytes.byteLength > this.#maxBytes) throw new SpoolFull(this.#maxBytes);
    for (let from = 0; from < bytes.byteLength;) {
      const { bytesWritten } = await this.#file.write(bytes, from, bytes.byteLength - from, this.#written + from);
      from += bytesWritten;
    }
    this.#written += bytes.byteLength;
    this.#notify();
  }

  /** No more is written. @param error the reader gets it, and so does a writer that goes on */
  end(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#notify();
  }

  /** The next bytes; waits for the writer. @returns undefined at the end */
  async next(): Promise<Buffer | undefined> {
    for (;;) {
      if (this.#error !== undefined) throw this.#error;
      if (this.#read < this.#written) {
        const piece = Buffer.allocUnsafe(Math.min(pieceBytes, this.#written - this.#read));
        const { bytesRead } = await this.#file.read(piece, 0, piece.byteLength, this.#read);
        this.#read += bytesRead;
        return piece.subarray(0, bytesRead);
      }
      if (this.#ended) return undefined;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Forgets what was written and read. */
  async clear(): Promise<void> {
    await this.#file.truncate(0);
    this.#written = 0;
    this.#read = 0;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
