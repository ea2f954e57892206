/** The faults of a run, and their times: a pure function of the seed, so that a run can be repeated. */
import { Random } from '../hostile/fuzz/random.ts';

/** The part that each kind hits. Faults of one round hit different things, so that the end of one is not the end of another. */
export const faultKinds = {
  'node killed': 'node',
  'node stopped': 'node',
  'node replaced': 'node',
  'node clock wrong': 'node',
  'all nodes killed': 'node',
  'redis restarted': 'redis',
  'redis connections killed': 'redis',
  'redis delayed': 'redis',
  'redis swallowed': 'redis',
  'redis flushed': 'redis',
  'redis demoted': 'redis',
  'postgres restarted': 'postgres',
  'postgres connections ended': 'postgres',
  'postgres locked': 'postgres',
  'postgres read-only': 'postgres',
  'postgres restored': 'postgres',
  'postgres delayed': 'postgres',
  'postgres cut': 'postgres',
  'postgres swallowed': 'postgres',
} as const;

export type FaultKind = keyof typeof faultKinds;

export interface Fault {
  readonly kind: FaultKind;
  /** The node it hits; what hits all of them has one too, and leaves it alone. */
  readonly node: number;
  /** How long it lasts, or until what was killed is started again. */
  readonly ms: number;
  /** For kinds that come in two forms. */
  readonly form: 0 | 1;
  /** From the beginning of the round. */
  readonly afterMs: number;
}

/** Faults of which no two hit the same part. The cluster is checked when the last has ended. */
export type Round = readonly Fault[];

export interface PlanOptions {
  readonly nodes: number;
  /** Mixed rounds, after one round for each kind alone. */
  readonly mixed: number;
  /** Longest time that a node is stopped. */
  readonly stopMs: number;
  /** Kinds that this machine cannot do. */
  readonly without?: readonly FaultKind[];
}

const readOnlyMs = 5000;

export function planOf(seed: number, { nodes, mixed, stopMs, without = [] }: PlanOptions): Round[] {
  const random = new Random(seed);
  const between = (least: number, most: number): number => least + random.int(most - least + 1);
  const kinds = (Object.keys(faultKinds) as FaultKind[]).filter((kind) => !without.includes(kind));
  const fixed: Partial<Record<FaultKind, number>> = { 'node stopped': stopMs, 'postgres read-only': readOnlyMs };
  const fault = (kind: FaultKind, afterMs: number): Fault => ({
    kind,
    node: random.int(nodes),
    ms: fixed[kind] ?? (kind.endsWith('locked') ? between(2000, 4000) : between(1000, 5000)),
    form: random.chance(0.5) ? 1 : 0,
    afterMs,
  });
  const alone = kinds.map((kind): Round => [fault(kind, 0)]);
  const together = Array.from({ length: mixed }, (): Round => {
    const round = [fault(random.pick(kinds), 0)];
    while (round.length < 3 && random.chance(0.6)) {
      const hit = new Set<string>(round.map(({ kind }) => faultKinds[kind]));
      round.push(fault(random.pick(kinds.filter((kind) => !hit.has(faultKinds[kind]))), random.int(3000)));
    }
    return round;
  });
  return [...alone, ...together];
}

export function describeRound(round: Round): string {
  return round
    .map(({ kind, node, ms, form, afterMs }) => `${kind} (node ${node}, ${ms} ms, form ${form}, after ${afterMs} ms)`)
    .join(' + ');
}
