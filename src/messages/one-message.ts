import type { postgres } from '../storage/sql.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { ParsedInput } from '../protocol/commands.ts';
import { requireMember, roomAccess, type Access } from '../rooms/access.ts';
import { messageColumns } from './message-columns.ts';
import { messageJson, type StoredMessage } from './message-json.ts';

type Row = Access & { [K in keyof StoredMessage]: StoredMessage[K] | null };

/** One message, as the JSON text of the output of `message:get`. Access and message come from one statement. */
export async function oneMessage(
  sql: postgres.Sql,
  user: string,
  { room, seq }: ParsedInput<'message:get'>,
): Promise<string> {
  const [row] = await sql<Row[]>`
    select a.kind, a.role, x.*
    from (select r.kind, r.first_seq, m.role from ${roomAccess(sql, user, room)}) a
    left join lateral (
      select ${messageColumns(sql, user)}, u.name
      from messages t left join users u on u.id = t.sender_id
      where a.role is not null and t.room_id = ${room} and t.seq = ${seq} and t.seq >= a.first_seq
    ) x on true`;
  requireMember(row);
  if (row.seq === null) throw new ParleyError('not_found', 'There is no such message in the room.');
  return `{"message":${messageJson(row as unknown as StoredMessage)}}`;
}
