/** Who has read what, and what a user has not: pages of `room:receipts`, and `unread`. */
import type { postgres } from '../storage/sql.ts';
import type { CommandOutput, ParsedInput } from '../protocol/commands.ts';
import { limits } from '../protocol/limits.ts';
import type { Role } from '../protocol/model.ts';
import { requireMember } from '../rooms/rooms.ts';

/** Access and marks come from one statement. */
export async function receipts(
  sql: postgres.Sql,
  user: string,
  { room, after = '', limit }: ParsedInput<'room:receipts'>,
): Promise<CommandOutput<'room:receipts'>> {
  const rows = await sql<
    { kind: string; role: Role | null; user_id: string | null; read: number; delivered: number }[]
  >`
    select r.kind, v.role, m.*
    from rooms r
    left join members v on v.room_id = r.id and v.user_id = ${user}
    left join lateral (
      select x.user_id, x.last_read_seq as read, greatest(x.last_delivered_seq, x.last_read_seq) as delivered
      from members x where v.role is not null and x.room_id = r.id and x.user_id > ${after}
      order by x.user_id limit ${limit + 1}
    ) m on true
    where r.id = ${room}`;
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
