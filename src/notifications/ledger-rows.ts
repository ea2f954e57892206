/** The statements that write rows of the ledger. */
import type { Lane } from '../protocol/lanes.ts';
import type { Channel, NotificationKind, NotificationReason, NotificationState } from '../protocol/notifications.ts';
import type { postgres } from '../storage/sql.ts';
import type { Decision } from './decide.ts';

export interface LedgerRow {
  readonly id: string;
  readonly at: number;
  readonly room: string;
  readonly seq: number;
  readonly user: string;
  readonly channel: Channel;
  readonly device: string;
  readonly kind: NotificationKind;
  readonly lane: Lane;
  readonly state: NotificationState;
  readonly reason: NotificationReason | null;
  /** When a waiting row is decided again. */
  readonly due: number;
}

/** Where a decision leads. The list of the app is the delivery, so its row is `sent` in the statement that stores the row. */
export function stateOf(
  decision: Decision,
  now: number,
  delivered: NotificationState = 'sent',
): Pick<LedgerRow, 'state' | 'reason' | 'due'> {
  if (decision.act === 'deliver') return { state: delivered, reason: null, due: now };
  if (decision.act === 'drop') return { state: 'dropped', reason: decision.reason, due: now };
  return { state: 'waiting', reason: decision.reason, due: decision.act === 'until' ? decision.at : now };
}

/** Stores rows once. @returns the ids of the rows that are new */
export async function insertRows(tx: postgres.ISql, rows: readonly LedgerRow[]): Promise<Set<string>> {
  const json = JSON.stringify(
    rows.map((row) => [
      row.id,
      row.at,
      row.room,
      row.seq,
      row.user,
      row.channel,
      row.device,
      row.kind,
      row.lane,
      row.state,
      row.reason,
      row.due,
    ]),
  );
  const stored = await tx<{ id: string }[]>`
    insert into notifications (id, at, room_id, seq, user_id, channel, device, kind, lane, state, reason, due_at)
    select (r.v ->> 0)::uuid, to_timestamp((r.v ->> 1)::bigint / 1000.0), r.v ->> 2, (r.v ->> 3)::bigint, r.v ->> 4,
      r.v ->> 5, r.v ->> 6, r.v ->> 7, r.v ->> 8, r.v ->> 9, r.v ->> 10, to_timestamp((r.v ->> 11)::bigint / 1000.0)
    from jsonb_array_elements(${json}::text::jsonb) as r (v)
    on conflict do nothing
    returning id`;
  return new Set(stored.map(({ id }) => id));
}

export interface Change {
  readonly id: string;
  readonly at: number;
  readonly state: NotificationState;
  readonly reason: NotificationReason | null;
  readonly due: number;
}

/** Changes rows that wait for a delivery. @returns the ids of the rows that still waited */
export async function settleRows(sql: postgres.ISql, changes: readonly Change[]): Promise<Set<string>> {
  const json = JSON.stringify(changes.map(({ id, at, state, reason, due }) => [id, at, state, reason, due]));
  const rows = await sql<{ id: string }[]>`
    update notifications n set state = r.v ->> 2, reason = r.v ->> 3, due_at = to_timestamp((r.v ->> 4)::bigint / 1000.0),
      attempts = n.attempts + case when r.v ->> 2 = 'sent' then 1 else 0 end, updated_at = clock_timestamp()
    from jsonb_array_elements(${json}::text::jsonb) as r (v)
    where n.id = (r.v ->> 0)::uuid and n.at = to_timestamp((r.v ->> 1)::bigint / 1000.0)
      and (n.state in ('waiting', 'unknown') or n.state = 'sending' and n.due_at <= clock_timestamp())
    returning n.id`;
  return new Set(rows.map(({ id }) => id));
}
