/**
 * The rows of the ledger of devices. A row is
 *
 * waiting ── `claim` ──▶ sending ── `settle` ──▶ sent, read, dropped or dead
 *    ▲                     │ failed, attempts left
 *    └─────────────────────┘
 *
 * `claim` counts the attempt and commits before the call goes out. A worker that dies leaves `sending`; after `leaseMs` the
 * row is `unknown` and another worker claims it. The device gets the same tag again, and shows one notification.
 */
import type { LaneJob } from '../lanes/lanes.ts';
import { dueRows, type DueRow } from '../due-rows.ts';
import type { NotificationReason, NotificationState } from '../../protocol/notifications.ts';
import type { DeviceKind } from '../../protocol/devices.ts';
import type { postgres } from '../../storage/sql.ts';
import { limits } from '../../protocol/limits.ts';

export interface PushRow extends DueRow {
  readonly device: string;
  /** Attempts so far. */
  readonly attempts: number;
  readonly noted_at: number;
  /** Null: the device is gone. */
  readonly device_kind: DeviceKind | null;
  readonly address: string | null;
  /** JSON texts, as the other columns of JSON. */
  readonly secrets: string | null;
  readonly body: string | null;
  readonly sender: string | null;
  readonly sender_name: string | null;
  readonly room_name: string | null;
  /** A later push of the room has reached the device. */
  readonly is_replaced: boolean;
  /** Pushes to the device within a minute. */
  readonly lately: number;
  /** Unread notifications of the user in the app. */
  readonly unread: number;
}

export function pushRows(sql: postgres.Sql, jobs: readonly LaneJob[]): Promise<readonly PushRow[]> {
  return dueRows<PushRow>(sql, jobs, {
    columns: sql`, n.device, n.attempts, n.created_at as noted_at, d.channel as device_kind, d.address, d.secrets,
      g.body, g.sender_id as sender, s.name as sender_name, r.name as room_name,
      exists (
        select from notifications l where l.user_id = n.user_id and l.room_id = n.room_id and l.seq > n.seq
          and l.channel = 'push' and l.device = n.device and l.state in ('sent', 'shown') and l.at >= n.at) as is_replaced,
      (select count(*)::int from notifications l where l.user_id = n.user_id and l.channel = 'push' and l.device = n.device
        and l.at > clock_timestamp() - interval '1 min' and l.state in ('sent', 'shown', 'read')) as lately,
      ${unreadOf(sql)} as unread`,
    joins: sql`left join devices d on d.id = n.device::uuid and d.user_id = n.user_id
      left join users s on s.id = g.sender_id`,
  });
}

/** The number of the bell, for a user `n.user_id`. */
export function unreadOf(sql: postgres.ISql): postgres.Fragment {
  return sql`(
    select count(*)::int from (
      select from notifications a join members am on am.room_id = a.room_id and am.user_id = a.user_id
      where a.user_id = n.user_id and a.channel = 'app' and a.state in ('sent', 'shown') and a.seq > am.last_read_seq
      limit ${limits.unreadCount}
    ) a)`;
}

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
  sql: postgres.Sql,
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

/** Removes a device whose subscription is still the one that was called gone. @returns whether this call has removed it */
export async function removeGone(sql: postgres.Sql, id: string, address: string): Promise<boolean> {
  const rows = await sql`delete from devices where id = ${id}::uuid and address = ${address} returning id`;
  return rows.length > 0;
}
