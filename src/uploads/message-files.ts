/**
 * The files that a message names. A message claims its files before it is stored, so that no other message and no clean-up
 * takes them in between. A refused message gives them back. A message that may have been stored keeps them, because the
 * client sends it again under the same id. A claim of a message that never came ends after a day.
 */
import type { MessageFile } from '../protocol/body.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { MessageRef, UploadRow, UploadRows } from './rows.ts';

export class MessageFiles {
  readonly #rows: UploadRows;

  constructor(rows: UploadRows) {
    this.#rows = rows;
  }

  /** @throws {ParleyError} `invalid` for a file that the user may not name */
  async claim(user: string, message: MessageRef, files: readonly MessageFile[]): Promise<void> {
    const ids = idsOf(files);
    const rows = new Map((await this.#rows.claim(ids, user, message)).map((row) => [row.id, row]));
    try {
      files.forEach((file, i) => check(file, rows, `body.files.${i}`));
    } catch (error) {
      if (rows.size > 0) await this.#rows.release(ids, message);
      throw error;
    }
  }

  /** The message was not stored, or the client does not know whether it was. */
  async failed(message: MessageRef, files: readonly MessageFile[], error: unknown): Promise<void> {
    if (error instanceof ParleyError && !error.retryable) await this.#rows.release(idsOf(files), message);
  }

  /** Runs `store` with the files claimed. @throws {ParleyError} as `claim` and `store` */
  async attach<T>(
    user: string,
    message: MessageRef,
    files: readonly MessageFile[],
    store: () => Promise<T>,
  ): Promise<T> {
    await this.claim(user, message, files);
    try {
      return await store();
    } catch (error) {
      await this.failed(message, files, error);
      throw error;
    }
  }

  /** As `attach`, for the message with this number. */
  async attachTo<T>(
    user: string,
    { room, seq }: { readonly room: string; readonly seq: number },
    files: readonly MessageFile[],
    store: () => Promise<T>,
  ): Promise<T> {
    const message = await this.#rows.idOfMessage(room, seq);
    // the change has its own refusal for a message that is not there
    return message === undefined ? store() : this.attach(user, { room, message }, files, store);
  }
}

function idsOf(files: readonly MessageFile[]): string[] {
  const ids = files.flatMap(({ upload, thumbnail }) => [upload, ...(thumbnail === undefined ? [] : [thumbnail])]);
  return [...new Set(ids)];
}

/** The facts in the message are those of the file, so that readers see no other name or size. */
function check(file: MessageFile, rows: ReadonlyMap<string, UploadRow>, at: string): void {
  const row = rows.get(file.upload);
  if (row === undefined) {
    throw new ParleyError('invalid', `${at}.upload: expected complete uploads of yours that no other message names.`);
  }
  for (const fact of ['name', 'type', 'bytes'] as const) {
    if (file[fact] !== row[fact]) {
      throw new ParleyError('invalid', `${at}.${fact}: the upload has ${JSON.stringify(row[fact])}.`);
    }
  }
  if (file.thumbnail !== undefined && rows.get(file.thumbnail)?.type?.startsWith('image/') !== true) {
    throw new ParleyError('invalid', `${at}.thumbnail: expected an image.`);
  }
}
