/** The result of a run of the cluster, in lines. */
import type { ClusterReport } from './cluster.ts';

export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? 0);
}

export function reportLines(report: ClusterReport): string[] {
  const { recorder, rounds, counters } = report;
  const of = (kind: string): number => recorder.findings.filter((finding) => finding.kind === kind).length;
  const kinds = [...new Set(rounds.map(({ kind }) => kind))];
  const times = kinds.map((kind) => {
    const own = rounds.filter((round) => round.kind === kind);
    const sync = own.flatMap(({ inSyncMs }) => inSyncMs);
    const ack = own.flatMap(({ nextAckMs }) => nextAckMs);
    const stall = own.flatMap(({ stallMs }) => stallMs);
    const columns = [
      own.length,
      ...[sync, ack, stall].flatMap((ms) => [percentile(ms, 0.5), percentile(ms, 0.99), percentile(ms, 1)]),
    ];
    return kind.padEnd(28) + columns.map((column) => String(column).padStart(8)).join('');
  });
  const refused = [...recorder.refusals].map(([code, n]) => `${n} ${code}`).join(', ') || 'none';
  return [
    `${report.seconds} s, ${rounds.length} rounds; faults: ${JSON.stringify(report.faults)}`,
    `messages ${recorder.messages}, acknowledged ${recorder.acked}, stored ${report.stored}, sent again ${recorder.frames - recorder.messages}, given up by the SDK: ${refused}`,
    `deliveries ${recorder.deliveries}; lost ${of('lost')}, doubled ${of('doubled')}, reordered ${of('reordered')}, leaked ${of('leaked')} (${report.leaves} leaves, ${report.removals} removals), stalled ${of('stalled')}, wrong views ${of('view')}, presence ${of('presence')}, processes ${of('process')}`,
    `gaps that the readers closed ${report.gaps}; slowest presence ${report.slowestPresenceMs} ms; counters as far as read before a kill: ${JSON.stringify(counters)}`,
    `${'ms from the end of the fault'.padEnd(28)}  rounds    sync     p99     max     ack     p99     max   stall     p99     max`,
    ...times,
    ...recorder.findings.slice(0, 20).map(({ kind, text }) => `FOUND ${kind}: ${text}`),
  ];
}
