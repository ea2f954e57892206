/** Files of users: their uploads, the messages that name them, and the links by which they are read. */
import { randomUUID } from 'node:crypto';
import { ParleyError } from '../protocol/errors.ts';
import { RestError } from '../protocol/rest-errors.ts';
import type { postgres } from '../storage/sql.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { UploadBody } from './body.ts';
import { contradicts, decidingBytes, isAllowed, typeOf } from './content-type.ts';
import { fileNameIn } from './file-name.ts';
import { UploadLocks } from './locks.ts';
import { MessageFiles } from './message-files.ts';
import { TusProtocol } from './protocol.ts';
import { UploadRows, type ReadableRow, type UploadLimits, type UploadRow } from './rows.ts';
import { SignedLinks, type SignedLink } from './signed-links.ts';
import type { UploadStore } from './store.ts';
import { UploadSweep } from './sweep.ts';
import { Transfers } from './transfers.ts';

export interface UploadSettings extends UploadLimits {
  /** Signs the links of files. */
  readonly secret: string;
  readonly maxBytes: number;
  readonly maxTransfers: number;
  readonly types: readonly string[];
  readonly linkMs: number;
  readonly orphanMs: number;
  readonly sweepEveryMs: number;
}

export interface UploadsParts {
  readonly settings: UploadSettings;
  readonly store: UploadStore;
  readonly sql: postgres.Sql;
  readonly reads: postgres.Sql;
  readonly background: postgres.Sql;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly metrics: Pick<Metrics, 'uploads'>;
  readonly log: Log;
}

/** A request about one upload. Headers are those of the tus protocol. */
export interface UploadRequest {
  readonly user: string;
  readonly header: (name: string) => string | undefined;
  readonly body: ReadableStream<Uint8Array> | null;
}

export interface UploadState extends UploadRow {
  readonly offset: number;
  /** Milliseconds since 1970. Undefined for a complete upload. */
  readonly expires: number | undefined;
}

export const uploadsPath = '/api/v1/uploads';
const octets = 'application/offset+octet-stream';

export class Uploads {
  readonly settings: UploadSettings;
  readonly files: MessageFiles;
  readonly links: SignedLinks;
  readonly transfers: Transfers;
  readonly sweep: UploadSweep;
  readonly #parts: UploadsParts;
  readonly #rows: UploadRows;
  readonly #locks: UploadLocks;
  readonly #protocol: TusProtocol;

