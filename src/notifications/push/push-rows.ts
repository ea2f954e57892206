/** The rows of pushes with their devices, and as much of their messages as a push may show. */
import type { LaneJob } from '../lanes/lanes.ts';
import type { ChannelRow } from '../channels/channel.ts';
import { channelColumns, channelJoins } from '../channels/channel-columns.ts';
import type { Facts } from '../decide.ts';
import { dueRows } from '../due-rows.ts';
import type { postgres } from '../../storage/sql.ts';
import { limits } from '../../protocol/limits.ts';

export interface PushRow extends ChannelRow {
  readonly replays: number;
  /** JSON texts, as the other columns of JSON. */
  readonly secrets: string | null;
  readonly body: string | null;
  readonly sender: string | null;
  readonly sender_name: string | null;
  readonly room_name: string | null;
  /** The names of the users that the message mentions, by id. */
  readonly mentioned: string | null;
  /** A later push of the room has reached the device. */
  readonly is_replaced: boolean;
  /** Pushes to the device within a minute. */
  readonly lately: number;
  /** Unread notifications of the user in the app. */
  readonly unread: number;
}

/** A push shows the beginning of a text, which has no room for more names. */
const mostMentioned = 50;

/** @param states a condition on the row `n`; by default the row waits for a delivery */
export function pushRows(
  sql: postgres.Sql,
  jobs: readonly Pick<LaneJob, 'id' | 'data'>[],
  states?: postgres.Fragment,
): Promise<readonly PushRow[]> {
  const more = {
    columns: sql`${channelColumns(sql)}, d.secrets, n.replays, g.body, g.sender_id as sender, s.name as sender_name, r.name as room_name,
      (select jsonb_object_agg(x.user_id, y.name) from (
        select user_id from mentions where room_id = n.room_id and seq = n.seq order by user_id limit ${mostMentioned}
      ) x join users y on y.id = x.user_id where y.name is not null) as mentioned,
      exists (
        select from notifications l where l.user_id = n.user_id and l.room_id = n.room_id and l.seq > n.seq
          and l.channel = 'push' and l.device = n.device and l.state in ('sent', 'shown') and l.at >= n.at) as is_replaced,
      (select count(*)::int from notifications l where l.user_id = n.user_id and l.channel = 'push' and l.device = n.device
        and l.at > clock_timestamp() - interval '1 min' and l.state in ('sent', 'shown', 'read')) as lately,
      ${unreadOf(sql)} as unread`,
    joins: sql`${channelJoins(sql)} left join users s on s.id = g.sender_id`,
  };
  return dueRows<PushRow>(sql, jobs, more, states);
}

/** The facts for `decide` that only pushes have. @param ttlMs a push is of no use after this time since its message */
export function pushFacts({ at, is_replaced: isReplaced, lately }: PushRow, ttlMs: number): Partial<Facts> {
  return { expires: at + ttlMs, isReplaced, lately };
}

/** The number of the bell, for a user `n.user_id`. */
export function unreadOf(sql: postgres.ISql): postgres.Fragment {
  return sql`(
    select count(*)::int from (
      select from notifications a join members am on am.room_id = a.room_id and am.user_id = a.user_id
      where a.user_id = n.user_id and a.channel = 'app' and a.state in ('sent', 'shown') and a.seq > am.last_read_seq
      limit ${limits.unreadCount}
    ) a)`;
}
