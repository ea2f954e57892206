/**
 * Fills the search index after the commits, so that sends do not pay for it. The node that commits to a room notes the
 * room. A process may die before it indexes, so one node scans all rooms in rounds and finds the rest.
 *
 * While sends wait for their commit, indexing takes a small share of the database's time and falls behind until the node
 * has less to do. Measured: see docs/decisions/074-search-index-after-the-commit.md
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Envelope, Observer } from '../fanout/fanout.ts';
import type { postgres } from '../storage/sql.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { claimTask } from '../jobs/shared-tasks.ts';
import { PeriodicTask } from '../jobs/periodic-task.ts';

export interface SearchIndexOptions {
  readonly sql: postgres.Sql;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly language: string;
  /** Whether sends wait for their commit. */
  readonly busy: () => boolean;
  /** How long changes gather before they are indexed. */
  readonly gatherMs?: number;
  /** Between scans of all rooms, over all nodes. */
  readonly sweepMs?: number;
  /** The most rooms that are noted. The next scan finds the others. */
  readonly maxRooms?: number;
}

const roomsAtOnce = 10;
/** The messages of one room in one step. A message takes 0.1 to 0.2 ms, so a step takes 0.2 s at most. */
const messagesAtOnce = 100;
/** Rest after a step while sends wait, in steps: a tenth of one connection's time. */
const restWhileBusy = 9;
const sweepPage = 1000;
const retryMs = 1000;
/** How soon a node sees that the scan of all rooms is due. */
const scanMs = 60_000;
const rowsAtOnce = 5000;

export class SearchIndex implements Observer {
  readonly #options: SearchIndexOptions;
  readonly #rooms = new Set<string>();
  /** Rests until a room is noted. */
  readonly #indexing: PeriodicTask;
  readonly #scanning: PeriodicTask;
  readonly #gatherMs: number;
  #overflowed = false;

  constructor(options: SearchIndexOptions) {
    this.#options = options;
    const { sql, metrics, sweepMs = 300_000, gatherMs = 300 } = options;
    this.#gatherMs = gatherMs;
    this.#indexing = new PeriodicTask({
      run: () => this.#work(),
      everyMs: () => (this.#rooms.size > 0 || this.#overflowed ? gatherMs : Infinity),
      retry: { baseMs: retryMs, capMs: retryMs },
      failed: (error) => this.#scanFailed(error),
    });
    this.#scanning = new PeriodicTask({
      run: async () => {
        if (await claimTask(sql, 'search', sweepMs)) await this.#scan();
      },
      everyMs: Math.min(sweepMs, scanMs),
      failed: (error) => this.#scanFailed(error),
    });
    metrics.watchSearch(() => this.#rooms.size);
    this.#indexing.startLater();
    this.#scanning.start();
  }

  /** Notes the room of each published rev. */
  published(envelopes: readonly Envelope[]): void {
    for (const envelope of envelopes) {
      if (envelope.to === 'room' && envelope.rev !== undefined) this.note(envelope.room);
    }
  }

  /** The room has changed. */
  note(room: string): void {
    const { maxRooms = 100_000 } = this.#options;
    if (this.#stopped || this.#rooms.has(room)) return;
    if (this.#rooms.size >= maxRooms) {
      this.#overflowed = true;
      return;
    }
    this.#rooms.add(room);
    this.#indexing.wake(this.#gatherMs);
  }

  /** The next scan finds the messages that are not indexed yet. */
  async stop(): Promise<void> {
    await Promise.all([this.#indexing.stop(), this.#scanning.stop()]);
  }

  get #stopped(): boolean {
    return this.#indexing.signal.aborted;
  }

  async #work(): Promise<void> {
    const { log, metrics, busy } = this.#options;
    while (this.#rooms.size > 0 && !this.#stopped) {
      const rooms = [...this.#rooms].slice(0, roomsAtOnce);
      const from = performance.now();
      for (const room of rooms) this.#rooms.delete(room);
      try {
        for (const { room, more } of await this.#index(rooms)) if (more) this.#rooms.add(room);
      } catch (error) {
        for (const room of rooms) this.#rooms.add(room);
        metrics.searchFailures.inc();
        log.warn(
          { err: error },
          'Could not index messages; retrying. Searches do not find the newest messages until then.',
        );
        await this.#rest(retryMs);
      }
      if (busy()) await this.#rest((performance.now() - from) * restWhileBusy);
    }
    if (!this.#overflowed || this.#stopped) return;
    this.#overflowed = false;
    try {
      await this.#scan();
    } catch (error) {
      this.#overflowed = true;
      throw error;
    }
  }

  #scanFailed(error: unknown): void {
    const { log, metrics } = this.#options;
    metrics.searchFailures.inc();
    log.warn(
      { err: error },
      'Could not scan the rooms for unindexed messages; retrying. Searches may miss messages until then.',
    );
  }

  async #index(rooms: readonly string[]): Promise<{ room: string; indexed: number; more: boolean }[]> {
    const { sql, metrics, language } = this.#options;
    const rows = await sql<{ room: string; indexed: number; more: boolean }[]>`
      select * from index_messages(${rooms as string[]}::text[], ${language}, ${messagesAtOnce})`;
    for (const { indexed } of rows) metrics.searchIndexed.inc(indexed);
    return rows;
  }

  /** Resolves when the time has passed, or at `stop`. */
  async #rest(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#indexing.signal }).catch(() => undefined);
  }

  /** Notes every room whose index is behind its head, or in another language; removes deleted rooms. */
  async #scan(): Promise<void> {
    const { sql } = this.#options;
    const gone = await sql<{ room_id: string }[]>`
      select room_id from search_rooms s where not exists (select from rooms r where r.id = s.room_id)`;
    for (const { room_id: room } of gone) await this.#forget(room);
    await this.#changeLanguage();
    for (let after = ''; !this.#stopped;) {
      const rows = await sql<{ id: string; behind: boolean }[]>`
        select p.id, p.last_rev > coalesce(s.rev, 0) as behind
        from (select id, last_rev from rooms where id > ${after} order by id limit ${sweepPage}) p
        left join search_rooms s on s.room_id = p.id order by p.id`;
      for (const { id, behind } of rows) if (behind) this.note(id);
      const last = rows.at(-1);
      if (last === undefined || rows.length < sweepPage) return;
      after = last.id;
    }
  }

  /** Rooms in the order in which `index_messages` locks them, and in pages: it waits for their locks. */
  async #changeLanguage(): Promise<void> {
    const { sql, language } = this.#options;
    for (let count = rowsAtOnce; count === rowsAtOnce && !this.#stopped;) {
      ({ count } = await sql`
        with page as materialized (
          select room_id from search_rooms where language <> ${language}
          order by room_id limit ${rowsAtOnce} for no key update
        )
        update search_rooms s set rev = 0, language = ${language} from page p where s.room_id = p.room_id`);
    }
  }

  async #forget(room: string): Promise<void> {
    const { sql } = this.#options;
    for (let count = rowsAtOnce; count === rowsAtOnce && !this.#stopped;) {
      ({ count } = await sql`
        delete from message_search s using (
          select seq from message_search where room_id = ${room} order by seq limit ${rowsAtOnce} for update
        ) x where s.room_id = ${room} and s.seq = x.seq`);
    }
    if (!this.#stopped) await sql`delete from search_rooms where room_id = ${room}`;
  }
}
