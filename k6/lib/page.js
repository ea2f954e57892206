// @ts-check
/** The report as one HTML page without any script, font or image of another address. Pure. */
import { bars, lines } from './charts.js';
import { figure, kneeText, ms, number } from './report.js';
import { style } from './page-style.js';

/** @param {unknown} text */
export const escape = (text) =>
  String(text).replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c] ?? c);

const faultNames = [
  ['parley_lost', 'lost'],
  ['parley_doubled', 'doubled'],
  ['parley_reordered', 'reordered'],
  ['parley_unrecovered', 'unrecovered'],
];

/** @param {import('./report.js').Report} report */
export function page(report) {
  const failures = report.verdicts.filter(({ ok }) => !ok);
  const verdict = report.passed ? 'Passed' : 'Failed';
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${verdict}: ${escape(report.name)} – Parley load test</title>
<style>${style}</style>
</head>
<body>
<main>
<header class="${report.passed ? 'pass' : 'fail'}">
<p class="kind">Parley load test · ${escape(report.name)}${report.short ? ' · short form' : ''}</p>
<h1><span class="badge">${verdict}</span> ${escape(report.question)}</h1>
<p class="where">${escape(report.target)} · ${escape(report.at.replace('T', ' ').slice(0, 16))} UTC · ${number(report.seconds)} s · ${number(report.settings['users'])} users${report.note === '' ? '' : ` · ${escape(report.note)}`}</p>
${failures.length === 0 ? '' : `<ul class="failures">${failures.map((v) => `<li><b>${escape(v.about || v.metric)}</b>: ${escape(figure(v.metric, v.value))}, threshold: <code>${escape(v.rule)}</code></li>`).join('')}</ul>`}
${report.knee === undefined ? '' : `<p class="knee">${escape(kneeText(report))}</p>`}
</header>
${tiles(report)}
${overTime(report)}
${distributions(report)}
${thresholds(report)}
${report.knee === undefined ? '' : stages(report)}
${counters(report)}
${settings(report)}
<footer>Times end where a frame came off the socket of k6. A run on a machine with other work, or on the machine of the server, says little about times. Its counts of lost messages hold anywhere.</footer>
</main>
</body>
</html>
`;
}

/** @param {import('./report.js').Report} report */
function tiles(report) {
  const counted = new Map(report.counters.map(({ name, count }) => [name, count]));
  const spread = new Map(report.spreads.map(({ name, values }) => [name, values]));
  const faults = faultNames.map(([metric = '', label]) => {
    const n = counted.get(metric) ?? 0;
    return tile(label ?? '', number(n), n === 0 ? 'good' : 'bad');
  });
  const rest = [
    tile('acknowledged', number(counted.get('parley_acked')), '', 'messages'),
    tile('deliveries', number(counted.get('parley_delivered')), '', 'to receivers'),
    tile('ack p95', ms(spread.get('parley_ack')?.['p(95)']), '', `p50 ${ms(spread.get('parley_ack')?.med)}`),
    tile(
      'delivery p95',
      ms(spread.get('parley_delivery')?.['p(95)']),
      '',
      `p50 ${ms(spread.get('parley_delivery')?.med)}`,
    ),
    tile('failed', `${number(report.failed * 100)} %`, report.failed === 0 ? '' : 'warn', 'of commands and connects'),
  ];
  return `<section aria-label="Key figures"><div class="tiles">${faults.join('')}</div><div class="tiles">${rest.join('')}</div></section>`;
}

/** @param {string} label @param {string} value @param {string} [tone] @param {string} [more] */
const tile = (label, value, tone = '', more = '') =>
  `<div class="tile ${tone}"><span>${escape(label)}</span><b>${escape(value)}</b>${more === '' ? '' : `<small>${escape(more)}</small>`}</div>`;

/** @param {import('./report.js').Report} report */
function overTime({ slices }) {
  if (slices.length < 2) return '';
  const labels = slices.map(({ label }) => label);
  const charts = [
    lines('Sending to ack', 'ms', labels, [
      { name: 'p50', values: slices.map(({ ack }) => ack?.med) },
      { name: 'p95', values: slices.map(({ ack }) => ack?.['p(95)']) },
      { name: 'p99', values: slices.map(({ ack }) => ack?.['p(99)']) },
    ]),
    lines('Sending to delivery', 'ms', labels, [
      { name: 'p50', values: slices.map(({ delivery }) => delivery?.med) },
      { name: 'p95', values: slices.map(({ delivery }) => delivery?.['p(95)']) },
      { name: 'p99', values: slices.map(({ delivery }) => delivery?.['p(99)']) },
    ]),
    lines('Users', '', labels, [{ name: 'users', values: slices.map(({ users }) => users) }]),
    lines('Messages acknowledged', 'per second', labels, [
      { name: 'acked', values: slices.map(({ ackedPerSecond }) => ackedPerSecond) },
    ]),
    lines('Deliveries', 'per second', labels, [
      { name: 'delivered', values: slices.map(({ deliveredPerSecond }) => deliveredPerSecond) },
    ]),
    lines('Server processor', '% of one core', labels, [
      { name: 'cpu', values: slices.map(({ cpuPercent }) => cpuPercent) },
    ]),
    lines('Server memory', 'MB', labels, [{ name: 'RSS', values: slices.map(({ memoryMb }) => memoryMb) }]),
    lines('k6 itself late by', 'ms, p95', labels, [{ name: 'lag', values: slices.map(({ lag }) => lag?.['p(95)']) }]),
  ];
  return `<section><h2>Over the run</h2><div class="charts">${charts.join('')}</div></section>`;
}

/** @param {import('./report.js').Report} report */
function distributions({ spreads }) {
  if (spreads.length === 0) return '';
  const charts = spreads.map(({ about, values }) => (values === undefined ? '' : bars(about, values)));
  return `<section><h2>Distributions</h2><div class="charts">${charts.join('')}</div></section>`;
}

/** @param {import('./report.js').Report} report */
function thresholds({ verdicts }) {
  const rows = verdicts.map(
    ({ metric, rule, ok, value, about }) =>
      `<tr><td class="${ok ? 'good' : 'bad'}">${ok ? 'ok' : 'failed'}</td><td><code>${escape(metric)}</code><br><small>${escape(about)}</small></td><td><code>${escape(rule)}</code></td><td class="n">${escape(figure(metric, value))}</td></tr>`,
  );
  return `<section><h2>Thresholds</h2><table><thead><tr><th>verdict</th><th>metric</th><th>threshold</th><th class="n">found</th></tr></thead><tbody>${rows.join('')}</tbody></table></section>`;
}

/** @param {import('./report.js').Report} report */
function stages({ slices }) {
  const rows = slices
    .filter(({ ack }) => ack !== undefined)
    .map((s) => [
      number(s.users),
      number(s.ackedPerSecond),
      number(s.deliveredPerSecond),
      ms(s.ack?.med),
      ms(s.ack?.['p(95)']),
      ms(s.delivery?.['p(95)']),
      `${number(s.failed * 100)} %`,
      `${number(s.cpuPercent)} %`,
      ms(s.lag?.['p(95)']),
    ]);
  const heads = [
    'users',
    'acked/s',
    'delivered/s',
    'ack p50',
    'ack p95',
    'delivery p95',
    'failed',
    'server cpu',
    'k6 late p95',
  ];
  return `<section><h2>Stages</h2><div class="wide"><table><thead><tr>${heads.map((h) => `<th class="n">${h}</th>`).join('')}</tr></thead><tbody>${rows.map((cells) => `<tr>${cells.map((c) => `<td class="n">${escape(c)}</td>`).join('')}</tr>`).join('')}</tbody></table></div></section>`;
}

/** @param {import('./report.js').Report} report */
function counters({ counters: all, codes }) {
  const rows = all.map(
    ({ name, count, about }) =>
      `<tr><td><code>${escape(name)}</code></td><td>${escape(about)}</td><td class="n">${number(count)}</td></tr>`,
  );
  const failures = codes.map(
    ({ code, count }) =>
      `<tr><td><code>${escape(code)}</code></td><td>commands or connects that failed with this</td><td class="n">${number(count)}</td></tr>`,
  );
  return `<section><h2>Counters</h2><table><thead><tr><th>metric</th><th>meaning</th><th class="n">count</th></tr></thead><tbody>${rows.join('')}${failures.join('')}</tbody></table></section>`;
}

/** @param {import('./report.js').Report} report */
function settings({ settings: all }) {
  const rows = Object.entries(all).map(
    ([key, value]) =>
      `<tr><td><code>${escape(key.replace(/[A-Z]/g, (c) => `_${c}`).toUpperCase())}</code></td><td class="n">${number(value)}</td></tr>`,
  );
  return `<section><h2>Settings</h2><table><tbody>${rows.join('')}</tbody></table></section>`;
}
