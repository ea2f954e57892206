import type postgres from 'postgres';
import type { Fanout } from '../fanout/fanout.ts';
import type { ParsedInput } from '../protocol/commands.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { Arrivals } from './arrivals.ts';
import type { AttachmentRulesOptions } from './bodies/attachments.ts';
import { Bodies } from './bodies/bodies.ts';
import { Changes } from './changes.ts';
import { history } from './history.ts';
import { Invitations } from './invitations.ts';
import { JoinLinks } from './join-links.ts';
import { mentions } from './mentions.ts';
import { MissedReader } from './missed-reader.ts';
import { Outbox } from './outbox.ts';
import { pinned, Pins } from './pins.ts';
import { ReadMarks } from './read-marks.ts';
import { RoomAdmin } from './room-admin.ts';
import { RoomPurge } from './room-purge.ts';
import { Rooms } from './rooms.ts';
import { recentRows } from './recent-rows.ts';
import { sync, type SyncedRooms } from './sync.ts';
import { fromTails, type Recent, type RecentRows, type Tails } from './tails.ts';
import { Threads } from './threads.ts';
import { versions } from './versions.ts';
import { Visibility } from './visibility.ts';
import { Writer } from './writer.ts';

export interface MessagingOptions extends AttachmentRulesOptions {
  readonly sql: postgres.Sql;
  readonly fanout: Fanout;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly writerStripes: number;
  readonly writerBatch: number;
  readonly writerQueue: number;
  readonly editWindowMs: number;
  readonly maxRoomsPerUser: number;
  readonly maxMembersPerRoom: number;
}

/** Everything that is stored, behind one door. */
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
  readonly arrivals: Arrivals;
  readonly readMarks: ReadMarks;
  readonly visibility: Visibility;
  readonly missed: MissedReader;
  readonly #options: MessagingOptions;
  readonly #outbox: Outbox;
  readonly #purge: RoomPurge;

  constructor(options: MessagingOptions) {
    const { sql, fanout, metrics, log } = options;
    this.#options = options;
    this.writer = new Writer({
      sql,
      fanout,
      metrics,
      log,
      stripes: options.writerStripes,
      maxBatch: options.writerBatch,
      maxWaiting: options.writerQueue,
    });
    this.changes = new Changes({ ...options, writer: this.writer, maxWaiting: options.writerQueue });
    this.pins = new Pins({ ...options, writer: this.writer, maxWaiting: options.writerQueue });
    this.threads = new Threads(options);
    this.bodies = new Bodies(options);
    this.rooms = new Rooms(options);
    this.#purge = new RoomPurge({ sql, log });
    this.roomAdmin = new RoomAdmin({ sql, fanout, rooms: this.rooms, purge: this.#purge });
    this.invitations = new Invitations({ ...options, rooms: this.rooms });
    this.links = new JoinLinks({ ...options, rooms: this.rooms });
    this.arrivals = new Arrivals(sql);
    this.readMarks = new ReadMarks(sql, fanout);
    this.visibility = new Visibility(sql);
    this.missed = new MissedReader(sql, this.rooms);
    this.#outbox = new Outbox({ sql, fanout, metrics, log });
  }

  history(user: string, input: ParsedInput<'history'>): Promise<string> {
    return history(this.#options.sql, user, input);
  }

  /**
   * The JSON text of `sync`'s output.
   * @param tails for the rooms that `sees` names: who asks is on them, and whatever comes from now on comes live.
   */
  async sync(user: string, input: ParsedInput<'sync'>, tails: Tails, sees: (room: string) => boolean): Promise<string> {
    const near = await fromTails(user, input, tails, sees);
    const { metrics, sql } = this.#options;
    metrics.syncedRooms.inc({ source: 'tail' }, near.rooms.length);
    const left = Object.keys(near.rest.cursors).length;
    if (left === 0) return answer(near);
    metrics.syncedRooms.inc({ source: 'postgres' }, left);
    const far = await sync(sql, user, near.rest);
    return answer({ rooms: [...near.rooms, ...far.rooms], more: near.more || far.more });
  }

  /** Where tails begin. */
  recent(asked: readonly Recent[], limit: number): Promise<Map<string, RecentRows>> {
    return recentRows(this.#options.sql, asked, limit);
  }

  versions(user: string, input: ParsedInput<'message:versions'>): Promise<string> {
    return versions(this.#options.sql, user, input);
  }

  mentions(user: string, input: ParsedInput<'mentions'>): Promise<string> {
    return mentions(this.#options.sql, user, input);
  }

  pinned(user: string, room: string): Promise<string> {
    return pinned(this.#options.sql, user, room);
  }

  /** Resolves when everything that was accepted is committed and answered. */
  async stop(): Promise<void> {
    await Promise.all([this.changes.flush(), this.pins.flush()]);
    await Promise.all([this.writer.stop(), this.readMarks.flush(), this.#outbox.stop(), this.#purge.stop()]);
  }
}

function answer({ rooms, more }: SyncedRooms): string {
  return `{"rooms":{${rooms.join(',')}},"more":${more}}`;
}
