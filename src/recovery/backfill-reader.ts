import type { postgres } from '../storage/sql.ts';
import type { UserEvent } from '../fanout/fanout.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { EventData } from '../protocol/events.ts';
import type { RoomSummary } from '../protocol/model.ts';
import {
  membershipChanges,
  membershipCursor,
  membershipsOf,
  type Membership,
  type MembershipPage,
} from '../rooms/membership-changes.ts';
import { headsOf, readBackfill, type Backfilled } from './backfill.ts';
import { roomChanges, type RoomChangePage } from '../rooms/settings-changes.ts';
import { memberToUser } from '../rooms/room-events.ts';
import type { Rooms } from '../rooms/rooms.ts';

/** What a node reads of Postgres when it was not told by the others. */
export class BackfillReader {
  readonly #sql: postgres.Sql;
  readonly #lease: postgres.Sql;
  readonly #rooms: Rooms;

  /** @param parts.lease for memberships, by which the node's lease is renewed */
  constructor({ reads, lease, rooms }: { reads: postgres.Sql; lease: postgres.Sql; rooms: Rooms }) {
    this.#sql = reads;
    this.#lease = lease;
    this.#rooms = rooms;
  }

  events(room: string, rev: number): Promise<Backfilled | undefined> {
    return readBackfill(this.#sql, room, rev);
  }

  heads(rooms: readonly string[]): Promise<{ room: string; head: number }[]> {
    return headsOf(this.#sql, rooms);
  }

  cursor(): Promise<string> {
    return membershipCursor(this.#lease);
  }

  changes(cursor: string): Promise<MembershipPage> {
    return membershipChanges(this.#lease, cursor);
  }

  roomChanges(cursor: string): Promise<RoomChangePage> {
    return roomChanges(this.#sql, cursor);
  }

  membershipsOf(users: readonly string[]): Promise<Membership[]> {
    return membershipsOf(this.#lease, users);
  }

  /** @returns undefined if the user is no member. */
  async summary(user: string, room: string): Promise<RoomSummary | undefined> {
    try {
      return await this.#rooms.summary(user, room);
    } catch (error) {
      if (error instanceof ParleyError && error.code === 'not_found') return undefined;
      throw error;
    }
  }

  memberToUser(user: string, data: EventData<'member'>): UserEvent {
    return memberToUser(user, data);
  }
}
