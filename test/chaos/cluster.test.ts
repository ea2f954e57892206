import { expect, it } from 'vitest';
import { wrongClock } from '../support/faketime.ts';
import { runCluster } from './cluster.ts';
import { faultKinds } from './plan.ts';
import { reportLines } from './report.ts';

const seed = 20;
// a machine without libfaketime leaves out the clock, and says so
const kinds = Object.keys(faultKinds).length - (wrongClock(0) === undefined ? 1 : 0);

it(`three nodes lose, double and reorder nothing under each kind of fault and two mixtures (seed ${seed})`, async () => {
  const lines: string[] = [];
  const say = (line: string): void => void lines.push(line);
  const report = await runCluster({ seed, mixed: 2, minutes: 8, stopMs: 6000, rate: 150, say });
  expect(report.recorder.findings, [...lines, ...reportLines(report)].join('\n')).toEqual([]);
  expect(Object.keys(report.faults).length).toBe(kinds);
  expect(report.recorder.acked).toBeGreaterThan(1000);
  expect(report.leaves).toBeGreaterThan(10);
  expect(report.removals).toBeGreaterThan(10);
}, 720_000);
