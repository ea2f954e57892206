/**
 * The attempts of a row of the ledger that leaves the server. A row is
 *
 * waiting ── `claim` ──▶ sending ── `settle` ──▶ sent, read, dropped or dead
 *    ▲                     │ failed, attempts left
 *    └─────────────────────┘
 *
 * `claim` counts the attempt and commits before the call goes out. A worker that dies leaves `sending`; after `leaseMs` the
 * row is `unknown` and another worker claims it. The device gets the same key again, and shows one notification.
 */
import type { NotificationReason, NotificationState } from '../../protocol/notifications.ts';
import type { postgres } from '../../storage/sql.ts';

interface Key {
  readonly id: string;
  readonly at: number;
}

/** @returns the ids of the rows whose attempt is this caller's */
export async function claim(sql: postgres.Sql, rows: readonly Key[], leaseMs: number): Promise<Set<string>> {
  const keys = JSON.stringify(rows.map(({ id, at }) => [id, at]));
  const claimed = await sql<{ id: string }[]>`
    update notifications n set state = 'sending', reason = null, attempts = n.attempts + 1, updated_at = clock_timestamp(),
      due_at = clock_timestamp() + ${leaseMs} * interval '1 ms'
    from jsonb_array_elements(${keys}::text::jsonb) as k (v)
    where n.id = (k.v ->> 0)::uuid and n.at = to_timestamp((k.v ->> 1)::bigint / 1000.0)
      and (n.state in ('waiting', 'unknown') or n.state = 'sending' and n.due_at <= clock_timestamp())
    returning n.id`;
  return new Set(claimed.map(({ id }) => id));
}

export interface Settled extends Key {
  /** The number of the attempt: one that ends late changes nothing when a later one has begun. */
  readonly attempts: number;
  readonly state: Extract<NotificationState, 'waiting' | 'sent' | 'dropped' | 'dead'>;
  readonly reason: NotificationReason | null;
  readonly error: string | null;
  /** When the next attempt is due. */
  readonly due: number;
}

/** @returns the states of the rows now. A row that was sent and read meanwhile is `read` */
export async function settle(
  sql: postgres.ISql,
  attempts: readonly Settled[],
): Promise<ReadonlyMap<string, NotificationState>> {
  const json = JSON.stringify(
    attempts.map(({ id, at, attempts: n, state, reason, error, due }) => [id, at, n, state, reason, error, due]),
  );
  const rows = await sql<{ id: string; state: NotificationState }[]>`
    update notifications n set reason = k.v ->> 4, error = k.v ->> 5, updated_at = clock_timestamp(), queued_at = null,
      due_at = to_timestamp((k.v ->> 6)::bigint / 1000.0),
      state = case when k.v ->> 3 = 'sent' and exists (
        select from members m where m.room_id = n.room_id and m.user_id = n.user_id and m.last_read_seq >= n.seq
      ) then 'read' else k.v ->> 3 end
    from jsonb_array_elements(${json}::text::jsonb) as k (v)
    where n.id = (k.v ->> 0)::uuid and n.at = to_timestamp((k.v ->> 1)::bigint / 1000.0)
      and n.state = 'sending' and n.attempts = (k.v ->> 2)::int
    returning n.id, n.state`;
  return new Map(rows.map(({ id, state }) => [id, state]));
}
