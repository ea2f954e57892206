/** Stored mentions: the events to the mentioned users, and the list that each user may read later. */
import type { postgres } from '../storage/sql.ts';
import type { Envelope } from '../fanout/fanout.ts';
import type { ParsedInput } from '../protocol/commands.ts';
import type { EventData } from '../protocol/events.ts';
import { limits } from '../protocol/limits.ts';
import { messageColumns } from './message-columns.ts';
import { messageJson, type StoredMessage } from './message-json.ts';
import { pageCursor } from '../rooms/page-cursor.ts';

/** In place of a user: everybody in the room. */
const everybody = '*';
/** Before a user: a member who has blocked the sender, and whom a mention of everybody passes by. */
const blocker = '!';

/** @param mentioned JSON text of the users, from `note_sends` or `note_changes` */
export function mentionEvents(of: Omit<EventData<'mention'>, 'everybody'>, mentioned: string): Envelope[] {
  const users = JSON.parse(mentioned) as string[];
  const withheld = users.flatMap((user) => (user.startsWith(blocker) ? user.slice(blocker.length) : []));
  return users.flatMap((user): Envelope | [] => {
    if (user.startsWith(blocker)) return [];
    const data: EventData<'mention'> = { ...of, everybody: user === everybody };
    const json = JSON.stringify(data);
    if (!data.everybody) return { to: 'user', user, event: 'mention', json, about: of.room };
    // the list of blockers crosses Redis in one message, and Postgres cuts it off behind the limit
    if (withheld.length > limits.mentionBlockers) return [];
    // everybody is one publish, whatever the size of the room
    return { to: 'room', room: of.room, event: 'mention', json, ...(withheld.length > 0 && { withheld }) };
  });
}

type Row = StoredMessage & { readonly mentioned_at: number; readonly everybody: boolean };

/**
 * A page of the messages that mention a user, as the JSON text of the output of `mentions`. A mention of
 * everybody is stored once, so it is searched in each of the user's rooms, from the time of the join. (`'*'` stands in the text: the index
 * of these is partial, and no plan with a parameter can use it: 1.8 s for 200 rooms.)
 */
export async function mentions(sql: postgres.Sql, user: string, input: ParsedInput<'mentions'>): Promise<string> {
  const { limit } = input;
  const before = input.before === undefined ? undefined : pageCursor.decode(input.before);
  const bound =
    before === undefined
      ? sql`true`
      : sql`(n.at, n.room_id, n.seq) < (${before.at}::timestamptz, ${before.room}::text collate "C", ${before.seq}::bigint)`;
  // for a user without blocks, Postgres reads `blocks` once and no message for its sender
  const heeded = sql`not (exists (select from blocks k where k.user_id = ${user}) and is_from_blocked(${user}, n))`;
  const page = sql`order by n.at desc, n.room_id desc, n.seq desc limit ${limit + 1}`;
  const rows = await sql<Row[]>`
    select x.at as mentioned_at, x.everybody, ${messageColumns(sql, user)}, u.name
    from (
      select n.* from (
        (
          select n.room_id, n.seq, n.at, false as everybody
          from mentions n join members m on m.room_id = n.room_id and m.user_id = n.user_id
          join rooms r on r.id = n.room_id
          where n.user_id = ${user} and n.seq >= r.first_seq and ${heeded} and ${bound} ${page}
        ) union all (
          select e.room_id, e.seq, e.at, true
          from members m join rooms r on r.id = m.room_id cross join lateral (
            select n.room_id, n.seq, n.at
            from mentions n
            -- offset 0 keeps a lookup by the whole key: as a join, Postgres reads all rows of the room for each mention
            cross join lateral (
              select x.sender_id from messages x where x.room_id = n.room_id and x.seq = n.seq offset 0) t
            where n.room_id = m.room_id and n.user_id = '*' and n.at >= m.joined_at and t.sender_id <> m.user_id
              and ${heeded}
              and n.seq >= r.first_seq
              and not exists (
                select from mentions o where o.room_id = n.room_id and o.seq = n.seq and o.user_id = m.user_id offset 0)
              and ${bound} ${page}
          ) e
          where m.user_id = ${user}
        )
      ) n ${page}
    ) x
    cross join lateral (select y.* from messages y where y.room_id = x.room_id and y.seq = x.seq offset 0) t
    left join users u on u.id = t.sender_id
    order by x.at desc, x.room_id desc, x.seq desc`;
  const found = rows.slice(0, limit);
  const list = found.map(
    (row) => `{"at":${row.mentioned_at},"everybody":${row.everybody},"message":${messageJson(row)}}`,
  );
  const last = found.at(-1);
  const next = last === undefined ? null : pageCursor.encode({ at: last.mentioned_at, room: last.room, seq: last.seq });
  return `{"mentions":[${list.join(',')}],"before":${JSON.stringify(next)},"more":${rows.length > limit}}`;
}
