/** Why a user was notified of a message, or was not: the rows of the ledger, or the decision by the present state. */
import type { z } from 'zod';
import { ParleyError } from '../protocol/errors.ts';
import type { explanation, NotificationKind } from '../protocol/notifications.ts';
import { membership } from '../rooms/access.ts';
import type { postgres } from '../storage/sql.ts';
import { factsOf, laneOf, type FactRow } from './candidates.ts';
import { decide } from './decide.ts';

export type Explanation = z.output<typeof explanation>;

export interface Question {
  readonly user: string;
  readonly room: string;
  readonly seq: number;
  /** The user asks. A room that the user is not in is no room then, unless the user was notified of the message. */
  readonly isOwn?: boolean;
}

/** @throws {ParleyError} `not_found` if the room has had no such message */
export async function explain(sql: postgres.ISql, question: Question, now: number): Promise<Explanation[]> {
  // before the rows: a commit that has left the outbox has its rows
  const isExpanding = await isWaiting(sql, question);
  const stored = await storedRows(sql, question);
  if (stored.length === 0) return [await presentState(sql, question, isExpanding, now)];
  return stored.some(({ channel }) => channel === 'push') ? stored : [...stored, noPush];
}

const unstored = { device: null, kind: null, lane: null, stored: false, attempts: 0, error: null } as const;
const never = { due: null, created: null, updated: null } as const;
/** The user had no device when the message came. */
const noPush: Explanation = { channel: 'push', ...unstored, ...never, state: 'dropped', reason: 'no_device' };

function storedRows(sql: postgres.ISql, { user, room, seq }: Question): Promise<Explanation[]> {
  return sql<Explanation[]>`
    select n.channel, nullif(n.device, '') as device, n.kind, n.lane, n.state, n.reason, true as stored, n.attempts, n.error,
      case when n.state = 'waiting' then n.due_at end as due, n.created_at as created, n.updated_at as updated
    from notifications n
    where n.room_id = ${room} and n.seq = ${seq}::bigint and n.user_id = ${user}
    order by n.channel, n.device`.then((rows) => rows.map((row) => ({ ...row })));
}

async function presentState(
  sql: postgres.ISql,
  { user, room, seq, isOwn = false }: Question,
  isExpanding: boolean,
  now: number,
): Promise<Explanation> {
  const [row] = await sql<(FactRow & { exists: boolean; is_sender: boolean })[]>`
    select r.id as room_id, ${seq}::bigint as seq, ${user}::text as user_id, r.kind as room_kind, r.last_seq >= ${seq} as exists,
      case when r.kind = 'direct' then 'direct' else 'message' end as kind, coalesce(g.created_at, r.created_at) as at,
      case when g.seq is null or g.seq < r.first_seq then 'expired' when g.deleted_at is not null then 'deleted' end as gone,
      g.sender_id is not distinct from ${user} as is_sender, m.role is not null as is_member,
      exists (select from blocks b where b.user_id = ${user} and b.blocked_id = g.sender_id) as has_blocked,
      coalesce(m.last_read_seq, 0) as read_seq, p.document as of_room, u.document as of_user
    from rooms r left join ${membership(sql, user)}
    left join messages g on g.room_id = r.id and g.seq = ${seq}
    left join preferences p on p.user_id = ${user} and p.room_id = r.id
    left join preferences u on u.user_id = ${user} and u.room_id = ''
    where r.id = ${room}`;
  if (row?.exists !== true || (isOwn && !row.is_member))
    throw new ParleyError('not_found', 'The room has no such message.');
  const kind: NotificationKind = row.kind;
  const none = { channel: 'app', ...unstored, ...never } as const;
  if (row.is_sender) return { ...none, state: 'dropped', reason: 'read' };
  // no row and no reason yet: the commit waits in the outbox
  if (isExpanding) return { ...none, state: 'waiting', reason: null };
  const decision = decide(factsOf(row, laneOf(kind, undefined), undefined), now);
  // the level that lets the message through now was set after the message
  const reason = decision.act === 'drop' ? decision.reason : 'level';
  return { ...none, state: 'dropped', reason };
}

async function isWaiting(sql: postgres.ISql, { room, seq }: Question): Promise<boolean> {
  const [row] = await sql<{ waits: boolean }[]>`
    select exists (
      select from outbox o, jsonb_array_elements(o.entries) as e (v)
      where not o.notified and e.v ->> 'room' = ${room}
        and ${seq} between (e.v ->> 'seq')::bigint
          and (e.v ->> 'seq')::bigint + (e.v ->> 'to')::bigint - (e.v ->> 'from')::bigint
    ) as waits`;
  return row?.waits === true;
}
