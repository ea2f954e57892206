/** A process that sends one push, for tests that kill it. With `hang` its resolver never answers, so no call goes out. */
import type { LaneJob } from '../../../src/notifications/lanes/lanes.ts';
import type { VapidKeys } from '../../../src/notifications/push/vapid.ts';
import type { Resolve } from '../../../src/notifications/outgoing.ts';
import { openServer } from '../../../src/storage/database.ts';
import { setPushScene } from './scene.ts';

export interface PushWorkerSettings {
  readonly databaseUrl: string;
  readonly job: LaneJob;
  readonly vapid: VapidKeys;
  readonly hang: boolean;
  readonly timeoutMs: number;
}

const { databaseUrl, job, vapid, hang, timeoutMs } = JSON.parse(process.argv[2] ?? '') as PushWorkerSettings;
const { sql } = await openServer({ url: databaseUrl, poolSize: 2 });
const silent: Resolve = () => {
  console.log('resolving');
  return new Promise(() => {});
};
await setPushScene({ sql, vapid, timeoutMs, ...(hang ? { resolve: silent } : {}) }).run(job);
