/**
 * The events of the messages of commits, as webhooks get them. The outbox has the rooms and the revs of a commit, and not
 * what has changed. So an event has its message as the message is now:
 *
 * - A commit of messages gives `message.created` for each of them, with the rev of the send. A message that is deleted already
 *   gives none, because its deletion has an event of its own.
 * - A commit of changes gives `message.deleted` or `message.updated` for each message whose last change is in the commit. An
 *   edit, a reaction and a pin are such changes. A message that has changed again comes with the later commit.
 */
import { messageColumns } from '../../messages/message-columns.ts';
import { messageJson, type StoredMessage } from '../../messages/message-json.ts';
import type { postgres } from '../../storage/sql.ts';
import type { OutboxEntry } from '../candidates.ts';
import type { RoomEvent } from './room-event.ts';

type Row = StoredMessage & {
  readonly room_kind: string;
  readonly is_new: boolean;
  readonly is_deleted: boolean;
  readonly event_rev: number;
  readonly changed_at: number;
};

/** @returns the events in the order of the entries, and of the revs of each */
export async function committedEvents(tx: postgres.ISql, entries: readonly OutboxEntry[]): Promise<RoomEvent[]> {
  const json = JSON.stringify(entries.map(({ room, from, to, seq }) => [room, from, to, seq ?? null]));
  const rows = await tx<Row[]>`
    select r.kind as room_kind, k.is_new, t.deleted_at is not null as is_deleted, k.event_rev,
      coalesce(case when not k.is_new then coalesce(t.deleted_at, t.edited_at) end, t.created_at) as changed_at,
      ${messageColumns(tx, undefined)}, u.name
    from (
      select e.n, e.v ->> 0 as room_id, (e.v ->> 1)::bigint as first_rev, (e.v ->> 2)::bigint as last_rev,
        (e.v ->> 3)::bigint as first_seq
      from jsonb_array_elements(${json}::text::jsonb) with ordinality as e (v, n)
    ) e
    join rooms r on r.id = e.room_id
    cross join lateral (
      select m.seq, true as is_new, e.first_rev + m.seq - e.first_seq as event_rev from messages m
      where m.room_id = e.room_id and m.seq between e.first_seq and e.first_seq + e.last_rev - e.first_rev
      union all
      select m.seq, false, m.rev from messages m
      where e.first_seq is null and m.room_id collate "POSIX" = e.room_id and m.rev between e.first_rev and e.last_rev
    ) k
    join messages t on t.room_id = e.room_id and t.seq = k.seq
    left join users u on u.id = t.sender_id
    where not (k.is_new and t.deleted_at is not null)
    order by e.n, k.event_rev`;
  return rows.map((row) => ({
    room: row.room,
    roomKind: row.room_kind,
    rev: row.event_rev,
    kind: row.is_new ? 'message.created' : row.is_deleted ? 'message.deleted' : 'message.updated',
    json: messageJson(row),
    at: row.changed_at,
  }));
}
