/** The notifications of a user in the app: the list, the unread count, and the marks. */
import type { CommandOutput, ParsedInput } from '../protocol/commands.ts';
import { limits } from '../protocol/limits.ts';
import { messageColumns } from '../messages/message-columns.ts';
import { messageJson, type StoredMessage } from '../messages/message-json.ts';
import { pageCursor } from '../rooms/page-cursor.ts';
import type { postgres } from '../storage/sql.ts';
import type { LedgerRow } from './ledger-rows.ts';
import type { Cleared } from './push/clear.ts';

type Row = StoredMessage &
  Pick<LedgerRow, 'id' | 'kind' | 'lane'> & {
    readonly notification: string;
    readonly noticed_at: number;
    readonly is_read: boolean;
    readonly is_there: boolean;
  };

/**
 * A page of notifications, the newest first, as the JSON text of the output of `notification:list`. The read mark of the room
 * counts too, so a notification is never unread behind the mark. Rooms that the user has left are not listed.
 */
export async function listNotifications(
  sql: postgres.ISql,
  user: string,
  input: ParsedInput<'notification:list'>,
): Promise<string> {
  const { limit } = input;
  const before = input.before === undefined ? undefined : pageCursor.decode(input.before);
  const bound =
    before === undefined
      ? sql`true`
      : sql`(n.at, n.room_id, n.seq) < (${before.at}::timestamptz, ${before.room}::text collate "C", ${before.seq}::bigint)`;
  const unread = input.unread ? sql`n.state <> 'read' and n.seq > x.last_read_seq` : sql`true`;
  const rows = await sql<Row[]>`
    select n.id as notification, n.kind, n.lane, n.at as noticed_at, n.is_read, n.room_id as notice_room,
      t.seq is not null and t.deleted_at is null and t.seq >= n.first_seq as is_there,
      ${messageColumns(sql, user)}, n.seq, n.room_id as room, u.name
    from (
      select n.id, n.kind, n.lane, n.at, n.room_id, n.seq, r.first_seq, n.state = 'read' or n.seq <= x.last_read_seq as is_read
      from notifications n
      join members x on x.room_id = n.room_id and x.user_id = n.user_id
      join rooms r on r.id = n.room_id
      where n.user_id = ${user} and n.channel = 'app' and n.state in ('sent', 'shown', 'read') and ${unread} and ${bound}
      order by n.at desc, n.room_id desc, n.seq desc limit ${limit + 1}
    ) n
    left join messages t on t.room_id = n.room_id and t.seq = n.seq
    left join users u on u.id = t.sender_id
    order by n.at desc, n.room_id desc, n.seq desc`;
  const list = rows.slice(0, limit).map((row) => {
    const { notification: id, room, seq, noticed_at: at, kind, lane, is_read: read } = row;
    const head = JSON.stringify({ id, room, seq, at, kind, lane, read });
    return `${head.slice(0, -1)},"message":${row.is_there ? messageJson(row) : 'null'}}`;
  });
  const last = rows.slice(0, limit).at(-1);
  const next = last === undefined ? null : pageCursor.encode({ at: last.noticed_at, room: last.room, seq: last.seq });
  return `{"notifications":[${list.join(',')}],"before":${JSON.stringify(next)},"more":${rows.length > limit}}`;
}

/** Counted up to the limit. */
export async function countUnread(sql: postgres.ISql, user: string): Promise<CommandOutput<'notification:unread'>> {
  const [row] = await sql<{ unread: number }[]>`
    select count(*)::integer as unread from (
      select from notifications n join members x on x.room_id = n.room_id and x.user_id = n.user_id
      where n.user_id = ${user} and n.channel = 'app' and n.state in ('sent', 'shown') and n.seq > x.last_read_seq
      limit ${limits.unreadCount}
    ) n`;
  return { unread: row?.unread ?? 0 };
}

/**
 * Marks the notifications of the user as read: some by id, those of a room up to a seq, or all. Their pushes are read too.
 * @returns the pushes that devices show
 */
export async function markNotifications(
  sql: postgres.ISql,
  user: string,
  { ids, room, upTo }: ParsedInput<'notification:mark'>,
): Promise<readonly Cleared[]> {
  const which =
    ids !== undefined
      ? sql`n.id = any (${ids}::uuid[])`
      : room === undefined
        ? sql`true`
        : sql`n.room_id = ${room} and n.seq <= ${upTo ?? Number.MAX_SAFE_INTEGER}::bigint`;
  const rows = await sql<(Cleared & { readonly shown: boolean })[]>`
    with marked as (
      update notifications n set state = 'read', updated_at = clock_timestamp()
      where n.user_id = ${user} and n.channel = 'app' and n.state in ('sent', 'shown') and ${which}
      returning n.room_id, n.seq, n.at
    )
    update notifications n set state = case when n.state = 'waiting' then 'dropped' else 'read' end,
      reason = case when n.state = 'waiting' then 'read' end, updated_at = clock_timestamp()
    from marked
    where n.user_id = ${user} and n.channel = 'push' and n.room_id = marked.room_id and n.seq = marked.seq and n.at = marked.at
      and n.state in ('waiting', 'sent', 'shown')
    returning n.user_id as user, n.device, n.room_id as room, n.seq, n.state = 'read' as shown`;
  return rows.filter(({ shown }) => shown);
}
