import type { postgres } from '../storage/sql.ts';
import { membershipChanges, membershipStart, membershipsOf } from '../rooms/membership-changes.ts';
import { roomChanges } from '../rooms/settings-changes.ts';
import { readSummary } from '../rooms/summary.ts';
import { headsOf, readBackfill } from './backfill.ts';

export type BackfillReads = ReturnType<typeof backfillReads>;

interface Sources {
  readonly reads: postgres.Sql;
  /** The pool of the lease. Reads of memberships renew the lease, so they wait for no other read. */
  readonly lease: postgres.Sql;
  /** The pool of the commands: a summary is read behind the change of its membership. */
  readonly writes: postgres.Sql;
}

/** The reads of Postgres for a node that missed events and changes, each with its pool. */
export function backfillReads({ reads, lease, writes }: Sources) {
  return {
    events: (room: string, rev: number) => readBackfill(reads, room, rev),
    heads: (ids: readonly string[]) => headsOf(reads, ids),
    roomChanges: (cursor: string) => roomChanges(reads, cursor),
    start: () => membershipStart(lease),
    cursor: async () => (await membershipStart(lease)).cursor,
    changes: (cursor: string) => membershipChanges(lease, cursor),
    membershipsOf: (users: readonly string[]) => membershipsOf(lease, users),
    /** @returns undefined if the user is not a member */
    summary: (user: string, room: string) => readSummary(writes, user, room),
  };
}
