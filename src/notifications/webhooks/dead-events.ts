/** The events `notification.dead`: back ends learn which notifications reached nobody. A dead delivery of a webhook gives none. */
import type { postgres } from '../../storage/sql.ts';
import type { RoomEvent } from './room-event.ts';

interface Row {
  readonly id: string;
  readonly room: string;
  readonly room_kind: string;
  readonly seq: number;
  readonly user: string;
  readonly channel: string;
  readonly device: string;
  readonly kind: string;
  readonly error: string | null;
  readonly attempts: number;
  readonly at: number;
}

/** @param rows notifications that are dead now; `at` is the time of the message */
export async function deadEvents(
  tx: postgres.ISql,
  rows: readonly { readonly id: string; readonly at: number }[],
): Promise<RoomEvent[]> {
  if (rows.length === 0) return [];
  const keys = JSON.stringify(rows.map(({ id, at }) => [id, at]));
  const dead = await tx<Row[]>`
    select n.id, n.room_id as room, r.kind as room_kind, n.seq, n.user_id as user, n.channel, n.device, n.kind, n.error,
      n.attempts, n.updated_at as at
    from jsonb_array_elements(${keys}::text::jsonb) as k (v)
    join notifications n on n.id = (k.v ->> 0)::uuid and n.at = to_timestamp((k.v ->> 1)::bigint / 1000.0)
    join rooms r on r.id = n.room_id
    order by n.room_id, n.seq, n.id`;
  return dead.map(({ room_kind: roomKind, at, ...event }) => {
    const { id, seq, user, channel, device, kind, error, attempts } = event;
    const json = JSON.stringify({ id, seq, user, channel, device, kind, error, attempts });
    return { room: event.room, roomKind, rev: null, kind: 'notification.dead', json, at };
  });
}
