/** The columns of `ChannelRow` beside the facts, for `dueRows`. */
import type { postgres } from '../../storage/sql.ts';

export function channelColumns(sql: postgres.ISql): postgres.Fragment {
  return sql`, n.device, n.attempts, coalesce(n.replayed_at, n.created_at) as noted_at, d.channel as device_kind, d.address`;
}

/** The device is `d`. A device that another user has registered meanwhile is no device of the row. */
export function channelJoins(sql: postgres.ISql): postgres.Fragment {
  return sql`left join devices d on d.id = n.device::uuid and d.user_id = n.user_id`;
}
