import type { Cache } from './storage/cache.ts';
import { invalidationsOfChanges } from './storage/cache/invalidations.ts';
import type { Notifications, postgres } from './storage/sql.ts';
import type { Fanout } from './fanout/fanout.ts';
import type { CommandOutput, ParsedInput } from './protocol/commands.ts';
import { ParleyError } from './protocol/errors.ts';
import type { Log } from './telemetry/log.ts';
import type { Metrics } from './telemetry/metrics.ts';
import { ConnectLoad } from './connect/connect-load.ts';
import type { AttachmentRulesOptions } from './messages/bodies/attachments.ts';
import { Blocks } from './rooms/blocks.ts';
import { Bodies } from './messages/bodies/bodies.ts';
import { Changes } from './messages/changes.ts';
import { FairTurns } from './rates/fair-turns.ts';
import { SharedTurns } from './rates/shared-turns.ts';
import type { HistoryPage } from './messages/history-page.ts';
import { pagesOf, type PageQuestion } from './messages/history.ts';
import { Invitations } from './rooms/invitations.ts';
import { KnownUsers } from './rooms/known-users.ts';
import { JoinLinks } from './rooms/join-links.ts';
import { mentions } from './messages/mentions.ts';
import { oneMessage } from './messages/one-message.ts';
import { backfillReads, type BackfillReads } from './recovery/backfill-reader.ts';
import { PublishRelay } from './recovery/publish-relay.ts';
import { Relay } from './recovery/relay.ts';
import { Profiles } from './rooms/profiles.ts';
import { pinned, Pins } from './messages/pins.ts';
import { ReadMarks } from './receipts/read-marks.ts';
import { receipts, unread } from './receipts/receipts.ts';
import { Retention } from './retention/retention.ts';
import { RoomAdmin } from './rooms/room-admin.ts';
import { RoomPurge } from './retention/room-purge.ts';
import type { WhenApplied } from './rooms/membership-events.ts';
import { readAccess, requireRight, requireSignalRight } from './rooms/access.ts';
import { Rooms } from './rooms/rooms.ts';
import { recentRows } from './recovery/recent-rows.ts';
import { sync, type SyncedRooms } from './recovery/catch-up.ts';
import type { Recent, RecentRows } from './recovery/replay-buffer.ts';
import { Threads } from './threads/threads.ts';
import { SearchIndex } from './search/search-index.ts';
import { Search } from './search/search.ts';
import { versions } from './messages/versions.ts';
import type { MessageFiles } from './uploads/message-files.ts';
import { Visibility } from './presence/visibility.ts';
import { Writer } from './messages/writer/writer.ts';

export interface MessagingSettings extends AttachmentRulesOptions {
  readonly writerStripes: number;
  readonly writerBatch: number;
  readonly writerBatchBytes: number;
  readonly writerQueue: number;
  readonly editWindowMs: number;
  readonly retentionDays: number | undefined;
  readonly retentionEveryMs: number;
  readonly search: boolean;
  readonly searchLanguage: string;
  readonly searchesAtOnce: number;
  /** Undefined: the database cannot end a statement. */
  readonly searchTimeoutMs: number | undefined;
  /** Connections of `reads`, and so the number of users' reads that run at once. */
  readonly databaseReadPoolSize: number;
  readonly databaseReadWaitMs: number;
  readonly maxRoomsPerUser: number;
  readonly maxMembersPerRoom: number;
}

export interface MessagingOptions extends MessagingSettings {
  readonly sql: postgres.Sql;
  /** The pool for reads; `sql` is for commits. */
  readonly reads: postgres.Sql;
  /** See Database. */
  readonly lease: postgres.Sql;
  readonly background: postgres.Sql;
  /** Absent: messages of `parley.publish` are found by queries alone. */
  readonly notifications?: Notifications;
  readonly fanout: Fanout;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly applied: WhenApplied;
  readonly cache: Cache;
  /** Undefined: the server takes no uploads. */
  readonly files?: MessageFiles | undefined;
  /** The clock of Postgres, in milliseconds since 1970. Default: the clock of this machine. */
  readonly now?: () => number;
}

/** Rooms whose owners are in the cache before the first request names them. */
const warmRooms = 100;

/** Reads that may wait for a place: of all users, and of one user with 100 connections. */
const waitingReads = { waiting: 20_000, waitingPerUser: 800 };

/** Messages of all pages that one statement reads for a user: about 2 ms of work, or 6 MB with the largest bodies. */
const rowsAtOnce = 400;

