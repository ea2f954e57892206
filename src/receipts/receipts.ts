/** The marks of a room's members, and a user's unread messages: pages of `room:receipts`, and `unread`. */
import type { postgres } from '../storage/sql.ts';
import type { CommandOutput, ParsedInput } from '../protocol/commands.ts';
import { limits } from '../protocol/limits.ts';
import { requireMember, roomAccess, type Access } from '../rooms/access.ts';

/** Access and marks come from one statement. */
export async function receipts(
  sql: postgres.Sql,
  user: string,
  { room, after = '', limit }: ParsedInput<'room:receipts'>,
): Promise<CommandOutput<'room:receipts'>> {
  const rows = await sql<(Access & { user_id: string | null; read: number; delivered: number })[]>`
    select a.kind, a.role, x.*
    from (select r.id, r.kind, m.role from ${roomAccess(sql, user, room)}) a
    left join lateral (
      select y.user_id, y.last_read_seq as read, greatest(y.last_delivered_seq, y.last_read_seq) as delivered
      from members y where a.role is not null and y.room_id = a.id and y.user_id > ${after}
      order by y.user_id limit ${limit + 1}
    ) x on true`;
  requireMember(rows[0]);
  const found = rows.flatMap(({ user_id: id, read, delivered }) => (id === null ? [] : { user: id, read, delivered }));
  const page = found.slice(0, limit);
  return { receipts: page, after: page.at(-1)?.user ?? null, more: found.length > limit };
}

/** One statement, whatever the number of rooms. @param max rooms in one answer */
export async function unread(
  sql: postgres.Sql,
  user: string,
  { after = '' }: ParsedInput<'unread'>,
  max: number = limits.unreadRooms,
): Promise<CommandOutput<'unread'>> {
  const rows = await sql<CommandOutput<'unread'>['rooms']>`
    select * from unread_rooms(${user}, ${after}, ${max + 1}, ${limits.unreadCount})`;
  const page = rows.slice(0, max).map((row) => ({ ...row }));
  return { rooms: page, after: page.at(-1)?.room ?? null, more: rows.length > max };
}