  constructor(parts: UploadsParts) {
    const { settings, store, metrics } = parts;
    this.settings = settings;
    this.#parts = parts;
    this.#rows = new UploadRows(parts.sql, parts.reads);
    this.#locks = new UploadLocks(this.#rows);
    this.#protocol = new TusProtocol(store, {
      path: uploadsPath,
      maxBytes: settings.maxBytes,
      locks: this.#locks,
    });
    this.files = new MessageFiles(this.#rows);
    this.links = new SignedLinks({ ...settings, now: parts.now });
    this.transfers = new Transfers(settings.maxTransfers, () => metrics.uploads.refused.inc({ limit: 'transfers' }));
    const { orphanMs, sweepEveryMs: everyMs } = settings;
    this.sweep = new UploadSweep({ ...parts, sql: parts.background, rows: this.#rows, orphanMs, everyMs });
  }

  /** Ends the requests that write, and waits for them. */
  async stop(): Promise<void> {
    await Promise.all([this.sweep.stop(), this.#locks.stop()]);
    this.#parts.store.close();
  }

  /** @throws {ParleyError} */
  async create(request: UploadRequest): Promise<UploadState> {
    const { user, header } = request;
    const bytes = this.#length(header('upload-length'));
    const upload = { id: randomUUID(), owner: user, name: fileNameIn(header('upload-metadata')), bytes };
    const free = this.transfers.take(user);
    try {
      const body = header('content-type') === octets ? new UploadBody(request.body) : undefined;
      if (body !== undefined) await this.#checkFirst(upload, body);
      await this.#note(upload);
      try {
        await this.#send('POST', upload.id, request, body);
      } catch (error) {
        await this.#discard(upload.id);
        throw error;
      }
      this.#parts.metrics.uploads.begun.inc();
      return await this.state(user, upload.id);
    } finally {
      free();
    }
  }

  /** Appends bytes. @returns the state after them @throws {ParleyError} */
  async append(id: string, request: UploadRequest): Promise<UploadState> {
    const { user, header } = request;
    const row = await this.#own(user, id);
    if (row.state === 'complete') throw new RestError('wrong_offset', 'The upload is complete.');
    if (header('content-type') !== octets) {
      throw new RestError('unsupported_type', `Content-Type: expected ${octets}.`);
    }
    const free = this.transfers.take(user);
    try {
      const body = new UploadBody(request.body);
      if (header('upload-offset') === '0') {
        try {
          await this.#checkFirst(row, body);
        } catch (error) {
          await this.#discard(id);
          throw error;
        }
      }
      const headers = await this.#send('PATCH', id, request, body);
      return await this.#progress(row, Number(headers.get('upload-offset')));
    } finally {
      free();
    }
  }

  /** @throws {ParleyError} `not_found` for an upload of another user too */
  async state(user: string, id: string): Promise<UploadState> {
    const row = await this.#own(user, id);
    if (row.state === 'complete') return { ...row, offset: row.bytes, expires: undefined };
    const headers = await this.#protocol.serve({ method: 'HEAD', id, header: () => undefined });
    return this.#progress(row, Number(headers.get('upload-offset')));
  }

  /** @throws {ParleyError} `not_found`, or `conflict` for a file of a message */
  async terminate(user: string, id: string): Promise<void> {
    await this.#own(user, id);
    if (!(await this.#discard(id))) {
      throw new ParleyError('conflict', 'A message names this file; delete the message instead.');
    }
  }

  /** The room of the message that names a file, for the check of an API key. */
  readable(user: string, id: string): Promise<ReadableRow | undefined> {
    return this.#rows.readable(id, user);
  }

  /** @throws {ParleyError} `not_found` unless the user has uploaded the file, or is a member where a message names it */
  link(user: string, row: ReadableRow | undefined): SignedLink {
    if (row === undefined || !(row.shown || (row.owner === user && row.pending))) {
      throw new ParleyError('not_found', 'There is no such file, or no message of your rooms names it.');
    }
    return this.links.make(row.id, row.name);
  }

  /** The file behind a link that was checked. */
  linked(id: string): Promise<UploadRow | undefined> {
    return this.#rows.linked(id);
  }

  open(id: string, from: number, to: number): Promise<ReadableStream<Uint8Array>> {
    return this.#parts.store.open(id, from, to);
  }

  #length(header: string | undefined): number {
    const { maxBytes } = this.settings;
    const bytes = header !== undefined && /^\d{1,15}$/.test(header) ? Number(header) : 0;
    if (bytes === 0) throw new ParleyError('invalid', 'Upload-Length: expected the bytes of the file, at least 1.');
    if (bytes <= maxBytes) return bytes;
    this.#parts.metrics.uploads.refused.inc({ limit: 'size' });
    throw new ParleyError('too_large', `A file may have ${maxBytes} bytes.`);
  }

  async #note(upload: Pick<UploadRow, 'id' | 'owner' | 'name' | 'bytes'>): Promise<void> {
    const outcome = await this.#rows.create(upload, this.settings);
    if (outcome === 'ok') return;
    this.#parts.metrics.uploads.refused.inc({ limit: outcome === 'open' ? 'open' : 'user' });
    const { maxOpenPerUser, maxBytesPerUser } = this.settings;
    throw outcome === 'open'
      ? new ParleyError('limit_reached', `You have ${maxOpenPerUser} unfinished uploads; end one of them first.`)
      : new RestError('storage_full', `The files of one user may have ${maxBytesPerUser} bytes in total.`);
  }

  async #send(
    method: 'POST' | 'PATCH',
    id: string,
    { header }: UploadRequest,
    body: UploadBody | undefined,
  ): Promise<Headers> {
    const stream = body === undefined ? {} : { body: body.stream() };
    try {
      const headers = await this.#protocol.serve({ method, id, header, ...stream });
      if (body?.failure !== undefined) throw body.failure;
      return headers;
    } finally {
      this.#parts.metrics.uploads.bytes.inc(body?.received ?? 0);
    }
  }

  async #progress(row: UploadRow, offset: number): Promise<UploadState> {
    if (offset < row.bytes) {
      return { ...row, offset, expires: row.createdAt + this.settings.orphanMs };
    }
    const type = await this.#finish(row);
    return { ...row, type, state: 'complete', offset, expires: undefined };
  }

  /** The last byte is there. A node that died before this step leaves it to the next request about the upload. */
  async #finish({ id, name }: UploadRow): Promise<string> {
    const type = await typeOf(await this.#parts.store.first(id, decidingBytes));
    try {
      this.#checkType(name, type);
    } catch (error) {
      await this.#discard(id);
      throw error;
    }
    await this.#rows.complete(id, type);
    this.#parts.metrics.uploads.completed.inc();
    return type;
  }

  /** Refuses a file at its first bytes, where they decide, so that the client need not send the rest. */
  async #checkFirst({ name, bytes }: Pick<UploadRow, 'name' | 'bytes'>, body: UploadBody): Promise<void> {
    const first = await body.first(Math.min(decidingBytes, bytes));
    if (first.byteLength < Math.min(decidingBytes, bytes)) return;
    this.#checkType(name, await typeOf(first.subarray(0, decidingBytes)));
  }

  /** @throws {RestError} `unsupported_type` */
  #checkType(name: string, type: string): void {
    const allowed = isAllowed(type, this.settings.types);
    if (allowed && !contradicts(name, type)) return;
    this.#parts.metrics.uploads.refused.inc({ limit: 'type' });
    const reason = allowed ? 'which its name contradicts' : 'which this server does not take';
    throw new RestError('unsupported_type', `The content of the file is of the type ${type}, ${reason}.`);
  }

  /** @returns false: a message names the file */
  async #discard(id: string): Promise<boolean> {
    const lock = this.#locks.newLock(id);
    await lock.lock(new AbortController().signal, () => {});
    try {
      if (!(await this.#rows.remove(id))) return false;
      await this.#parts.store.discard(id);
    } finally {
      await lock.unlock();
    }
    await this.#rows.forget(id);
    this.#parts.metrics.uploads.removed.inc();
    return true;
  }

  async #own(user: string, id: string): Promise<UploadRow> {
    const row = await this.#rows.get(id);
    if (row === undefined || row.owner !== user) throw new ParleyError('not_found', 'You have no such upload.');
    return row;
  }
}