/** The parts that store and read rooms and messages, each with its pool. */
export class Messaging {
  readonly writer: Writer;
  readonly changes: Changes;
  readonly pins: Pins;
  readonly threads: Threads;
  readonly bodies: Bodies;
  readonly rooms: Rooms;
  readonly roomAdmin: RoomAdmin;
  readonly invitations: Invitations;
  readonly links: JoinLinks;
  readonly blocks: Blocks;
  readonly connectLoad: ConnectLoad;
  readonly knownUsers: KnownUsers;
  readonly profiles: Profiles;
  readonly readMarks: ReadMarks;
  readonly visibility: Visibility;
  readonly backfill: BackfillReads;
  readonly #options: MessagingOptions;
  readonly #turns: FairTurns;
  readonly #pages: SharedTurns<PageQuestion, HistoryPage>;
  /**
   * Pages of `sync`, one of each user: several take all of the connections and the event loop from other users. After a page
   * the user waits as long as the page took, which is less than the way of an answer to most clients.
   */
  readonly #syncTurns: FairTurns;
  readonly #outbox: Relay;
  readonly #published: PublishRelay;
  readonly #purge: RoomPurge;
  readonly #retention: Retention;
  readonly #search: Search | undefined;
  readonly #searchIndex: SearchIndex | undefined;

