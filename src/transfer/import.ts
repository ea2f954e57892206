/**
 * Reads an export back (lines.ts). A stored message stays or, where the file has a later rev of the message, is
 * replaced. So the same file may be read again, and another run finishes a run that stopped.
 *
 * A room is stored in batches, each a transaction that leaves its messages dense. A new room is archived until it is complete,
 * and its members come last, so no user sees half of it. A room with members from before keeps its members, its rev moves on
 * with each batch, and clients with a cursor get `reset`.
 */
import type { postgres } from '../storage/sql.ts';
import { ParleyError } from '../protocol/errors.ts';
import { storeBatch, type ImportRow } from './batch-import.ts';
import { CheckedLines, rowOf, type Item } from './checked-lines.ts';
import { maxLineBytes, type LineOf } from './lines.ts';
import { beginRoom, settleRoom, type BegunRoom } from './room-import.ts';
import { splitLines } from './split-lines.ts';
import { WrongLine } from './wrong-line.ts';

export interface Imported {
  readonly rooms: number;
  /** Stored or replaced; the others were there. */
  readonly messages: number;
}

/** The fault of the file, its line, and the last line that was stored. */
export class ImportError extends Error {
  readonly line: number;

  constructor(line: number, why: string, stored: string, cause?: unknown) {
    super(`Line ${line}: ${why}\n${stored}`, { cause });
    this.name = 'ImportError';
    this.line = line;
  }
}

const batchRows = 500;
const batchBytes = 4 * 1024 * 1024;

/** @throws {ImportError} */
export async function importLines(sql: postgres.Sql, input: AsyncIterable<string | Uint8Array>): Promise<Imported> {
  const run = new Import(sql);
  try {
    for await (const text of splitLines(input, maxLineBytes)) await run.take(text);
    await run.end();
  } catch (error) {
    throw run.failure(error);
  }
  return { rooms: run.rooms, messages: run.messages };
}

interface OpenRoom extends BegunRoom {
  readonly line: LineOf<'room'>;
  /** Messages that were stored or replaced. */
  applied: number;
  /** The last message that was read. */
  last: number;
}

class Import {
  readonly #sql: postgres.Sql;
  readonly #lines = new CheckedLines();
  #room: OpenRoom | undefined = undefined;
  #blocks: LineOf<'block'>[] = [];
  #waiting: ImportRow[] = [];
  #waitingBytes = 0;
  /** All up to this line is stored. */
  #stored = 0;
  #where = 'nothing of a room';
  rooms = 0;
  messages = 0;

  constructor(sql: postgres.Sql) {
    this.#sql = sql;
  }

  async take(text: string): Promise<void> {
    const line = this.#lines.take(text);
    if (line.type === 'export') return;
    if (line.type === 'block') return this.#block(line);
    if (this.#blocks.length > 0) await this.#storeBlocks(this.#lines.number - 1);
    if (line.type === 'end') return;
    if (line.type === 'room') return this.#begin(line);
    // no other line passes the check outside of one
    const room = this.#room as OpenRoom;
    await (line.type === 'room:end' ? this.#close(room) : this.#add(room, line));
  }

  /** @throws {WrongLine} if the file stops before its end. */
  async end(): Promise<void> {
    if (this.#lines.ended) return;
    if (this.#room !== undefined) await this.#flush(this.#room);
    if (this.#blocks.length > 0) await this.#storeBlocks(this.#lines.number);
    throw new WrongLine('the file ends here, before its end line: it was cut off.');
  }

  failure(error: unknown): ImportError {
    const stored =
      this.#stored === 0
        ? 'Nothing was stored.'
        : `Stored: all up to line ${this.#stored} (${this.#where}). Mend it and run it again: what is stored is skipped.`;
    const { number } = this.#lines;
    // from the stream of bytes, before there was a line
    if (error instanceof TypeError) return new ImportError(number + 1, 'not UTF-8.', stored, error);
    if (error instanceof RangeError) return new ImportError(number + 1, `${error.message}.`, stored, error);
    if (error instanceof WrongLine) return new ImportError(error.line ?? number, error.message, stored, error);
    if (error instanceof ParleyError) return new ImportError(number, error.message, stored, error);
    const why = `the database failed: ${error instanceof Error ? error.message : String(error)}`;
    return new ImportError(number, why, stored, error);
  }

  async #block(line: LineOf<'block'>): Promise<void> {
    this.#blocks.push(line);
    if (this.#blocks.length >= batchRows) await this.#storeBlocks(this.#lines.number);
  }

  /** Blocks only add up: one that a user lifted here comes back with an old file, but none is lost. */
  async #storeBlocks(line: number): Promise<void> {
    const json = JSON.stringify(this.#blocks);
    this.#blocks = [];
    await this.#sql`
      insert into blocks (user_id, blocked_id, at)
      select b."user", b.blocked, to_timestamp(b.at / 1000.0)
      from jsonb_to_recordset(${json}::text::jsonb) as b ("user" text, blocked text, at bigint)
      on conflict do nothing`;
    this.#progress(line, 'blocks of users');
  }

  async #begin(line: LineOf<'room'>): Promise<void> {
    const begun = await beginRoom(this.#sql, line);
    this.#room = { line, ...begun, applied: 0, last: line.first - 1 };
    this.#progress(this.#lines.number, `room ${line.id} is begun`);
  }

  async #add(room: OpenRoom, item: Item): Promise<void> {
    const json = rowOf(item);
    if (item.type === 'message' || item.type === 'expired') room.last = item.seq;
    this.#waiting.push({ item, number: this.#lines.number, json });
    this.#waitingBytes += json.length;
    if (this.#waiting.length >= batchRows || this.#waitingBytes >= batchBytes) await this.#flush(room);
  }

  async #flush(room: OpenRoom): Promise<void> {
    const batch = this.#waiting;
    const last = batch.at(-1);
    if (last === undefined) return;
    this.#waiting = [];
    this.#waitingBytes = 0;
    const { line, shared } = room;
    const applied = await storeBatch(this.#sql, { line, shared, format: this.#lines.format }, batch);
    room.applied += applied;
    this.messages += applied;
    this.#progress(last.number, `room ${line.id} up to message ${room.last}`);
  }

  async #close(room: OpenRoom): Promise<void> {
    await this.#flush(room);
    await this.#sql.begin((tx) => settleRoom(tx, { ...room, format: this.#lines.format }));
    this.#room = undefined;
    this.rooms++;
    this.#progress(this.#lines.number, `room ${room.line.id} is whole`);
  }

  #progress(line: number, where: string): void {
    this.#stored = line;
    this.#where = where;
  }
}
