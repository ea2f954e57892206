/** The table, and the facts above it without which its numbers mean nothing. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import type { Database } from './postgres.ts';
import type { Scale } from './context.ts';
import { quietRest, wasDisturbed, type Comparison, type Measured, type RowResult } from './rounds.ts';
import type { LeftOut } from './subjects/subject.ts';

export interface Machine {
  date: string;
  commit: string;
  node: string;
  packages: Record<string, string>;
  postgres: string;
  cpu: string;
  memoryGb: number;
  loadBefore: number;
}

/** All results of a run, as the JSON has them. */
export interface Results {
  machine: Machine;
  scale: Scale;
  seconds: number;
  results: RowResult[];
  leftOut: LeftOut[];
  failed: { row: string; error: string }[];
}

const git = (...args: string[]): string => {
  try {
    return execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8', stdio: 'pipe' }).trim();
  } catch {
    return '';
  }
};

const installed = (name: string): string => {
  const path = join(import.meta.dirname, '../node_modules', name, 'package.json');
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
};

/** @param others versions of subjects that are no npm package */
export function describeMachine(database: Database | string, others: Record<string, string>): Machine {
  const changed = git('status', '--porcelain', '--untracked-files=no') === '' ? '' : ' with local changes';
  const packages = ['uWebSockets.js', 'socket.io', 'ws', 'postgres', '@electric-sql/pglite'];
  return {
    date: new Date().toISOString(),
    commit: `${git('rev-parse', '--short', 'HEAD') || 'unknown'}${changed}`,
    node: process.version,
    packages: { ...Object.fromEntries(packages.map((name) => [name, installed(name)])), ...others },
    postgres: typeof database === 'string' ? `none (${database})` : `${database.version}, ${database.settings}`,
    cpu: `${cpus().length} x ${cpus()[0]?.model ?? '?'}`,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    loadBefore: loadavg()[0] ?? 0,
  };
}

const percent = (share: number): string => `${Math.round(share * 100)} %`;

/** Whole from 100 on, three digits below. A value that is no number, such as the rate of a round without deliveries, is null in JSON. */
export const number = (value: number): string => {
  if (!Number.isFinite(value)) return '–';
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3);
};

export const times = (ratio: number): string => (Number.isFinite(ratio) ? ratio.toFixed(2) : '–');
const ms = (value: number): string => value.toFixed(value < 10 ? 1 : 0);

export function table({ machine, results, leftOut, failed, seconds }: Results): string {
  const heads = ['', 'value', 'min to max', 'ack p50/p95/p99 ms', 'server', 'client', 'rest', 'Parley is', 'target'];
  const lines: string[][] = [heads];
  const measured = results.flatMap((r) => r.measured);
  const comparisons = results.flatMap((r) => r.comparisons);
  for (const row of new Set(measured.map((m) => m.row))) {
    const members = measured.filter((m) => m.row === row);
    lines.push([], [`${row}, ${members[0]?.unit ?? ''}`]);
    for (const m of members)
      lines.push(
        cells(
          m,
          comparisons.find((c) => c.row === row && c.of === m.subject),
        ),
      );
  }
  const widths = heads.map((_, i) => Math.max(...lines.filter((l) => l.length > 1).map((l) => (l[i] ?? '').length)));
  const drawn = lines.map((line) =>
    line.length < 2
      ? line.join('')
      : line
          .map((cell, i) => (i === 0 || i > 6 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
          .join('  ')
          .trimEnd(),
  );
  const notes = measured.filter((m) => m.note !== undefined).map((m) => `  ${m.subject}, ${m.row}: ${m.note}`);
  return [
    '',
    `Parley ${machine.commit} · ${machine.date} · Node ${machine.node} · ${machine.cpu}, ${machine.memoryGb} GB, load ${machine.loadBefore.toFixed(1)} before`,
    Object.entries(machine.packages)
      .map(([name, version]) => `${name} ${version}`)
      .join(' · '),
    `Postgres ${machine.postgres}`,
    '',
    ...(measured.some(wasDisturbed) ? [`† ${disturbed}`, ''] : []),
    ...drawn,
    '',
    ...(notes.length > 0 ? ['Notes', ...notes, ''] : []),
    ...(leftOut.length > 0 ? ['Left out', ...leftOut.map((l) => `  ${absence(l)}`), ''] : []),
    ...(failed.length > 0 ? ['FAILED', ...failed.map(({ row, error }) => `  ${row}: ${error}`), ''] : []),
    'Values are medians of the rounds, in each of which the subjects run one after the other, as in the table; "Parley is"',
    'is the median of the ratios of the same round, in brackets the least and the greatest. A target is "met" where the',
    'least ratio keeps it too.',
    'server, client, rest: CPU inside the measured time, of one core; rest is everything else that ran, Postgres included.',
    'The client limits a row only if its CPU is near 100 %. The null server runs after the others, in two rounds; a',
    'server that gathers several messages into one write may pass it. See bench/README.md.',
    `The run took ${seconds.toFixed(0)} s.`,
    '',
  ].join('\n');
}

export const absence = ({ row, subject, why }: LeftOut): string =>
  row === undefined ? `${subject}: ${why}` : `${subject}, ${row}: ${why}`;

export const disturbed =
  `the machine was not quiet for this line: others used more than ${quietRest} of a core (rest, the median of the ` +
  'rounds). The values are too low and scattered.';

/** @param sign of multiplication */
export const ratioOf = ({ ratio, spread }: Comparison, sign: string): string =>
  `${times(ratio)} ${sign}${spread ? ` (${times(spread.min)} to ${times(spread.max)})` : ''}`;

/** @param c the comparison, which is in the line of the peer */
function cells(m: Measured, c: Comparison | undefined): string[] {
  const rates = m.rounds.map((r) => r.rate);
  const spread = rates.length > 1 ? `${number(Math.min(...rates))} to ${number(Math.max(...rates))}` : '';
  const latency = m.latencyMs ? [m.latencyMs.p50, m.latencyMs.p95, m.latencyMs.p99].map(ms).join(' / ') : '';
  const verdict = [
    ...(c?.target === undefined ? [] : [`>= ${c.target} ${c.met === 'missed' ? 'MISSED' : c.met}`]),
    ...(m.target ? [`${m.target.text} ${m.target.met ? 'met' : 'MISSED'}`] : []),
    ...(c?.aim === undefined ? [] : [`aim >= ${c.aim} ${c.aimMet}`]),
    ...(m.aim ? [`aim ${m.aim.text} ${m.aim.met ? 'met' : 'missed'}`] : []),
  ];
  return [
    `  ${m.subject}${wasDisturbed(m) ? ' †' : ''}`,
    number(m.value),
    spread,
    latency,
    m.cpu ? percent(m.cpu.server) : '',
    m.cpu ? percent(m.cpu.client) : '',
    m.cpu ? percent(m.cpu.rest) : '',
    c ? ratioOf(c, 'x') : '',
    verdict.join(', '),
  ];
}
