/** Short rounds in which the subjects take turns, so that noise of other work hits all of them. Values are medians. */
import type { Load, LoadClient, LoadResult } from './client.ts';

export interface Latency {
  p50: number;
  p95: number;
  p99: number;
}

/** Shares of one core inside the measured time; `rest` is everything else on the machine, Postgres included. */
export interface Cpu {
  server: number;
  client: number;
  rest: number;
}

export interface Round {
  rate: number;
  latencyMs?: Latency;
  cpu?: Cpu;
  bytesPerDelivery?: number;
  /** Deliveries that were due, and missing three seconds after the end. */
  undelivered?: number;
}

/** One line of the table. */
export interface Measured {
  row: string;
  subject: string;
  value: number;
  unit: string;
  /** Round n of all subjects of a row ran one after the other, in the order of the table; then round n + 1 of all. */
  rounds: Round[];
  latencyMs?: Latency;
  cpu?: Cpu;
  /** Then `rest` is mostly the work of Postgres for the subject, and does not show whether the machine was quiet. */
  usesPostgres?: boolean;
  /** Memory: right after the last connection, before the garbage of connecting was collected. */
  atOnce?: number;
  lowerIsBetter?: boolean;
  note?: string;
  /** The target of a value with an absolute bound, and not one relative to a peer. */
  target?: Bound;
  /** A better value than the target, to aim at. */
  aim?: Bound;
}

export interface Bound {
  text: string;
  met: boolean;
}

/** "met": in every round. */
export type Verdict = 'met' | 'met by the median' | 'missed';

/** "Parley is `ratio` times `of`", from `min` to `max` in the single rounds. */
export interface Comparison {
  row: string;
  of: string;
  ratio: number;
  /** Absent where there was one round. */
  spread?: { min: number; max: number };
  target?: number;
  met?: Verdict;
  aim?: number;
  aimMet?: Verdict;
}

export interface RowResult {
  measured: Measured[];
  comparisons: Comparison[];
}

export interface Contestant {
  subject: string;
  round(): Promise<Round>;
}

export interface LoadedContestant extends Contestant {
  readonly client: LoadClient;
}

export async function alternate(
  row: string,
  unit: string,
  rounds: number,
  contestants: readonly Contestant[],
): Promise<Measured[]> {
  const all = contestants.map((): Round[] => []);
  for (let n = 0; n < rounds; n++) {
    for (const [i, each] of contestants.entries()) all[i]?.push(await each.round());
  }
  return contestants.map(({ subject }, i) => summarize(row, subject, unit, all[i] ?? []));
}

export function summarize(row: string, subject: string, unit: string, rounds: Round[]): Measured {
  const measured: Measured = { row, subject, unit, rounds, value: median(rounds.map((r) => r.rate)) };
  const latencies = rounds.flatMap((r) => r.latencyMs ?? []);
  if (latencies.length > 0) {
    measured.latencyMs = {
      p50: median(latencies.map((l) => l.p50)),
      p95: median(latencies.map((l) => l.p95)),
      p99: median(latencies.map((l) => l.p99)),
    };
  }
  const cpus = rounds.flatMap((r) => r.cpu ?? []);
  if (cpus.length > 0) {
    measured.cpu = {
      server: median(cpus.map((c) => c.server)),
      client: median(cpus.map((c) => c.client)),
      rest: median(cpus.map((c) => c.rest)),
    };
  }
  const bytes = rounds[0]?.bytesPerDelivery;
  const missing = rounds.reduce((sum, r) => sum + (r.undelivered ?? 0), 0);
  const notes = [
    ...(bytes === undefined ? [] : [`${bytes.toFixed(0)} B a delivery`]),
    ...(missing === 0 ? [] : [`${missing} deliveries were missing 3 s after the end of a round`]),
  ];
  if (notes.length > 0) measured.note = notes.join('; ');
  return measured;
}

/** @param count the events that the rate of the row counts */
export function contestant(
  subject: string,
  client: LoadClient,
  load: Load,
  count: 'acks' | 'deliveries',
): LoadedContestant {
  return { subject, client, round: async () => toRound(await client.load(load), count) };
}

export function toRound(result: LoadResult, count: 'acks' | 'deliveries'): Round {
  const { seconds, clientCpu, serverCpu, machineCpu, latencyMs } = result;
  return {
    rate: result[count] / seconds,
    latencyMs: { p50: latencyMs.p50, p95: latencyMs.p95, p99: latencyMs.p99 },
    cpu: {
      server: serverCpu / seconds,
      client: clientCpu / seconds,
      rest: Math.max(0, machineCpu - clientCpu - serverCpu) / seconds,
    },
    ...(count === 'deliveries' ? { bytesPerDelivery: result.bytes / Math.max(1, result.deliveries) } : {}),
    ...(result.undelivered > 0 ? { undelivered: result.undelivered } : {}),
  };
}

/**
 * The median of the ratios of each round to the same round of the other subject. The two are some turns apart, so other work
 * may have hit one of them only. Hence the spread. A target counts as met only if the worst round meets it.
 */
export function compare(ours: Measured, theirs: Measured, target?: number, aim?: number): Comparison {
  const ratios = ours.rounds.map((round, i) => round.rate / (theirs.rounds[i]?.rate ?? theirs.value));
  const ratio = median(ratios);
  const [min, max] = [Math.min(...ratios), Math.max(...ratios)];
  const verdict = (least: number): Verdict => (min >= least ? 'met' : ratio >= least ? 'met by the median' : 'missed');
  return {
    row: ours.row,
    of: theirs.subject,
    ratio,
    ...(ratios.length > 1 ? { spread: { min, max } } : {}),
    ...(target === undefined ? {} : { target, met: verdict(target) }),
    ...(aim === undefined ? {} : { aim, aimMet: verdict(aim) }),
  };
}

/** Cores that other processes may use before a value says more about them than about the server. */
export const quietRest = 0.3;

/** Whether other processes had the cores. The value is then too low, and scattered. */
export const wasDisturbed = ({ cpu, usesPostgres }: Measured): boolean =>
  usesPostgres !== true && cpu !== undefined && cpu.rest > quietRest;

/** The targets of Parley, by the subject that it is compared with. */
export type Targets = Readonly<Record<string, { target?: number; aim?: number }>>;

/** Compares Parley, the first subject, with each of the others. */
export function compareAll(measured: readonly Measured[], targets: Targets = {}): Comparison[] {
  const [ours, ...others] = measured;
  if (ours?.subject !== 'Parley') return [];
  return others.map((other) => compare(ours, other, targets[other.subject]?.target, targets[other.subject]?.aim));
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}
