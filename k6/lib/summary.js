// @ts-check
import { page } from './page.js';
import { figure, kneeText, ms, number, reportOf } from './report.js';
import { resultsFolder, target } from './settings.js';

/**
 * The result of k6's handleSummary: the text for the terminal, and the files. The folder has to exist.
 * @param {any} data
 * @param {Parameters<typeof reportOf>[1]} run
 * @returns {Record<string, string>}
 */
export function summarize(data, run) {
  const at = new Date().toISOString();
  const report = reportOf(data, run, { target, at, note: __ENV['NOTE'] ?? '' });
  const file = `${run.script.name}${run.short ? '-short' : ''}-${at.replace(/[:.]/g, '').slice(0, 17)}`;
  const base = `${resultsFolder}/${__ENV['RESULT_NAME'] ?? file}`;
  return {
    stdout: `${text(report)}\n  ${base}.html\n\n`,
    [`${base}.json`]: `${JSON.stringify({ report, k6: data }, null, 1)}\n`,
    [`${base}.html`]: page(report),
  };
}

/** @param {import('./report.js').Report} report */
function text(report) {
  const lines = ['', `${report.passed ? 'PASSED' : 'FAILED'}  ${report.name}: ${report.question}`, ''];
  const width = Math.max(...report.verdicts.map(({ metric, rule }) => `${metric} ${rule}`.length));
  for (const { metric, rule, ok, value } of report.verdicts) {
    lines.push(`  ${ok ? 'ok    ' : 'FAILED'}  ${`${metric} ${rule}`.padEnd(width)}  ${figure(metric, value)}`);
  }
  lines.push('');
  for (const { name, values } of report.spreads) {
    if (values === undefined) continue;
    const points = [
      `p50 ${ms(values.med)}`,
      `p95 ${ms(values['p(95)'])}`,
      `p99 ${ms(values['p(99)'])}`,
      `max ${ms(values.max)}`,
    ];
    lines.push(`  ${name.padEnd(26)} ${points.join(', ')} (${number(values.count)})`);
  }
  const nonzero = report.counters.filter(
    ({ name, count }) => count > 0 && !/lost|doubled|reordered|unrecovered/.test(name),
  );
  lines.push(
    '',
    `  ${nonzero.map(({ name, count }) => `${name.slice('parley_'.length)} ${number(count)}`).join(', ')}`,
  );
  if (report.codes.length > 0) {
    lines.push(`  failed with: ${report.codes.map(({ code, count }) => `${code} ${number(count)}`).join(', ')}`);
  }
  if (report.memoryMb !== undefined) {
    const { memoryMb, cpuPercent, slopeMbPerHour } = report;
    lines.push(
      `  server: memory up to ${number(memoryMb.max)} MB${slopeMbPerHour === undefined ? '' : `, growing ${number(slopeMbPerHour)} MB/h`}, ` +
        `processor ${number(cpuPercent?.avg)} % of a core on average, ${number(cpuPercent?.max)} % at most`,
    );
  }
  const knee = kneeText(report);
  if (knee !== undefined) lines.push('', ...stages(report), '', `  ${knee}`);
  return `${lines.join('\n')}\n`;
}

/** @param {readonly string[]} cells */
const row = (cells) => `  ${cells.map((cell) => cell.padStart(12)).join('')}`;

/** @param {import('./report.js').Report} report */
function stages({ slices }) {
  return [
    row(['users', 'acked/s', 'deliv./s', 'ack p50', 'ack p95', 'deliv. p95', 'failed', 'server cpu', 'k6 lag p95']),
    ...slices
      .filter(({ ack }) => ack !== undefined)
      .map((s) =>
        row([
          number(s.users),
          number(s.ackedPerSecond),
          number(s.deliveredPerSecond),
          ms(s.ack?.med),
          ms(s.ack?.['p(95)']),
          ms(s.delivery?.['p(95)']),
          `${number(s.failed * 100)} %`,
          `${number(s.cpuPercent)} %`,
          ms(s.lag?.['p(95)']),
        ]),
      ),
  ];
}
