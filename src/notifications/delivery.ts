/**
 * The handler of the lanes: decides again about a row that waited, with the facts of that moment. Jobs that come together
 * share two statements. The change of the state is the delivery of the channel `app`, so a job that runs twice delivers once.
 */
import { Batcher } from '../storage/batcher.ts';
import type { postgres } from '../storage/sql.ts';
import type { Activity } from '../presence/activity.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { Lane } from '../protocol/lanes.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { announce, type AnnounceParts } from './announce.ts';
import { factsOf, type FactRow } from './candidates.ts';
import { decide } from './decide.ts';
import type { JobHandler, JobResult, LaneJob } from './lanes/lanes.ts';
import { settleRows, stateOf, type LedgerRow } from './ledger-rows.ts';

export interface DeliveryParts extends AnnounceParts {
  readonly sql: postgres.Sql;
  readonly activity: Pick<Activity, 'of'>;
  readonly now: () => number;
  readonly metrics: Metrics;
}

type WaitingRow = FactRow & { readonly id: string; readonly lane: Lane };

const done: JobResult = { done: true };
const jobsAtOnce = 500;

export function deliveryHandler(parts: DeliveryParts): JobHandler {
  const batcher = new Batcher<LaneJob, JobResult>((jobs) => deliver(jobs, parts), {
    maxBatch: jobsAtOnce,
    maxWaiting: 10_000,
  });
  return (job) => batcher.add(job);
}

async function deliver(jobs: readonly LaneJob[], parts: DeliveryParts): Promise<(JobResult | Error)[]> {
  const waiting = await waitingRows(parts.sql, jobs);
  const active = await parts.activity.of(waiting.map(({ user_id: user }) => user));
  const now = parts.now();
  const decided = waiting.map((row): LedgerRow => {
    const { id, at, room_id: room, seq, user_id: user, kind, lane } = row;
    const rooms = active.get(user);
    const where = rooms === undefined ? undefined : rooms.has(room) ? 'room' : 'elsewhere';
    const decision = decide(factsOf(row, lane, where), now);
    return { id, at, room, seq, user, channel: 'app', device: '', kind, lane, ...stateOf(decision, now) };
  });
  const settled = await settleRows(parts.sql, decided);
  const changed = decided.filter(({ id }) => settled.has(id));
  for (const row of changed) parts.metrics.notifications.count(row);
  await announce(
    changed.filter(({ state }) => state === 'sent'),
    parts,
  );
  const again = new Map(changed.flatMap(({ id, state, due }) => (state === 'waiting' ? [[id, due] as const] : [])));
  return jobs.map(({ id }) => {
    const due = again.get(id);
    return due === undefined ? done : { again: due };
  });
}

/** Rows that are read, dropped or delivered already need nothing more. */
function waitingRows(sql: postgres.Sql, jobs: readonly LaneJob[]): Promise<WaitingRow[]> {
  const keys = JSON.stringify(jobs.map(({ id, data }) => [id, timeOf(data)]));
  return sql<WaitingRow[]>`
    select n.id, n.at, n.lane, n.kind, n.room_id, n.seq, n.user_id, coalesce(r.kind, 'group') as room_kind,
      case when m.seq is null or m.seq < r.first_seq then 'expired' when m.deleted_at is not null then 'deleted' end as gone,
      x.user_id is not null as is_member,
      exists (select from blocks b where b.user_id = n.user_id and b.blocked_id = m.sender_id) as has_blocked,
      coalesce(x.last_read_seq, 0) as read_seq, p.document as of_room, u.document as of_user
    from jsonb_array_elements(${keys}::text::jsonb) as k (v)
    join notifications n on n.id = (k.v ->> 0)::uuid and n.at = to_timestamp((k.v ->> 1)::bigint / 1000.0)
    left join rooms r on r.id = n.room_id
    left join messages m on m.room_id = n.room_id and m.seq = n.seq
    left join members x on x.room_id = n.room_id and x.user_id = n.user_id
    left join preferences p on p.user_id = n.user_id and p.room_id = n.room_id
    left join preferences u on u.user_id = n.user_id and u.room_id = ''
    where n.state = 'waiting'`;
}

function timeOf(data: LaneJob['data']): number {
  const { at } = (typeof data === 'object' && data !== null ? data : {}) as Readonly<Record<string, unknown>>;
  if (typeof at !== 'number') throw new ParleyError('internal', 'The job of a notification has no time.');
  return at;
}
