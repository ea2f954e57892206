/** The cases that every form of the lanes passes; src/notifications/lanes/lanes.ts states the contract in prose. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import type { JobHandler, LaneJob } from '../../src/notifications/lanes/lanes.ts';
import type { WorkerTimes } from '../../src/notifications/lanes/worker-times.ts';
import { openLanesOf, type LaneStore, type OpenedLanes } from '../support/lanes.ts';
import { until } from '../support/until.ts';

const done = { done: true } as const;
const workerFile = fileURLToPath(new URL('../support/lane-worker.ts', import.meta.url));

const job = (id: string, more: Partial<LaneJob> = {}): LaneJob => ({
  id,
  lane: 'normal',
  kind: 'test',
  data: { text: `of ${id}`, list: [1, null] },
  ...more,
});
const recording = () => {
  const ran: string[] = [];
  const handler: JobHandler = ({ id }) => (ran.push(id), Promise.resolve(done));
  return { ran, handler };
};

/** @param makeStore a new store without jobs, which the caller removes */
export function laneContract(form: string, makeStore: () => Promise<LaneStore>): void {
  describe(`the lanes in ${form}`, () => {
    const opened: OpenedLanes[] = [];
    afterEach(async () => {
      for (const one of opened.splice(0)) await one.close();
    });
    const open = async (store: LaneStore, times: Partial<WorkerTimes> = {}): Promise<OpenedLanes> => {
      const one = await openLanesOf(store, times);
      opened.push(one);
      return one;
    };
    const lanesOf = async (times: Partial<WorkerTimes> = {}) => (await open(await makeStore(), times)).lanes;

    it('runs each job of a batch once, with its data', async () => {
      // a worker that is silent for its claim loses its jobs, and a busy machine must not make it so
      const lanes = await lanesOf({ claimMs: 120_000 });
      const jobs = Array.from({ length: 1200 }, (_, n) => job(String(n), { lane: n % 2 === 0 ? 'high' : 'low' }));
      await lanes.add(jobs);
      expect((await lanes.depths()).high).toMatchObject({ waiting: 600, delayed: 0, running: 0 });
      const seen = new Map<string, LaneJob>();
      let runs = 0;
      lanes.work({ test: (one) => (runs++, seen.set(one.id, one), Promise.resolve(done)) });
      await until('all jobs ran', () => seen.size === 1200);
      expect(runs).toBe(1200);
      expect(seen.get('7')).toMatchObject({
        id: '7',
        lane: 'low',
        kind: 'test',
        data: { text: 'of 7', list: [1, null] },
      });
      await until('no job is left', async () => {
        const { high, low } = await lanes.depths();
        return high.waiting + high.running + low.waiting + low.running === 0;
      });
    });

    it('keeps one job of an id that waits, and runs no cancelled one', async () => {
      const lanes = await lanesOf();
      await lanes.add([job('a'), job('b'), job('a')]);
      await lanes.add([job('a', { data: 'later' }), job('late', { notBefore: Date.now() + 60_000 })]);
      expect((await lanes.depths()).normal).toMatchObject({ waiting: 2, delayed: 1 });
      await lanes.cancel([job('b'), job('late'), job('unknown')]);
      const { ran, handler } = recording();
      lanes.work({ test: handler });
      await lanes.add([job('last')]);
      await until('the last job ran', () => ran.includes('last'));
      expect(ran).toEqual(['a', 'last']);
      await lanes.add([job('a')]);
      await until('the same id ran again after its end', () => ran.length === 3);
    });

    it('begins a job at its time, and drops one that has expired', async () => {
      const lanes = await lanesOf();
      const { ran, handler } = recording();
      const at = Date.now() + 1500;
      let ranAt = 0;
      lanes.work({ test: handler, late: async (one, signal) => ((ranAt = Date.now()), handler(one, signal)) });
      await lanes.add([
        job('late', { kind: 'late', notBefore: at }),
        job('expired', { expires: Date.now() - 1 }),
        job('expires', { notBefore: at, expires: at }),
        job('now', { expires: at + 60_000 }),
      ]);
      await until('both jobs ran', () => ran.includes('late') && ran.includes('now'));
      expect(ran).toEqual(['now', 'late']);
      expect(ranAt).toBeGreaterThanOrEqual(at);
      await until('the expired job is gone', async () => (await lanes.depths()).normal.delayed === 0);
      expect(ran).toEqual(['now', 'late']);
    });

    it('runs a job again at the time that its handler gives, and after a failure', async () => {
      const { lanes, metrics } = await open(await makeStore());
      const calls: Record<string, number> = {};
      let at = 0;
      let againAt = 0;
      lanes.work({
        later: ({ id }) => {
          const n = (calls[id] = (calls[id] ?? 0) + 1);
          if (n === 1) return Promise.resolve({ again: (at = Date.now() + 700) });
          againAt = Date.now();
          return Promise.resolve(done);
        },
        fails: ({ id }) => {
          const n = (calls[id] = (calls[id] ?? 0) + 1);
          return n < 4 ? Promise.reject(new Error('not yet')) : Promise.resolve(done);
        },
      });
      await lanes.add([job('later', { kind: 'later' }), job('fails', { kind: 'fails' })]);
      await until('both jobs ended', () => calls['later'] === 2 && calls['fails'] === 4);
      expect(againAt).toBeGreaterThanOrEqual(at);
      const text = await until('the counts', async () => {
        const now = await metrics.text();
        return now.includes('outcome="done"} 2') && now;
      });
      expect(text).toContain('parley_lane_jobs_total{lane="normal",outcome="failed"} 3');
      expect(text).toContain('parley_lane_jobs_total{lane="normal",outcome="again"} 1');
    });

    it('drops a job that fails for too long', async () => {
      const { lanes, metrics } = await open(await makeStore(), { giveUpMs: 300 });
      lanes.work({ test: () => Promise.reject(new Error('never')) });
      await lanes.add([job('a')]);
      await until('the job is dropped', async () => (await metrics.text()).includes('outcome="dropped"} 1'));
      const { normal } = await lanes.depths();
      expect(normal.waiting + normal.delayed).toBe(0);
    });

    it('lends idle slots downwards, and keeps the slots of each lane', async () => {
      const lanes = await lanesOf();
      const running = { critical: 0, batch: 0 };
      const ends: (() => void)[] = [];
      lanes.work({
        test: ({ lane }) => {
          running[lane as 'critical' | 'batch']++;
          return new Promise((resolve) => ends.push(() => resolve(done)));
        },
      });
      await lanes.add(Array.from({ length: 40 }, (_, n) => job(`b${n}`, { lane: 'batch' })));
      await until('every slot is lent', () => running.batch === 31);
      await lanes.add(Array.from({ length: 20 }, (_, n) => job(`c${n}`, { lane: 'critical' })));
      await until('the urgent lane has its slots', () => running.critical === 16);
      expect(running.batch).toBe(31);
      for (const end of ends.splice(0)) end();
      await until('all jobs began', () => {
        for (const end of ends.splice(0)) end();
        return running.batch === 40 && running.critical === 20;
      });
    });

    it('runs an urgent job at once while 5,000 others wait', async () => {
      const lanes = await lanesOf();
      await lanes.add(Array.from({ length: 5000 }, (_, n) => job(`b${n}`, { lane: 'batch' })));
      let batches = 0;
      const waits: number[] = [];
      lanes.work({
        test: async () => {
          batches++;
          await new Promise((resolve) => setImmediate(resolve));
          return done;
        },
        urgent: ({ data }) => (waits.push(Date.now() - (data as number)), Promise.resolve(done)),
      });
      await until('the flood runs', () => batches > 10);
      for (let n = 0; n < 20; n++) {
        await lanes.add([job(`c${n}`, { lane: 'critical', kind: 'urgent', data: Date.now() })]);
        await until('the urgent job ran', () => waits.length === n + 1);
      }
      // a queue for all would have run every other job first
      expect(batches).toBeLessThan(5000);
      expect(waits.toSorted((a, b) => a - b)[10]).toBeLessThan(2000);
    });

    it('runs the job of a killed process again', async () => {
      const store = await makeStore();
      const child = spawn(process.execPath, ['--import', 'tsx', workerFile, JSON.stringify(store), 'orphan'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let printed = '';
      child.stdout.on('data', (part: Buffer) => (printed += part.toString()));
      await until('the child began the job', () => printed.includes('began orphan'), 60_000);
      child.kill('SIGKILL');
      await once(child, 'exit');
      const { lanes } = await open(store);
      const { ran, handler } = recording();
      lanes.work({ test: handler });
      await until('the job ran again', () => ran.includes('orphan'), 30_000);
      expect(ran).toEqual(['orphan']);
    });

    it('finishes running jobs at the stop, and leaves the others to the next process', async () => {
      const store = await makeStore();
      const first = await openLanesOf(store);
      const { ran, handler } = recording();
      let end: (() => void) | undefined = undefined;
      first.lanes.work({
        slow: async (one, signal) => {
          await new Promise<void>((resolve) => (end = resolve));
          return handler(one, signal);
        },
      });
      await first.lanes.add([
        job('slow', { kind: 'slow', lane: 'batch' }),
        job('next', { notBefore: Date.now() + 2000 }),
      ]);
      const finish = await until('the slow job runs', () => end);
      expect((await first.lanes.depths()).batch.running).toBe(1);
      const closing = first.close();
      finish();
      await closing;
      expect(ran).toEqual(['slow']);
      const { lanes } = await open(store);
      lanes.work({ test: handler, slow: handler });
      await until('the next process ran the rest', () => ran.includes('next'));
      expect(ran).toEqual(['slow', 'next']);
    });
  });
}
