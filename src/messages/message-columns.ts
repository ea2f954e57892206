import type { postgres } from '../storage/sql.ts';

/**
 * The columns of `StoredMessage` from a row `t` of `messages`, without the sender's name. Later changes are one column, null
 * for a message as it was sent, and the thread is another. So a page of unchanged messages costs nothing more. Reactions and
 * threads are found by key.
 * @param viewer the user whose reactions are `mine`; undefined: the reactions have no `mine`
 */
export function messageColumns(sql: postgres.ISql, viewer: string | undefined): postgres.Fragment {
  return sql`
    t.room_id as room, t.seq, t.rev, t.id, t.sender_id as from, t.body, t.reply_to, t.created_at as at,
    ${changes(sql, viewer)} as changes,
    ${thread(sql)} as thread`;
}

/**
 * `messageJson` in SQL, of a row `t` of `messages` and the row `u` of its sender. A page of a hundred messages is one value
 * then, and the driver reads one value instead of a thousand. A test compares the two.
 * @param viewer as in `messageColumns`
 */
export function messageText(sql: postgres.ISql, viewer: string): postgres.Fragment {
  return sql`concat(
    '{"room":"', t.room_id, '","seq":', t.seq, ',"rev":', t.rev, ',"id":"', t.id, '","from":"', t.sender_id,
    '","name":', coalesce(to_json(u.name)::text, 'null'), ',"body":', coalesce(t.body::text, 'null'),
    ',"replyTo":' || t.reply_to, ',"at":', floor(extract(epoch from t.created_at) * 1000),
    ${changes(sql, viewer)}, ${thread(sql)}, '}')`;
}

function changes(sql: postgres.ISql, viewer: string | undefined): postgres.Fragment {
  const mine = viewer === undefined ? sql`''` : sql`',"mine":' || (c.emoji = any (o.own))`;
  const own =
    viewer === undefined
      ? sql``
      : sql`cross join (select array(
          select r.emoji from reactions r where r.room_id = t.room_id and r.seq = t.seq and r.user_id = ${viewer}
        ) as own) o`;
  return sql`
    case when t.changed then concat(
      ',"editedAt":' || (extract(epoch from t.edited_at) * 1000)::bigint,
      ',"deletedAt":' || (extract(epoch from t.deleted_at) * 1000)::bigint,
      ',"reactions":[' || (
        select string_agg(
          '{"emoji":' || to_json(c.emoji)::text || ',"count":' || c.count || ${mine} || '}', ',' order by c.first_rev
        ) from reaction_counts c ${own} where c.room_id = t.room_id and c.seq = t.seq
      ) || ']',
      pin_state(t)
    ) end`;
}

function thread(sql: postgres.ISql): postgres.Fragment {
  return sql`
    case when t.thread is not null then (
      select thread_state(h) from threads h where h.room_id = t.room_id and h.root = t.thread
    ) end`;
}
