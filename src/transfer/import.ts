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
import { maxLineBytes, type Line, type LineOf } from './lines.ts';
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
  /** Whether the file is at fault, and not the database. */
  readonly isOfFile: boolean;

  constructor(line: number, why: string, stored: string, cause: unknown, isOfFile = true) {
    super(`Line ${line}: ${why}\n${stored}`, { cause });
    this.name = 'ImportError';
    this.line = line;
    this.isOfFile = isOfFile;
  }
}

/** How far an import is. */
export interface ImportProgress extends Imported {
  /** All up to this line is stored. */
  readonly line: number;
}

export interface ImportOptions {
  /** The progress of earlier runs over the same file: the lines up to there are checked, and not stored again. */
  readonly from?: ImportProgress;
  /** Called in each transaction that stores lines. An error undoes the transaction and ends the import. */
  readonly saving?: (tx: postgres.TransactionSql, progress: ImportProgress) => Promise<void>;
}

const batchRows = 500;
const batchBytes = 4 * 1024 * 1024;

/** @throws {ImportError} */
export async function importLines(
  sql: postgres.Sql,
  input: AsyncIterable<string | Uint8Array>,
  options: ImportOptions = {},
): Promise<Imported> {
  const run = new Import(sql, options);
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
  readonly #saving: ImportOptions['saving'];
  /** The lines up to here were stored by an earlier run. */
  readonly #from: number;
  /** A room whose first lines were stored by an earlier run, and its last message there. */
  #earlier: { readonly line: LineOf<'room'>; last: number } | undefined = undefined;
  #room: OpenRoom | undefined = undefined;
  #blocks: LineOf<'block'>[] = [];
  #waiting: ImportRow[] = [];
  #waitingBytes = 0;
  /** All up to this line is stored. */
  #stored: number;
  #where: string;
  rooms: number;
  messages: number;

  constructor(sql: postgres.Sql, { from = { line: 0, rooms: 0, messages: 0 }, saving }: ImportOptions) {
    this.#sql = sql;
    this.#saving = saving;
    this.#from = from.line;
    this.#stored = from.line;
    this.#where = from.line === 0 ? 'nothing of a room' : 'of an earlier run';
    this.rooms = from.rooms;
    this.messages = from.messages;
  }

  async take(text: string): Promise<void> {
    const line = this.#lines.take(text);
    if (line.type === 'export') return;
    if (this.#lines.number <= this.#from) return this.#skip(line);
    if (line.type === 'block') return this.#block(line);
    if (this.#blocks.length > 0) await this.#storeBlocks(this.#lines.number - 1);
    if (line.type === 'end') return;
    if (line.type === 'room') return this.#begin(line, line.first - 1);
    if (this.#earlier !== undefined) await this.#begin(this.#earlier.line, this.#earlier.last);
    // no other line passes the check outside of one
    const room = this.#room as OpenRoom;
    await (line.type === 'room:end' ? this.#close(room) : this.#add(room, line));
  }

  #skip(line: Line): void {
    if (line.type === 'room') this.#earlier = { line, last: line.first - 1 };
    else if (line.type === 'room:end') this.#earlier = undefined;
    else if (this.#earlier !== undefined && (line.type === 'message' || line.type === 'expired')) {
      this.#earlier.last = line.seq;
    }
  }

  /** @throws {WrongLine} if the file stops before its end. */
  async end(): Promise<void> {
    const { number } = this.#lines;
    if (number <= this.#from) {
      throw new WrongLine(
        `the file ends with line ${number}, and all up to line ${this.#from} was to be stored before.`,
      );
    }
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
    return new ImportError(number, why, stored, error, false);
  }

  async #block(line: LineOf<'block'>): Promise<void> {
    this.#blocks.push(line);
    if (this.#blocks.length >= batchRows) await this.#storeBlocks(this.#lines.number);
  }

  /** Blocks only add up: one that a user lifted here comes back with an old file, but none is lost. */
  async #storeBlocks(line: number): Promise<void> {
    const json = JSON.stringify(this.#blocks);
    this.#blocks = [];
    await this.#sql.begin(async (tx) => {
      await tx`
        insert into blocks (user_id, blocked_id, at)
        select b."user", b.blocked, to_timestamp(b.at / 1000.0)
        from jsonb_to_recordset(${json}::text::jsonb) as b ("user" text, blocked text, at bigint)
        on conflict do nothing`;
      await this.#saving?.(tx, { line, rooms: this.rooms, messages: this.messages });
    });
    this.#progress(line, 'blocks of users');
  }

  /** @param last the last message that is stored */
  async #begin(line: LineOf<'room'>, last: number): Promise<void> {
    const begun = await beginRoom(this.#sql, line);
    this.#room = { line, ...begun, applied: 0, last };
    this.#progress(this.#earlier === undefined ? this.#lines.number : this.#stored, `room ${line.id} is begun`);
    this.#earlier = undefined;
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
    let applied = 0;
    await storeBatch(this.#sql, { line, shared, format: this.#lines.format }, batch, async (tx, messages) => {
      applied = messages;
      await this.#saving?.(tx, { line: last.number, rooms: this.rooms, messages: this.messages + messages });
    });
    room.applied += applied;
    this.messages += applied;
    this.#progress(last.number, `room ${line.id} up to message ${room.last}`);
  }

  async #close(room: OpenRoom): Promise<void> {
    await this.#flush(room);
    await this.#sql.begin(async (tx) => {
      await settleRoom(tx, { ...room, format: this.#lines.format });
      await this.#saving?.(tx, { line: this.#lines.number, rooms: this.rooms + 1, messages: this.messages });
    });
    this.#room = undefined;
    this.rooms++;
    this.#progress(this.#lines.number, `room ${room.line.id} is whole`);
  }

  #progress(line: number, where: string): void {
    this.#stored = line;
    this.#where = where;
  }
}
