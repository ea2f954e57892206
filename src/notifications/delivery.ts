/**
 * The handler of the rows of the app: decides again about a row that waited, with the facts of that moment. Jobs that come together
 * share two statements. The change of the state is the delivery of the channel `app`, so a job that runs twice delivers once.
 */
import { Batcher } from '../storage/batcher.ts';
import type { postgres } from '../storage/sql.ts';
import type { Activity } from '../presence/activity.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { announce, type AnnounceParts } from './announce.ts';
import { factsOf } from './candidates.ts';
import { decide } from './decide.ts';
import { dueRows } from './due-rows.ts';
import type { JobHandler, JobResult, LaneJob } from './lanes/lanes.ts';
import { settleRows, stateOf, type LedgerRow } from './ledger-rows.ts';

export interface DeliveryParts extends AnnounceParts {
  readonly sql: postgres.Sql;
  readonly activity: Pick<Activity, 'of'>;
  readonly now: () => number;
  readonly metrics: Metrics;
}

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
  const waiting = await dueRows(parts.sql, jobs);
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
