/**
 * The work of an export of all rooms: the file of `parley export --all`, stored in parts. Each room is read in one snapshot
 * into a spool, which goes to Postgres afterwards. The embedded database has one session, which the snapshot takes.
 */
import type { postgres } from '../../storage/sql.ts';
import { allRooms, exportBlocks, exportEnd, exportHead } from '../../transfer/export.ts';
import { exportRoom } from '../../transfer/room-export.ts';
import { Spool, SpoolFull } from '../../transfer/spool.ts';
import { PartBuffer, partBytes } from './job-parts.ts';
import type { JobInputs, JobPlace, JobResult } from './job-row.ts';
import { JobEnded, JobFailed, type JobRun, type Work } from './job-run.ts';

export interface ExportParts {
  readonly sql: postgres.Sql;
  /** The folder of temporary files. */
  readonly folder: string;
  readonly maxExportBytes: number;
}

type ExportRun = JobRun<JobInputs['export']>;

export function exportWork(parts: ExportParts): Work<JobInputs['export']> {
  return async (run) => {
    const spool = await Spool.open(parts.folder, parts.maxExportBytes);
    try {
      return await new Export(parts, run, spool).run();
    } catch (error) {
      if (!(error instanceof SpoolFull)) throw error;
      throw tooLarge(parts.maxExportBytes, error);
    } finally {
      await spool.close();
    }
  };
}

function tooLarge(maxBytes: number, cause?: unknown): JobFailed {
  const detail = `The export is over ${maxBytes} bytes (PARLEY_MAX_EXPORT_BYTES).`;
  return new JobFailed('too_large', detail, undefined, cause);
}

class Export {
  readonly #parts: ExportParts;
  readonly #run: ExportRun;
  readonly #spool: Spool;
  readonly #file: PartBuffer;
  /** The last room of the file. */
  #after: string;
  #rooms: number;
  #messages: number;
  #blocks: number;
  /** Bytes of earlier runs. */
  readonly #before: number;

  constructor(parts: ExportParts, run: ExportRun, spool: Spool) {
    const { after, parts: first, rooms, messages, blocks, bytes } = placeOf(run.place);
    this.#parts = parts;
    this.#run = run;
    this.#spool = spool;
    this.#file = new PartBuffer((n, part) => this.#store(n, part), first);
    this.#after = after;
    this.#rooms = rooms;
    this.#messages = messages;
    this.#blocks = blocks;
    this.#before = bytes;
  }

  async run(): Promise<JobResult> {
    const { sql } = this.#parts;
    const { id, run, place } = this.#run;
    // a run that ended behind its last place has left them
    await sql`
      delete from job_parts where job = ${id} and n >= ${this.#file.parts}
        and exists (select from jobs where id = ${id} and run = ${run})`;
    const write = (text: string): Promise<void> => this.#spool.write(text);
    if (place === null) {
      await write(exportHead(null));
      this.#blocks = await exportBlocks(sql, write);
    }
    const known = new Set<string>();
    for await (const page of allRooms(sql, this.#after)) {
      for (const room of page) {
        this.#run.signal.throwIfAborted();
        const messages = await exportRoom(sql, { room, since: null, known }, async (text) => {
          this.#run.signal.throwIfAborted();
          await write(text);
        });
        this.#after = room;
        // deleted since its id was read
        if (messages === undefined) continue;
        this.#rooms++;
        this.#messages += messages;
        if (this.#spool.bytes >= partBytes) await this.#save();
      }
    }
    const counts = { rooms: this.#rooms, messages: this.#messages, blocks: this.#blocks };
    await write(exportEnd(counts));
    await this.#save();
    return { ...counts, bytes: this.#bytes, href: `/api/v1/jobs/${id}/result` };
  }

  get #bytes(): number {
    return this.#before + this.#file.total;
  }

  /** Whole rooms go to Postgres, and the next run begins behind them. */
  async #save(): Promise<void> {
    while (this.#spool.unread > 0) await this.#file.add((await this.#spool.next()) ?? Buffer.alloc(0));
    await this.#file.flush();
    await this.#spool.clear();
    if (this.#bytes > this.#parts.maxExportBytes) throw tooLarge(this.#parts.maxExportBytes);
    const counts = { rooms: this.#rooms, messages: this.#messages, bytes: this.#bytes };
    const place = { ...counts, after: this.#after, parts: this.#file.parts, blocks: this.#blocks };
    await this.#run.save(this.#parts.sql, counts, place);
  }

  /** A run that another one follows stores no part behind the parts of that one. */
  async #store(n: number, bytes: Buffer): Promise<void> {
    const { id, run } = this.#run;
    const rows = await this.#parts.sql`
      with held as (select id from jobs where id = ${id} and run = ${run} and state = 'running' for share)
      insert into job_parts (job, n, bytes) select id, ${n}, ${bytes} from held returning n`;
    if (rows.length === 0) throw new JobEnded('lost');
  }
}

interface ExportPlace {
  readonly after: string;
  /** Parts that are stored. */
  readonly parts: number;
  readonly rooms: number;
  readonly messages: number;
  readonly blocks: number;
  readonly bytes: number;
}

/** Only this work writes the place. */
function placeOf(place: JobPlace | null): ExportPlace {
  if (place === null) return { after: '', parts: 0, rooms: 0, messages: 0, blocks: 0, bytes: 0 };
  return place as unknown as ExportPlace;
}
