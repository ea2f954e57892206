import type { postgres } from '../storage/sql.ts';
import { messageColumns } from '../messages/message-columns.ts';
import { messageJson, type StoredMessage } from '../messages/message-json.ts';
import type { Personal, ReplayRow } from './room-replay.ts';
import type { Recent, RecentRows } from './replay-buffer.ts';

/** With more of them a message is read for each viewer alone. */
const maxReactors = 100;
type Reactors = readonly (readonly [emoji: string, user: string])[];
type Row = { wanted: string; head: number; purged: number; rows: number } & {
  [K in keyof StoredMessage | 'reactors']: (StoredMessage & { reactors: string | null })[K] | null;
};

/** Bytes of one room: the rooms of one call take at most some megabytes. */
const maxBytes = 256 * 1024;

/** The last rows of each room, at most `limit`, for any viewer. A deleted room is left out. */
export async function recentRows(
  sql: postgres.Sql,
  wanted: readonly Recent[],
  limit: number,
): Promise<Map<string, RecentRows>> {
  const rooms = wanted.map(({ room }) => room);
  const afters = wanted.map(({ after }) => after);
  const found = await sql<Row[]>`
    select a.room as wanted, r.last_rev as head, r.purged_rev as purged, x.*
    from unnest(${rooms}::text[], ${afters}::bigint[]) as a (room, after)
    join rooms r on r.id = a.room
    left join lateral (
      select z.* from (
        select y.*, count(*) over () as rows, sum(y.bytes) over (order by y.rev desc) - y.bytes as passed from (
          select ${messageColumns(sql, undefined)}, u.name, coalesce(octet_length(t.body::text), 0) as bytes,
            case when t.changed then (
              select json_agg(json_build_array(c.emoji, c.user_id))::text from (
                select m.emoji, m.user_id from reactions m
                where m.room_id = t.room_id and m.seq = t.seq limit ${maxReactors + 1}
              ) c
            ) end as reactors
          from messages t left join users u on u.id = t.sender_id
          where t.room_id collate "POSIX" = a.room and t.rev > a.after order by t.rev desc limit ${limit + 1}
        ) y
      ) z where z.passed < ${maxBytes}
    ) x on true
    order by a.room, x.rev desc`;
  const byRoom = new Map<string, Row[]>();
  for (const row of found) {
    const rows = byRoom.get(row.wanted);
    if (rows === undefined) byRoom.set(row.wanted, [row]);
    else rows.push(row);
  }
  return new Map(
    wanted.flatMap(({ room, after }) => {
      const rows = byRoom.get(room);
      if (rows === undefined) return [];
      const recent = recentOf(rows, after, limit);
      // a client with an earlier cursor may hold expired messages, and gets `reset` from Postgres
      return [[room, { ...recent, after: Math.max(recent.after, rows[0]?.purged ?? 0) }]];
    }),
  );
}

/** @param found newest first; a single row with nulls if the room has no message */
function recentOf(found: readonly Row[], after: number, limit: number): RecentRows {
  const rows: ReplayRow[] = [];
  const head = found[0]?.head ?? after;
  for (const row of found) {
    if (row.seq === null) break;
    const { rev } = row as unknown as StoredMessage;
    const reactors = row.reactors === null ? [] : (JSON.parse(row.reactors) as Reactors);
    if (reactors.length > maxReactors) return { rows: rows.toReversed(), after: rev, head };
    if (rows.length === limit) break;
    const json = messageJson(row as unknown as StoredMessage);
    rows.push({ rev, text: reactors.length === 0 ? json : personal(json, reactors) });
  }
  const isWhole = rows.length === (found[0]?.rows ?? 0); // not cut by bytes or by the limit
  return { rows: rows.toReversed(), after: isWhole ? after : (rows.at(-1)?.rev ?? after + 1) - 1, head };
}

/** The reactions come last before the closing braces, so text in a body cannot be taken for them. */
function personal(json: string, reactors: Reactors): Personal {
  const from = json.lastIndexOf(',"reactions":[');
  const parts: string[] = [];
  const sets: ReadonlySet<string>[] = [];
  let done = 0;
  for (const match of json.slice(from).matchAll(/\{"emoji":("[^"]*"),"count":\d+/g)) {
    const end = from + match.index + match[0].length;
    const emoji: unknown = JSON.parse(match[1] ?? '""');
    parts.push(json.slice(done, end));
    sets.push(new Set(reactors.filter(([mark]) => mark === emoji).map(([, user]) => user)));
    done = end;
  }
  return { parts: [...parts, json.slice(done)], reactors: sets };
}
