import type { postgres } from '../storage/sql.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { ParsedInput } from '../protocol/commands.ts';
import { rolesFor } from '../protocol/permissions.ts';
import { requireMember, roomAccess, type Access } from '../rooms/access.ts';

interface Row extends Access {
  known: boolean;
  version: number | null;
  body: string | null;
  edited_by: string;
  at: number;
}

const readers = rolesFor('versions');

/** The earlier bodies of a message, as the JSON text of the output of `message:versions`; from one snapshot. */
export async function versions(
  sql: postgres.Sql,
  user: string,
  { room, seq, before, limit }: ParsedInput<'message:versions'>,
): Promise<string> {
  const rows = await sql<Row[]>`
    select a.*, v.version, v.body, v.edited_by, v.at
    from (
      select r.kind, m.role, exists (select from messages t where t.room_id = r.id and t.seq = ${seq} and t.seq >= r.first_seq) as known
      from ${roomAccess(sql, user, room)}
    ) a
    left join lateral (
      select * from message_versions x
      where a.role = any (${readers}::text[]) and x.room_id = ${room} and x.seq = ${seq}
        ${before === undefined ? sql`` : sql`and x.version < ${before}`}
      order by x.version desc limit ${limit + 1}
    ) v on true`;
  const [first] = rows;
  requireMember(first);
  if (!readers.includes(first.role)) throw new ParleyError('forbidden');
  if (!first.known) throw new ParleyError('not_found');
  const found = rows.filter(({ version }) => version !== null);
  const page = found.slice(0, limit);
  const list = page.map(
    ({ version, body, edited_by: by, at }) => `{"version":${version},"body":${body},"by":"${by}","at":${at}}`,
  );
  const more = found.length > limit;
  return `{"versions":[${list.join(',')}],"before":${page.at(-1)?.version ?? null},"more":${more}}`;
}
