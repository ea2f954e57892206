import type { postgres } from '../storage/sql.ts';

/**
 * What `StoredMessage` takes of a row `t` of `messages`, but for the sender's name. What was done to it since comes as one
 * column, null for a message as it was sent, and its thread as another: a page of plain ones costs what it did without.
 * Reactions and threads are looked up by key.
 * @param viewer whose own marks are told; undefined: nobody's
 */
export function messageColumns(sql: postgres.ISql, viewer: string | undefined): postgres.Fragment {
  const mine = viewer === undefined ? sql`''` : sql`',"mine":' || (c.emoji = any (o.own))`;
  const own =
    viewer === undefined
      ? sql``
      : sql`cross join (select array(
          select r.emoji from reactions r where r.room_id = t.room_id and r.seq = t.seq and r.user_id = ${viewer}
        ) as own) o`;
  return sql`
    t.room_id as room, t.seq, t.rev, t.id, t.sender_id as from, t.body, t.reply_to, t.created_at as at,
    case when t.changed then concat(
      ',"editedAt":' || (extract(epoch from t.edited_at) * 1000)::bigint,
      ',"deletedAt":' || (extract(epoch from t.deleted_at) * 1000)::bigint,
      ',"reactions":[' || (
        select string_agg(
          '{"emoji":' || to_json(c.emoji)::text || ',"count":' || c.count || ${mine} || '}', ',' order by c.first_rev
        ) from reaction_counts c ${own} where c.room_id = t.room_id and c.seq = t.seq
      ) || ']',
      pin_state(t)
    ) end as changes,
    case when t.thread is not null then (
      select thread_state(h) from threads h where h.room_id = t.room_id and h.root = t.thread
    ) end as thread`;
}
