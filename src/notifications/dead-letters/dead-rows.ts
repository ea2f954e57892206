/** The statements on dead letters. Notifications and deliveries of webhooks are rows of two tables, and one list. */
import type { DeadLetter, DeadLetterChoice, DeadLetterFilter } from '../../protocol/dead-letters.ts';
import type { postgres } from '../../storage/sql.ts';

/** A place in the order of deaths. Many die within a millisecond. */
export interface DeadPlace {
  /** Microseconds since 1970. */
  readonly micros: number;
  readonly id: string;
}

export interface Dead extends DeadPlace {
  readonly letter: DeadLetter;
}

/** Newest first. */
export function listDead(
  sql: postgres.ISql,
  filter: DeadLetterFilter,
  before: DeadPlace | undefined,
  limit: number,
): Promise<readonly Dead[]> {
  const isBefore = (at: postgres.Fragment, id: postgres.Fragment): postgres.Fragment =>
    before === undefined
      ? sql`true`
      : sql`(${at}, ${id}) < (timestamptz 'epoch' + ${before.micros}::bigint * interval '1 microsecond', ${before.id}::uuid)`;
  return sql<(DeadLetter & DeadPlace)[]>`
    select l.*, (extract(epoch from l.at) * 1000000)::bigint as micros from (
      (select n.id, n.channel, n.device as target, n.user_id as user, n.room_id as room, n.seq, n.kind, n.error,
        n.attempts, n.replays, n.updated_at as at
      from notifications n
      where ${ofNotifications(sql, filter)} and ${isBefore(sql`n.updated_at`, sql`n.id`)}
      order by n.updated_at desc, n.id desc limit ${limit})
      union all
      (select d.id, 'webhook', d.webhook::text, null, d.room, null, d.event, d.last_error, d.attempts, d.replays, d.ended_at
      from webhook_deliveries d
      where ${ofDeliveries(sql, filter)} and ${isBefore(sql`d.ended_at`, sql`d.id`)}
      order by d.ended_at desc, d.id desc limit ${limit})
    ) l order by l.at desc, l.id desc limit ${limit}`.then((rows) =>
    rows.map(({ micros, ...letter }) => ({ micros, id: letter.id, letter })),
  );
}

export interface DeadKey {
  readonly id: string;
  readonly at: number;
}

/** The dead notifications of a choice, the oldest first. `at` is the time of the message, a part of the key. */
export function deadNotifications(
  sql: postgres.ISql,
  choice: DeadLetterChoice,
  limit: number,
): Promise<readonly DeadKey[]> {
  return sql<DeadKey[]>`
    select n.id, n.at from notifications n where ${ofNotifications(sql, choice)} and ${ofIds(sql, sql`n.id`, choice)}
    order by n.updated_at, n.id limit ${limit}`;
}

export interface DeadDelivery {
  readonly id: string;
  readonly replays: number;
  readonly active: boolean;
}

/** The dead deliveries of a choice, in the order in which they were made. */
export function deadDeliveries(
  sql: postgres.ISql,
  choice: DeadLetterChoice,
  limit: number,
): Promise<readonly DeadDelivery[]> {
  return sql<DeadDelivery[]>`
    select d.id, d.replays, w.state = 'active' as active
    from webhook_deliveries d join webhooks w on w.id = d.webhook
    where ${ofDeliveries(sql, choice)} and ${ofIds(sql, sql`d.id`, choice)}
    order by d.n limit ${limit}`;
}

function ofNotifications(sql: postgres.ISql, { channel, reason, room, since }: DeadLetterFilter): postgres.Fragment {
  return sql`n.state = 'dead'
    and ${channel === undefined ? sql`true` : sql`n.channel = ${channel}`}
    and ${room === undefined ? sql`true` : sql`n.room_id = ${room}`}
    and ${since === undefined ? sql`true` : sql`n.updated_at >= ${since}::timestamptz`}
    and ${reason === undefined ? sql`true` : sql`position(lower(${reason}) in lower(n.error)) > 0`}`;
}

function ofDeliveries(sql: postgres.ISql, { channel, reason, room, since }: DeadLetterFilter): postgres.Fragment {
  return sql`d.state = 'dead'
    and ${channel === undefined || channel === 'webhook' ? sql`true` : sql`false`}
    and ${room === undefined ? sql`true` : sql`d.room = ${room}`}
    and ${since === undefined ? sql`true` : sql`d.ended_at >= ${since}::timestamptz`}
    and ${reason === undefined ? sql`true` : sql`position(lower(${reason}) in lower(d.last_error)) > 0`}`;
}

function ofIds(sql: postgres.ISql, id: postgres.Fragment, { ids }: DeadLetterChoice): postgres.Fragment {
  return ids === undefined ? sql`true` : sql`${id} = any (${ids}::uuid[])`;
}
