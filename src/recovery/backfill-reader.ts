import type { postgres } from '../storage/sql.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { RoomSummary } from '../protocol/model.ts';
import { membershipChanges, membershipStart, membershipsOf } from '../rooms/membership-changes.ts';
import type { Rooms } from '../rooms/rooms.ts';
import { roomChanges } from '../rooms/settings-changes.ts';
import { headsOf, readBackfill } from './backfill.ts';

export type BackfillReads = ReturnType<typeof backfillReads>;

interface Sources {
  readonly reads: postgres.Sql;
  /** The pool of the lease. Reads of memberships renew the lease, so they wait for no other read. */
  readonly lease: postgres.Sql;
  readonly rooms: Pick<Rooms, 'summary'>;
}

/** The reads of Postgres for a node that missed events and changes, each with its pool. */
export function backfillReads({ reads, lease, rooms }: Sources) {
  return {
    events: (room: string, rev: number) => readBackfill(reads, room, rev),
    heads: (ids: readonly string[]) => headsOf(reads, ids),
    roomChanges: (cursor: string) => roomChanges(reads, cursor),
    start: () => membershipStart(lease),
    cursor: async () => (await membershipStart(lease)).cursor,
    changes: (cursor: string) => membershipChanges(lease, cursor),
    membershipsOf: (users: readonly string[]) => membershipsOf(lease, users),
    /** @returns undefined if the user is not a member */
    async summary(user: string, room: string): Promise<RoomSummary | undefined> {
      try {
        return await rooms.summary(user, room);
      } catch (error) {
        if (error instanceof ParleyError && error.code === 'not_found') return undefined;
        throw error;
      }
    },
  };
}
