import type postgres from 'postgres';

/**
 * What `StoredMessage` takes of a row `t` of `messages`, but for the sender's name. Reactions are looked up by key, and
 * only where the row says that it has changed: a page of plain messages costs what it did without them.
 * @param viewer whose own marks are told; undefined: nobody's
 */
export function messageColumns(sql: postgres.ISql, viewer: string | undefined): postgres.Fragment {
  const mine =
    viewer === undefined
      ? sql`''`
      : sql`',"mine":' || exists (
            select from reactions o
            where o.room_id = t.room_id and o.seq = t.seq and o.user_id = ${viewer} and o.emoji = c.emoji
          )`;
  return sql`
    t.room_id as room, t.seq, t.rev, t.id, t.sender_id as from, t.body, t.reply_to, t.created_at as at,
    t.edited_at, t.deleted_at, t.changed,
    case when t.changed then (
      select '[' || string_agg(
        '{"emoji":' || to_json(c.emoji)::text || ',"count":' || c.count || ${mine} || '}', ',' order by c.first_rev
      ) || ']' from reaction_counts c where c.room_id = t.room_id and c.seq = t.seq
    ) end as reactions`;
}
