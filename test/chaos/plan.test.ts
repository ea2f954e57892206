import { expect, it } from 'vitest';
import { faultKinds, planOf } from './plan.ts';

const options = { nodes: 3, mixed: 200, stopMs: 6000 };

it('gives the same plan for the same seed, and another for another', () => {
  expect(planOf(5, options)).toEqual(planOf(5, options));
  expect(planOf(5, options)).not.toEqual(planOf(6, options));
});

it('begins with each kind alone, and never lets two faults of a round hit the same thing', () => {
  const plan = planOf(5, options);
  const kinds = Object.keys(faultKinds);
  expect(plan.slice(0, kinds.length).map((round) => round.map(({ kind }) => kind))).toEqual(
    kinds.map((kind) => [kind]),
  );
  for (const round of plan) {
    const hit = round.map(({ kind }) => faultKinds[kind]);
    expect(new Set(hit).size).toBe(hit.length);
    for (const { node, ms, afterMs } of round) {
      expect(node).toBeLessThan(3);
      expect(ms).toBeLessThanOrEqual(6000);
      expect(afterMs).toBeLessThan(3000);
    }
  }
});