  constructor(options: MessagingOptions) {
    const { sql, reads, background, fanout, cache, metrics, log } = options;
    const { searchLanguage: language, searchesAtOnce: atOnce, searchTimeoutMs: timeoutMs } = options;
    const { databaseReadPoolSize: places, databaseReadWaitMs: waitMs } = options;
    const placesPerUser = Math.ceil(places / 2);
    this.#turns = new FairTurns({ place: 'reads', places, placesPerUser, ...waitingReads, waitMs, metrics });
    this.#pages = new SharedTurns({
      turns: this.#turns,
      read: (user, questions) => pagesOf(reads, user, questions),
      weightOf: ({ input }) => input.limit,
      mostWeight: rowsAtOnce,
    });
    const oneEach = { places: Infinity, placesPerUser: 1, ...waitingReads, waitMs, mostRestMs: 100 };
    this.#syncTurns = new FairTurns({ place: 'sync', ...oneEach, metrics });
    if (options.search) {
      this.#search = new Search(reads, { language, atOnce, waitMs, timeoutMs }, metrics);
      this.#searchIndex = new SearchIndex({
        sql: background,
        metrics,
        log,
        language,
        busy: () => this.writer.waiting > 0,
      });
      options.fanout.observe(this.#searchIndex);
    }
    this.#options = options;
    this.writer = new Writer({
      sql,
      fanout,
      metrics,
      log,
      stripes: options.writerStripes,
      maxBatch: options.writerBatch,
      maxBatchBytes: options.writerBatchBytes,
      now: () => this.now(),
      maxWaiting: options.writerQueue,
    });
    this.changes = new Changes({ ...options, writer: this.writer });
    this.pins = new Pins({ ...options, writer: this.writer });
    this.threads = new Threads(options);
    this.bodies = new Bodies(options);
    this.rooms = new Rooms(options);
    this.#purge = new RoomPurge({ sql: background, metrics, log });
    this.roomAdmin = new RoomAdmin({ sql, reads, fanout, rooms: this.rooms, purge: this.#purge, cache });
    this.invitations = new Invitations({ ...options, rooms: this.rooms });
    this.links = new JoinLinks({ ...options, rooms: this.rooms });
    this.blocks = new Blocks({ ...options, rooms: this.rooms });
    this.connectLoad = new ConnectLoad(sql, async (users) => {
      await cache.invalidate(users.flatMap(invalidationsOfChanges.user));
    });
    this.knownUsers = new KnownUsers({ sql, background, cache });
    this.profiles = new Profiles({ sql, cache });
    this.readMarks = new ReadMarks({ sql, fanout, metrics, log });
    this.visibility = new Visibility(reads);
    this.backfill = backfillReads({ reads, lease: options.lease, writes: sql });
    this.#outbox = new Relay({ sql: background, fanout, metrics, log });
    const { notifications } = options;
    const sent: ReadMarks['sent'] = (user, room, seq) => this.readMarks.sent(user, room, seq);
    this.#published = new PublishRelay({ sql: background, fanout, notifications, sent, metrics, log });
    this.#retention = new Retention({ ...options, sql: background, writer: this.writer });
  }

  /** The uploads that messages name. @throws {ParleyError} `invalid` if the server takes none */
  get files(): MessageFiles {
    const { files } = this.#options;
    if (files === undefined) throw new ParleyError('invalid', 'body.files: this server takes no uploads.');
    return files;
  }

  /** Fills the cache, beside the requests that come already. The promise never rejects. */
  async warmUp(): Promise<void> {
    try {
      await this.knownUsers.warm(warmRooms);
    } catch (error) {
      const said = 'Could not read the busiest rooms for the cache; their first requests read Postgres.';
      this.#options.log.warn({ err: error }, said);
    }
  }

  /** The clock of all times in the database, in milliseconds since 1970. */
  now(): number {
    return (this.#options.now ?? Date.now)();
  }

  /**
   * Runs a read for a user in the user's turn: users share the connections for reads.
   * @throws {ParleyError} `overloaded` if the read gets no place in time
   */
  reading<T>(user: string, read: () => Promise<T>): Promise<T> {
    return this.#turns.take(user, read);
  }

  /** @param epoch the epoch of the read */
  history(user: string, input: ParsedInput<'history'>, epoch: string): Promise<HistoryPage> {
    return this.#pages.take(user, JSON.stringify([input, epoch]), { input, epoch });
  }

  /** The changes in the user's rooms, read from Postgres. */
  synced(user: string, input: ParsedInput<'sync'>): Promise<SyncedRooms> {
    return this.#syncTurns.take(user, () => this.reading(user, () => sync(this.#options.reads, user, input)));
  }

  /** The database went back in time: values of the old history that wait here must not be written into the new one. */
  forgetHistory(): void {
    this.readMarks.forget();
    this.writer.outboxCleanup.forget();
  }

  /** The rows for the replay buffer. */
  recent(wanted: readonly Recent[], limit: number): Promise<Map<string, RecentRows>> {
    return recentRows(this.#options.reads, wanted, limit);
  }

  message(user: string, input: ParsedInput<'message:get'>): Promise<string> {
    return this.reading(user, () => oneMessage(this.#options.reads, user, input));
  }

  versions(user: string, input: ParsedInput<'message:versions'>): Promise<string> {
    return this.reading(user, () => versions(this.#options.reads, user, input));
  }

  mentions(user: string, input: ParsedInput<'mentions'>): Promise<string> {
    return this.reading(user, () => mentions(this.#options.reads, user, input));
  }

  pinned(user: string, room: string): Promise<string> {
    return this.reading(user, () => pinned(this.#options.reads, user, room));
  }

  receipts(user: string, input: ParsedInput<'room:receipts'>): Promise<CommandOutput<'room:receipts'>> {
    return this.reading(user, () => receipts(this.#options.reads, user, input));
  }

  unread(user: string, input: ParsedInput<'unread'>): Promise<CommandOutput<'unread'>> {
    return this.reading(user, () => unread(this.#options.reads, user, input));
  }

  /** @throws {ParleyError} `forbidden` if search is switched off */
  search(user: string, input: ParsedInput<'search'>): Promise<string> {
    if (this.#search === undefined) throw new ParleyError('forbidden', 'This server does not search.');
    return this.#search.page(user, input);
  }

  /** See `Retention.purge`. */
  purge(room: string, before: number, removed: (messages: number) => Promise<void>): Promise<void> {
    return this.#retention.purge(room, before, removed);
  }

  /**
   * @returns the seq of the next message.
   * @throws {ParleyError} unless the user may delete the room, and so all of its messages
   */
  async requirePurge(user: string, room: string): Promise<number> {
    await this.reading(user, () => requireRight(this.#options.reads, user, room, 'delete'));
    const [row] = await this.#options.reads<
      { next: number }[]
    >`select last_seq + 1 as next from rooms where id = ${room}`;
    if (row === undefined) throw new ParleyError('not_found');
    return row.next;
  }

  /** @throws {ParleyError} unless the user may send signals in the room now */
  requireSignalRight(user: string, room: string): Promise<void> {
    return this.reading(user, () => requireSignalRight(this.#options.reads, user, room));
  }

  /** @throws {ParleyError} unless the user is a member of the room */
  async requireMember(user: string, room: string): Promise<void> {
    await this.reading(user, () => readAccess(this.#options.reads, user, room));
  }

  /** Resolves when all accepted commands are committed and answered. */
  async stop(): Promise<void> {
    this.rooms.flush();
    // before the read marks that it notes
    await this.#published.stop();
    await Promise.all([this.changes.flush(), this.pins.flush(), this.#retention.stop(), this.#searchIndex?.stop()]);
    await Promise.all([this.writer.stop(), this.readMarks.flush(), this.#outbox.stop(), this.#purge.stop()]);
  }
}
