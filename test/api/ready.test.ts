/** `/ready` is public: it costs little however often it is requested, answers within a second, and names no address. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pause } from '../../src/jobs/clock.ts';
import { Health, NotReady } from '../../src/telemetry/health.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { startOwnRedis, type OwnService } from '../support/services.ts';
import { until } from '../support/until.ts';

describe('readiness', () => {
  it('runs one round for requests at the same time, and keeps its answer for a second', async () => {
    const clock = new ManualClock();
    const health = new Health(undefined, clock);
    let runs = 0;
    health.add({
      name: 'part',
      run: async () => {
        runs++;
        await pause(20, clock);
      },
    });
    const reports = Array.from({ length: 100 }, () => health.report());
    await clock.pass(20);
    await Promise.all(reports);
    await health.report();
    expect(runs).toBe(1);
    await clock.pass(1000);
    const later = health.report();
    await clock.pass(20);
    await later;
    expect(runs).toBe(2);
    health.stop();
    expect(await health.report()).toMatchObject({ ready: false, checks: { running: { reason: 'stopping' } } });
    expect(runs).toBe(2);
  });

  it('does not start a check again that has not answered', async () => {
    const clock = new ManualClock();
    const health = new Health(undefined, clock);
    let runs = 0;
    health.add({ name: 'hangs', run: () => (runs++, new Promise(() => {})) });
    const first = health.report(10);
    await clock.pass(10);
    expect(await first).toMatchObject({
      ready: false,
      checks: { hangs: { reason: 'no answer in 10 ms' } },
    });
    await clock.pass(1000);
    const second = health.report(10);
    await clock.pass(10);
    expect((await second).ready).toBe(false);
    expect(runs).toBe(1);
  });

  it('shows the reasons that are for the public, and no other', async () => {
    const health = new Health();
    health.add({ name: 'said', run: () => Promise.reject(new NotReady('it is read-only')) });
    health.add({ name: 'met', run: () => Promise.reject(new Error('connect ECONNREFUSED 10.1.2.3:5432')) });
    const { checks } = await health.report();
    expect(checks['said']?.reason).toBe('it is read-only');
    expect(checks['met']?.reason).toBe('failed; the log of this node has the reason');
  });
});

describe('/ready while a service hangs', () => {
  let database: TestDatabase;
  let proxy: Proxy;
  let redis: OwnService;
  let server: TestServer;
  beforeAll(async () => {
    database = await createTestDatabase();
    proxy = await startProxy(database.url);
    redis = await startOwnRedis();
    const { url } = proxy;
    server = await startServer({ REDIS_URL: redis.url, DATABASE_URL: url }, database);
  });
  afterAll(async () => {
    process.kill(redis.pid(), 'SIGCONT');
    proxy.restore();
    await server.stop();
    await redis.stop();
    await proxy.close();
    await database.drop();
  });

  const poll = async (): Promise<{ status: number; ms: number; text: string }> => {
    const from = performance.now();
    const response = await fetch(`${server.url}/ready`);
    const text = await response.text();
    return { status: response.status, ms: performance.now() - from, text };
  };

  /** The first answer with this part; each answer comes within a second. */
  const answered = async (part: string): Promise<{ status: number; text: string }> =>
    until(`the answer has ${part}`, async () => {
      const { ms, ...answer } = await poll();
      expect(ms).toBeLessThan(1000);
      return answer.text.includes(part) && answer;
    });

  it('answers within a second with Redis stopped, and stays ready', async () => {
    expect((await poll()).status).toBe(200);
    process.kill(redis.pid(), 'SIGSTOP');
    const { status, text } = await answered('"redis":{"ok":false');
    expect(status).toBe(200);
    expect(JSON.parse(text)).toMatchObject({ ready: true, checks: { redis: { ok: false } } });
    expect(text).not.toMatch(/127\.0\.0\.1|localhost|:\d{4,5}\b/);
    process.kill(redis.pid(), 'SIGCONT');
  });

  it('answers within a second with Postgres silent, and is ready again afterwards', async () => {
    proxy.swallow();
    const { status, text } = await answered('"database":{"ok":false');
    expect(status).toBe(503);
    expect(JSON.parse(text)).toMatchObject({ ready: false, checks: { database: { ok: false } } });
    expect(text).not.toMatch(/127\.0\.0\.1|localhost|:\d{4,5}\b/);
    proxy.restore();
    await until('it is ready', async () => (await poll()).status === 200, 30_000);
  }, 40_000);

  it('names no address with Postgres refusing connections', async () => {
    proxy.cut();
    await until('it is not ready', async () => (await poll()).status === 503, 10_000);
    expect((await poll()).text).not.toMatch(/127\.0\.0\.1|localhost|:\d{4,5}\b/);
    proxy.restore();
    await until('it is ready', async () => (await poll()).status === 200, 30_000);
  }, 40_000);
});
