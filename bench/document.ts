/** Makes docs/benchmarks from the results of a run: a chart for each row, the results, and one page with all of it. */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { drawChart, type Bar } from './chart.ts';
import { absence, disturbed, number, ratioOf, type Machine, type Results } from './report.ts';
import { wasDisturbed, type Comparison, type Measured, type Verdict } from './rounds.ts';

/** Writes README.md, results.json and the charts. Charts of removed rows are deleted. */
export async function document(all: Results, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(folder)) if (name.endsWith('.svg')) await rm(join(folder, name));
  const rows = rowsOf(all);
  for (const row of rows) {
    if (isDrawn(row)) await writeFile(join(folder, `${fileOf(row.name)}.svg`), chartOf(row, all));
  }
  await write(join(folder, 'results.json'), `${JSON.stringify(all, null, 2)}\n`, 'json');
  const fairness = await readFile(join(import.meta.dirname, 'fairness.md'), 'utf8');
  await write(join(folder, 'README.md'), page(all, rows, fairness), 'markdown');
}

async function write(path: string, text: string, parser: string): Promise<void> {
  const style = await resolveConfig(join(import.meta.dirname, '../package.json'));
  await writeFile(path, await format(text, { ...style, parser }));
}

interface Row {
  readonly name: string;
  readonly unit: string;
  readonly lowerIsBetter: boolean;
  readonly members: readonly Measured[];
}

function rowsOf({ results }: Results): Row[] {
  const measured = results.flatMap((r) => r.measured);
  return [...new Set(measured.map(({ row }) => row))].map((name) => {
    const members = measured.filter(({ row }) => row === name);
    const [first] = members;
    return { name, unit: first?.unit ?? '', lowerIsBetter: first?.lowerIsBetter === true, members };
  });
}

/** Half of a subject's own best rate is no comparison, and one bar is no chart. */
const isDrawn = ({ name, members }: Row): boolean =>
  members.filter(({ subject }) => !subject.startsWith('null server')).length > 1 && !name.includes('at half');

export const fileOf = (row: string): string =>
  row
    .toLowerCase()
    .replaceAll(',', '')
    .replaceAll(/[^a-z0-9]+/g, '-');

function chartOf({ name, unit, lowerIsBetter, members }: Row, all: Results): string {
  const bars = members.map((m): Bar => {
    const rates = m.rounds.map(({ rate }) => rate);
    return {
      label: m.subject,
      value: m.value,
      kind: m.subject.startsWith('Parley') ? 'own' : m.subject.startsWith('null server') ? 'ceiling' : 'peer',
      text: m.atOnce === undefined ? number(m.value) : `${number(m.value)} (${number(m.atOnce)})`,
      ...(rates.length > 1 ? { spread: [Math.min(...rates), Math.max(...rates)] as const } : {}),
      ...(m.atOnce === undefined ? {} : { before: m.atOnce }),
    };
  });
  const which = lowerIsBetter ? 'less is better' : 'more is better';
  const atOnce = members.some((m) => m.atOnce !== undefined)
    ? '; paler and in brackets: at once, before garbage was collected'
    : '';
  const title = `${name.charAt(0).toUpperCase()}${name.slice(1)}`;
  return drawChart({ title, subtitle: `${unit}, ${which}${atOnce}`, bars, footer: footerOf(all) });
}

/** The number of characters that fit in a line. */
const footerWidth = 118;

function footerOf({ machine, scale }: Results): string[] {
  const texts = [
    `Parley ${machine.commit}`,
    `${machine.date.slice(0, 16).replace('T', ' ')} UTC`,
    `${machine.cpu}, ${machine.memoryGb} GB, loopback`,
    ...(scale.quick ? ['a short run, the figures say little'] : []),
    ...versionsOf(machine),
  ];
  const lines: string[] = [];
  for (const text of texts) {
    const longer = `${lines.at(-1) ?? ''} · ${text}`;
    if (lines.length === 0 || longer.length > footerWidth) lines.push(text);
    else lines[lines.length - 1] = longer;
  }
  return lines;
}

const versionsOf = (machine: Machine): string[] => [
  `Node ${machine.node}`,
  ...Object.entries(machine.packages).map(([name, version]) => `${name} ${version}`),
  `Postgres ${machine.postgres}`,
];

const cell = (text: string): string => text.replaceAll('|', '\\|');
const percent = (share: number | undefined): string => (share === undefined ? '' : `${Math.round(share * 100)} %`);
const ms = (value: number): string => value.toFixed(value < 10 ? 1 : 0);

const verdictOf = (verdict: Verdict | undefined): string => (verdict === 'missed' ? '**missed**' : (verdict ?? ''));

