import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { openLanes } from '../../../src/notifications/lanes/open.ts';
import { openRedis } from '../../../src/storage/redis.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { openLanesOf, type OpenedLanes } from '../../support/lanes.ts';
import { silentLog } from '../../support/messaging.ts';
import { startOwnRedis, type OwnService } from '../../support/services.ts';
import { until } from '../../support/until.ts';

let service: OwnService;
beforeAll(async () => {
  service = await startOwnRedis();
});
afterAll(() => service.stop());

const opened: OpenedLanes[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
});

const command = async (...words: [string, ...string[]]): Promise<void> => {
  const redis = new Redis(service.url);
  await redis.call(...words);
  redis.disconnect();
};

async function running(): Promise<{ lanes: OpenedLanes['lanes']; ran: string[] }> {
  const one = await openLanesOf({ redisUrl: service.url, prefix: 'outage:' });
  opened.push(one);
  const ran: string[] = [];
  one.lanes.work({ test: ({ id }) => (ran.push(id), Promise.resolve({ done: true })) });
  return { lanes: one.lanes, ran };
}

const job = (id: string) => ({ id, lane: 'high', kind: 'test', data: null }) as const;

it('refuses jobs with a reason while Redis is down, and runs them after its restart', async () => {
  const { lanes, ran } = await running();
  await lanes.add([job('before')]);
  await until('the first job ran', () => ran.includes('before'));
  await service.kill('SIGKILL');
  const refused = await until('an add is refused', () =>
    lanes.add([job('during')]).then(
      () => undefined,
      (error: Error) => error,
    ),
  );
  expect(refused).toMatchObject({ name: 'ParleyError', code: 'unavailable' });
  expect(refused.message).toMatch(/^Could not add jobs of the lanes: /);
  await service.start();
  await until(
    'an add succeeds',
    () =>
      lanes.add([job('after')]).then(
        () => true,
        () => false,
      ),
    30_000,
  );
  await until('the job ran', () => ran.includes('after'), 30_000);
});

it('runs new jobs after a flush, and an added job again', async () => {
  const { lanes, ran } = await running();
  await lanes.add([{ ...job('lost'), notBefore: Date.now() + 60_000 }]);
  await command('FLUSHALL');
  expect((await lanes.depths()).high.delayed).toBe(0);
  await lanes.add([job('lost'), job('new')]);
  await until('both jobs ran', () => ran.includes('lost') && ran.includes('new'));
});

it('does not start with a Redis that may evict jobs, unless a setting allows that', async () => {
  await command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
  const redis = await openRedis({ url: service.url, log: silentLog });
  const metrics = new Metrics().lanes;
  const slots = { critical: 1, high: 1, normal: 1, low: 1, batch: 1 };
  const open = (allowEviction: boolean) =>
    openLanes({ prefix: 'p:', slots, allowEviction }, { redis, database: undefined, metrics, log: silentLog });
  await until('the policy is known', () => redis.evictionPolicy);
  await expect(open(false)).rejects.toThrow(
    'Redis may evict jobs of notifications (maxmemory-policy allkeys-lru). Set maxmemory-policy noeviction, or PARLEY_LANE_EVICTION=allow.',
  );
  const lanes = await open(true);
  await lanes.stop();
  await redis.close();
  await command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
});
