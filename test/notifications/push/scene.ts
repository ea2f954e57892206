/** Pushes on a database, without a server: the jobs that the lanes would get are in a list. */
import type postgres from 'postgres';
import { MemoryFanout } from '../../../src/fanout/memory.ts';
import type { JobResult, LaneJob } from '../../../src/notifications/lanes/lanes.ts';
import { Notifier } from '../../../src/notifications/notifier.ts';
import { Outgoing, type Resolve } from '../../../src/notifications/outgoing.ts';
import { openPush } from '../../../src/notifications/push/open.ts';
import type { VapidKeys } from '../../../src/notifications/push/vapid.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { createWriter, send, silentLog } from '../../support/messaging.ts';
import { parseMetrics, type MetricValues } from '../../support/metrics.ts';
import { serviceNetworks, type Browser } from './push-service.ts';

export const day = 86_400_000;
export const pushSettings = { subject: 'mailto:a@example.com', ttlMs: day, retryMs: 10, giveUpMs: day };

/** No connection of anybody is active. */
export const nobody = { of: () => Promise.resolve(new Map<string, ReadonlySet<string>>()) };

export interface PushScene {
  /** Jobs that wait, in the order in which they came. */
  readonly jobs: LaneJob[];
  /** Sends a message of `owner` that mentions everybody of the room, and expands its commit. @returns its seq */
  say(room: string, text: string): Promise<number>;
  run(job: LaneJob | undefined): Promise<JobResult>;
  metrics(): Promise<MetricValues>;
}

export interface PushSceneOptions {
  readonly sql: postgres.Sql;
  readonly vapid: VapidKeys;
  readonly timeoutMs?: number;
  readonly resolve?: Resolve;
  /** The connection of the notifier, where a test watches its statements. */
  readonly ofNotifier?: postgres.Sql;
}

export function setPushScene({
  sql,
  vapid,
  timeoutMs = 10_000,
  resolve,
  ofNotifier = sql,
}: PushSceneOptions): PushScene {
  const metrics = new Metrics();
  const jobs: LaneJob[] = [];
  const lanes = { add: (more: readonly LaneJob[]) => Promise.resolve(void jobs.push(...more)) };
  const { writer } = createWriter(sql);
  const common = { activity: nobody, lanes, now: Date.now, metrics, log: silentLog };
  const fanout = new MemoryFanout(() => {});
  const presence = { read: () => Promise.resolve([]) };
  const notifier = new Notifier({ ...common, on: true, sql: ofNotifier, fanout, presence, outwardLanes: lanes });
  const outgoing = new Outgoing(
    { allowedNetworks: serviceNetworks.split(','), timeoutMs, maxAnswerBytes: 65_536 },
    ...(resolve === undefined ? [] : [resolve]),
  );
  const settings = { ...pushSettings, timeoutMs, vapid };
  const handlers = openPush({ ...common, settings, database: { background: sql }, outgoing });
  return {
    jobs,
    async say(room, text) {
      const { seq } = await writer.send(send(room, 'owner', { text }, { mentions: { names: [], everybody: true } }));
      notifier.start();
      await notifier.ran();
      await notifier.stop();
      return seq;
    },
    run(job) {
      const handler = job && handlers[job.kind];
      if (job === undefined || handler === undefined) throw new Error('the test needs a job of a push');
      return handler(job, new AbortController().signal);
    },
    metrics: async () => parseMetrics(await metrics.text()),
  };
}

/** Registers a browser, as `device:register` does. @returns the id of the device */
export async function storeDevice(sql: postgres.Sql, user: string, { subscription }: Browser): Promise<string> {
  const { endpoint, keys } = subscription;
  const [row] = await sql<[{ id: string }]>`
    insert into devices (id, user_id, channel, address, secrets)
    values (gen_random_uuid(), ${user}, 'web', ${endpoint}, ${JSON.stringify(keys)}::text::jsonb) returning id`;
  return row.id;
}

export interface StoredPush {
  readonly state: string;
  readonly reason: string | null;
  readonly attempts: number;
  readonly error: string | null;
}

export async function storedPush(sql: postgres.Sql, device: string): Promise<StoredPush | undefined> {
  const [row] = await sql<StoredPush[]>`
    select state, reason, attempts, error from notifications where device = ${device} order by seq desc limit 1`;
  return row;
}