function line(m: Measured, c: Comparison | undefined): string {
  const rates = m.rounds.map(({ rate }) => rate);
  const verdicts = [
    ...(c?.target === undefined ? [] : [`at least ${c.target} ×: ${verdictOf(c.met)}`]),
    ...(m.target ? [`${m.target.text}: ${m.target.met ? 'met' : '**missed**'}`] : []),
    ...(c?.aim === undefined ? [] : [`aim ${c.aim} ×: ${c.aimMet}`]),
    ...(m.aim ? [`aim ${m.aim.text}: ${m.aim.met ? 'met' : 'missed'}`] : []),
  ];
  const value = m.atOnce === undefined ? number(m.value) : `${number(m.value)} (at once ${number(m.atOnce)})`;
  const cells = [
    `${m.subject.startsWith('Parley') ? `**${m.subject}**` : m.subject}${wasDisturbed(m) ? ' †' : ''}`,
    value,
    rates.length > 1 ? `${number(Math.min(...rates))} to ${number(Math.max(...rates))}` : '',
    m.latencyMs ? [m.latencyMs.p50, m.latencyMs.p95, m.latencyMs.p99].map(ms).join(' / ') : '',
    percent(m.cpu?.server),
    percent(m.cpu?.client),
    percent(m.cpu?.rest),
    c ? ratioOf(c, '×') : '',
    verdicts.join('; '),
  ];
  return `| ${cells.map(cell).join(' | ')} |`;
}

function page(all: Results, rows: readonly Row[], fairness: string): string {
  const { machine, results, leftOut, failed, scale, seconds } = all;
  const comparisons = results.flatMap((r) => r.comparisons);
  const lines = rows.flatMap(({ name, unit, lowerIsBetter, members }) => [
    `| **${name}**, ${unit}${lowerIsBetter ? ', less is better' : ''} | | | | | | | | |`,
    ...members.map((m) =>
      line(
        m,
        comparisons.find((c) => c.row === name && c.of === m.subject),
      ),
    ),
  ]);
  const notes = rows.flatMap(({ members }) => members).filter((m) => m.note !== undefined);
  return `# Benchmarks

Written by \`npm run bench -- --charts docs/benchmarks\` from one run of ${seconds.toFixed(0)} s; the numbers of each round are in
[results.json](results.json). [bench/README.md](../../bench/README.md) says how to run it, and what each row does.

${scale.quick ? '**This was a short run (`--quick`): its figures say little.**\n\n' : ''}Parley ${machine.commit}, ${machine.date.slice(0, 10)}, ${machine.cpu}, ${machine.memoryGb} GB, load ${machine.loadBefore.toFixed(1)} before the run, with these versions:

${versionsOf(machine)
  .map((version) => `- ${version}`)
  .join('\n')}

## Results

Values are medians of the rounds. In a round the subjects run one after the other, in the order of the table. So the lines
after Parley's were measured some seconds later, the last ones half a minute later.

- **Parley is.** Parley's value divided by the value of the line. The figure is the median of the ratios of the rounds, with the
  least and the greatest ratio in brackets. In the stored rows, Parley is Parley on Postgres.
- **Target.** A target is *met* where the least ratio keeps it too, else *met by the median*.
- **Server, client, rest.** Processor time inside the measured time, in parts of one core. The rest is everything else that ran,
  Postgres included. The client limits a row only where it is near 100 %.
- **Null server.** A server in C that only writes, once a receiver for each read of a sender. Its line shows how far client and
  kernel go in that way. A server that gathers more messages into one write may pass it. The null server runs in two rounds,
  after all the others.
${results.some((r) => r.measured.some(wasDisturbed)) ? `\n† ${disturbed}\n` : ''}
| | value | min to max | ack p50 / p95 / p99, ms | server | client | rest | Parley is | target |
|---|---:|---:|---:|---:|---:|---:|---:|---|
${lines.join('\n')}

${list('Left out', leftOut.map(absence))}${list(
    'Failed',
    failed.map(({ row, error }) => `${row}: ${error}`),
  )}## Charts

${rows
  .filter(isDrawn)
  .map(({ name }) => `![${name}](${fileOf(name)}.svg)`)
  .join('\n\n')}

${fairness}
## Notes to the values

| subject | row | note |
|---|---|---|
${notes.map((m) => `| ${[m.subject, m.row, m.note ?? ''].map(cell).join(' | ')} |`).join('\n')}
`;
}

const list = (title: string, entries: readonly string[]): string =>
  entries.length === 0 ? '' : `## ${title}\n\n${entries.map((entry) => `- ${entry}`).join('\n')}\n\n`;
