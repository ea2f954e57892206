/** The rows of the ledger behind jobs, with the facts of this moment for `decide`. */
import { ParleyError } from '../protocol/errors.ts';
import type { Lane } from '../protocol/lanes.ts';
import type { postgres } from '../storage/sql.ts';
import type { FactRow } from './candidates.ts';
import type { LaneJob } from './lanes/lanes.ts';

export type DueRow = FactRow & { readonly id: string; readonly lane: Lane };

/** The columns and the joins that a channel reads beside the facts. */
export interface More {
  readonly columns: postgres.Fragment;
  readonly joins: postgres.Fragment;
}

/**
 * One statement. In `more` the row is `n`, its room `r`, its message `g`, the membership of its user `m`.
 * @param states a condition on `n`; by default the row waits for a delivery
 * @returns the rows that still wait for a delivery. A row whose worker died in an attempt is one of them after its lease.
 */
export function dueRows<R extends DueRow = DueRow>(
  sql: postgres.Sql,
  jobs: readonly Pick<LaneJob, 'id' | 'data'>[],
  more: More = { columns: sql``, joins: sql`` },
  states = sql`n.state in ('waiting', 'unknown') or n.state = 'sending' and n.due_at <= clock_timestamp()`,
): Promise<readonly R[]> {
  const keys = JSON.stringify(jobs.map(({ id, data }) => [id, timeOf(data)]));
  return sql<R[]>`
    select n.id, n.at, n.lane, n.kind, n.room_id, n.seq, n.user_id, coalesce(r.kind, 'group') as room_kind,
      case when g.seq is null or g.seq < r.first_seq then 'expired' when g.deleted_at is not null then 'deleted' end as gone,
      m.user_id is not null as is_member,
      exists (select from blocks b where b.user_id = n.user_id and b.blocked_id = g.sender_id) as has_blocked,
      coalesce(m.last_read_seq, 0) as read_seq, p.document as of_room, u.document as of_user ${more.columns}
    from jsonb_array_elements(${keys}::text::jsonb) as k (v)
    join notifications n on n.id = (k.v ->> 0)::uuid and n.at = to_timestamp((k.v ->> 1)::bigint / 1000.0)
    left join rooms r on r.id = n.room_id
    left join messages g on g.room_id = n.room_id and g.seq = n.seq
    left join members m on m.room_id = n.room_id and m.user_id = n.user_id
    left join preferences p on p.user_id = n.user_id and p.room_id = n.room_id
    left join preferences u on u.user_id = n.user_id and u.room_id = ''
    ${more.joins}
    where ${states}`;
}

function timeOf(data: LaneJob['data']): number {
  const { at } = (typeof data === 'object' && data !== null ? data : {}) as Readonly<Record<string, unknown>>;
  if (typeof at !== 'number') throw new ParleyError('internal', 'The job of a notification has no time.');
  return at;
}
