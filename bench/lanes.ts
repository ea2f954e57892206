/** Jobs a second into and out of the lanes, for each store. `node --import tsx bench/lanes.ts [jobs]` */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LaneStore } from '../test/support/lanes.ts';
import { openLanesOf } from '../test/support/lanes.ts';
import { startPostgres, startRedis } from '../test/support/services.ts';
import { until } from '../test/support/until.ts';

const count = Number(process.argv[2] ?? 5000);

async function measure(name: string, store: LaneStore): Promise<void> {
  const opened = await openLanesOf(store);
  const { lanes } = opened;
  const jobs = Array.from({ length: count }, (_, n) => ({
    id: crypto.randomUUID(),
    lane: 'critical' as const,
    kind: 'bench',
    data: { n },
  }));
  const from = performance.now();
  await lanes.add(jobs);
  const added = performance.now();
  let ran = 0;
  lanes.work({ bench: () => (ran++, Promise.resolve({ done: true })) });
  await until('all jobs ran', () => ran === count, 600_000);
  const out = performance.now();
  const rate = (ms: number): string => Math.round((count / ms) * 1000).toLocaleString('en');
  console.log(
    `${name.padEnd(18)} ${rate(added - from).padStart(8)} jobs/s in  ${rate(out - added).padStart(8)} jobs/s out`,
  );
  await opened.close();
}

const redis = await startRedis();
await measure('Redis', { redisUrl: redis.url, prefix: `bench-${process.pid}:` });
await redis.stop();
const postgres = await startPostgres();
await measure('Postgres', { databaseUrl: postgres.url, prefix: '' });
await postgres.stop();
const folder = mkdtempSync(join(tmpdir(), 'parley-bench-'));
await measure('embedded database', { dataDir: folder, prefix: '' });
rmSync(folder, { recursive: true });
