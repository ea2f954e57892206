import { describe, expect, it } from 'vitest';
import { GroupMetrics } from '../../src/telemetry/group-metrics.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { parseMetrics } from '../support/metrics.ts';

const states = { starting: 0, ready: 2, leaving: 0 };

function worker(connections: number, opened: number, share: number): Metrics {
  const metrics = new Metrics();
  metrics.connections.set(connections);
  metrics.opened.inc(opened);
  metrics.fanoutDeliveries.inc(opened * 10);
  metrics.ackSeconds.labels({ command: 'read' }).observe(0.003);
  metrics.commands.labels({ command: 'read', outcome: 'ok' }).inc(2);
  metrics.watchOverload(() => ({ share, reason: share < 1 ? 'memory' : undefined }));
  return metrics;
}

describe('the metrics of several workers', () => {
  it('are summed, but for those that would lie as a sum', async () => {
    const group = new GroupMetrics();
    const workers = await Promise.all([worker(3, 5, 0.5), worker(4, 6, 0.25)].map((metrics) => metrics.readings()));
    const text = await group.text(
      workers.map((answer) => ({ answer, last: undefined })),
      states,
    );
    const values = parseMetrics(text);
    expect(values.get('parley_connections')).toBe(7);
    expect(values.get('parley_connections_opened_total')).toBe(11);
    expect(values.get('parley_fanout_deliveries_total')).toBe(110);
    expect(values.get('parley_commands_total{command="read",outcome="ok"}')).toBe(4);
    expect(values.get('parley_ack_seconds_bucket{command="read",le="0.0025"}')).toBe(0);
    expect(values.get('parley_ack_seconds_bucket{command="read",le="0.005"}')).toBe(2);
    expect(values.get('parley_ack_seconds_count{command="read"}')).toBe(2);
    expect(values.get('parley_admitted_share{limit="memory"}')).toBe(0.25);
    expect(values.get('parley_workers{state="ready"}')).toBe(2);
    expect(values.get('parley_workers_silent')).toBe(0);
    expect(values.get('parley_worker_restarts_total')).toBe(0);
    expect([...values.keys()].filter((name) => name.startsWith('process_start_time'))).toEqual([]);
    // each metric has one help and one type
    const helps = text.split('\n').filter((line) => line.startsWith('# TYPE'));
    expect(new Set(helps).size).toBe(helps.length);
  });

  it('keep the counts of those that ended or are silent, and drop their gauges', async () => {
    const group = new GroupMetrics();
    const [gone, goneToo, silent, there] = await Promise.all(
      [worker(1, 100, 1), worker(1, 1000, 1), worker(2, 10, 1), worker(4, 1, 1)].map((metrics) => metrics.readings()),
    );
    group.keep(gone ?? []);
    group.keep(goneToo ?? []);
    for (let scrape = 0; scrape < 2; scrape++) {
      const values = parseMetrics(
        await group.text(
          [
            { answer: undefined, last: silent },
            { answer: there, last: undefined },
            { answer: undefined, last: undefined },
          ],
          states,
        ),
      );
      expect(values.get('parley_connections_opened_total')).toBe(1111);
      expect(values.get('parley_ack_seconds_count{command="read"}')).toBe(4);
      expect(values.get('parley_connections')).toBe(4);
      expect(values.get('parley_workers_silent')).toBe(2);
    }
  });
});
