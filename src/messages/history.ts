import type { postgres } from '../storage/sql.ts';
import type { ParsedInput } from '../protocol/commands.ts';
import { messageColumns } from './message-columns.ts';
import { messageJson, type StoredMessage } from './message-json.ts';
import { requireMember, roomAccess, type Access } from '../rooms/access.ts';

/** A room's rights and rev beside one of its messages; with nulls if the room has none of them. */
export type PageRow = Access & { readonly last_rev: number } & {
  [K in keyof StoredMessage]: StoredMessage[K] | null;
};

/** The room of a page, as the table `a`: its kind, its head, where its messages begin, and the role of the user. */
export function roomOfPage(sql: postgres.Sql, user: string, room: string) {
  return sql`(select r.kind, r.last_rev, r.first_seq, m.role from ${roomAccess(sql, user, room)}) a`;
}

/** @throws {ParleyError} unless the user may read the room */
export function readPage(rows: readonly PageRow[]): { rev: number; found: StoredMessage[] } {
  const [first] = rows;
  requireMember(first);
  return { rev: first.last_rev, found: rows.filter((row) => row.seq !== null) as unknown as StoredMessage[] };
}

/**
 * A page of a room's messages as the JSON text of `history`'s output, and the rev of the room's head in it. Access, head
 * and messages come from one statement, so from one snapshot.
 */
export async function history(
  sql: postgres.Sql,
  user: string,
  input: ParsedInput<'history'>,
  epoch: string,
): Promise<{ json: string; rev: number }> {
  const { room, before, after, limit } = input;
  const reset = (before ?? after) !== undefined && input.epoch !== undefined && input.epoch !== epoch;
  const forward = after !== undefined;
  const bound = forward ? sql`t.seq > ${after}` : before === undefined ? sql`true` : sql`t.seq < ${before}`;
  const rows = await sql<PageRow[]>`
    select a.kind, a.role, a.last_rev, x.*
    from ${roomOfPage(sql, user, room)}
    left join lateral (
      select ${messageColumns(sql, user)}, u.name
      from messages t left join users u on u.id = t.sender_id
      where a.role is not null and t.room_id = ${room} and t.seq >= a.first_seq and ${bound}
      order by t.seq ${forward ? sql`asc` : sql`desc`} limit ${reset ? 0 : limit + 1}
    ) x on true`;
  const { rev, found } = readPage(rows);
  const page = found.slice(0, limit);
  if (!forward) page.reverse();
  const messages = page.map(messageJson).join(',');
  const [oldest, newest] = [page[0]?.seq ?? null, page.at(-1)?.seq ?? null];
  const rest = `"rev":${rev},"epoch":"${epoch}"${reset ? ',"reset":true' : ''}`;
  const more = found.length > limit;
  return { json: `{"messages":[${messages}],"before":${oldest},"after":${newest},"more":${more},${rest}}`, rev };
}
