// @ts-check
/** Makes the figures of the pages from k6's data at the end of the test. Pure: nothing of k6 is imported. */

/**
 * @typedef {{count: number, avg: number, min: number, med: number, 'p(75)': number, 'p(90)': number, 'p(95)': number,
 *   'p(99)': number, 'p(99.9)': number, max: number}} Spread
 * @typedef {{metric: string, rule: string, ok: boolean, value: number | undefined, about: string}} Verdict
 * @typedef {{label: string, users: number, ack: Spread | undefined, delivery: Spread | undefined, lag: Spread | undefined,
 *   ackedPerSecond: number, deliveredPerSecond: number, failed: number, memoryMb: number | undefined,
 *   cpuPercent: number | undefined}} Slice
 * @typedef {ReturnType<typeof reportOf>} Report
 */

/** The meaning of each metric, for readers of a result. */
export const about = {
  parley_lost: 'Events that never came, or acknowledged messages that are not in the history',
  parley_doubled: 'Events that came twice, or messages stored twice',
  parley_reordered: 'Events or numbers out of order',
  parley_unrecovered: 'Messages that were missing even after `sync`',
  parley_late: 'Deliveries over LATE_MS',
  parley_checked: 'Events that the oracle checked',
  parley_audited: 'Acknowledged messages that the history has once, with their seq',
  parley_unaudited: 'Acknowledged messages that the last check had no time for',
  parley_finished: 'Users whose last check ended',
  parley_sent: 'Messages sent',
  parley_acked: 'Messages acknowledged',
  parley_unsent: 'Messages given up after a minute of tries',
  parley_delivered: 'Deliveries of messages to receivers',
  parley_signals: 'Signals received',
  parley_skipped: 'Sends left out because too many of that user were unanswered',
  parley_reconnects: 'Connections that came back',
  parley_dropped: 'Connections that the server or the network ended',
  parley_behind: 'Events `behind` of the server',
  parley_pulled: 'Messages fetched with `sync`',
  parley_errors: 'Commands and connects that failed',
  parley_failed: 'Share of commands and connects that failed',
  parley_ack: 'From the send to the ack',
  parley_delivery: 'From the send to each receiver',
  parley_command: 'From another command to its ack',
  parley_connect: 'From the opening of a socket to `ready`',
  parley_resync: 'From a reconnect to the end of the catch-up',
  parley_k6_lag: 'Delay of k6 itself',
  parley_server_memory_mb: 'Server memory (RSS), MB',
  parley_server_cpu_percent: 'Server processor time, % of one core',
  parley_server_loop_delay: "Server event loop, p99 of a reading's interval",
  parley_server_connections: 'Connections that the server counts',
  parley_server_memory_slope_mb_h: 'Growth of server memory, MB an hour',
};

/** @param {string} metric */
const aboutOf = (metric) => /** @type {Record<string, string>} */ (about)[metric] ?? '';

/**
 * @param {any} data of handleSummary
 * @param {{script: any, settings: Record<string, number>, slices: readonly {seconds: number, label: string}[],
 *   connectAt: (index: number, settings: any) => number, short: boolean}} run
 * @param {{target: string, at: string, note: string}} where
 */
export function reportOf(data, { script, settings, slices, connectAt, short }, where) {
  /** @param {string} name @param {string} [key] @returns {any} */
  const value = (name, key) => {
    const values = data.metrics[name]?.values;
    return key === undefined ? values : values?.[key];
  };
  /** @param {string} name @returns {Spread | undefined} */
  const spread = (name) => (value(name, 'count') > 0 ? value(name) : undefined);

  /** @type {Verdict[]} */
  const verdicts = [];
  for (const [metric, { thresholds = {} }] of /** @type {[string, any][]} */ (Object.entries(data.metrics))) {
    if (metric.includes('{')) continue; // a threshold that keeps the metric and judges nothing
    for (const [rule, { ok }] of /** @type {[string, any][]} */ (Object.entries(thresholds))) {
      const key = /^(count|rate|avg|min|max|med|p\([\d.]+\))/.exec(rule)?.[1] ?? 'count';
      verdicts.push({ metric, rule, ok, value: value(metric, key), about: aboutOf(metric) });
    }
  }
  let passed = 0;
  /** @type {Slice[]} */
  const parts = slices.map(({ seconds, label }, i) => {
    passed += seconds;
    const of = (/** @type {string} */ metric) => `${metric}{slice:s${i}}`;
    let users = 0;
    for (let index = 0; index < (settings['users'] ?? 0); index++) if (connectAt(index, settings) < passed) users++;
    return {
      label,
      users,
      ack: spread(of('parley_ack')),
      delivery: spread(of('parley_delivery')),
      lag: spread(of('parley_k6_lag')),
      ackedPerSecond: (value(of('parley_acked'), 'count') ?? 0) / seconds,
      deliveredPerSecond: (value(of('parley_delivered'), 'count') ?? 0) / seconds,
      failed: value(of('parley_failed'), 'rate') ?? 0,
      memoryMb: spread(of('parley_server_memory_mb'))?.max,
      cpuPercent: spread(of('parley_server_cpu_percent'))?.avg,
    };
  });
  const counters = Object.entries(data.metrics)
    .filter(([name, { type }]) => name.startsWith('parley_') && type === 'counter' && !name.includes('{'))
    .map(([name]) => ({ name, count: value(name, 'count') ?? 0, about: aboutOf(name) }));
  const spreads = ['ack', 'delivery', 'command', 'connect', 'resync', 'k6_lag', 'server_loop_delay']
    .map((name) => ({ name: `parley_${name}`, about: aboutOf(`parley_${name}`), values: spread(`parley_${name}`) }))
    .filter(({ values }) => values !== undefined);
  const codes = Object.keys(data.metrics)
    .map((name) => ({ code: /^parley_errors\{code:(.*)\}$/.exec(name)?.[1] ?? '', count: value(name, 'count') ?? 0 }))
    .filter(({ code, count }) => code !== '' && count > 0);
  return {
    name: /** @type {string} */ (script.name),
    question: /** @type {string} */ (script.question),
    short,
    ...where,
    seconds: data.state.testRunDurationMs / 1000,
    settings,
    passed: verdicts.every(({ ok }) => ok),
    verdicts,
    slices: parts,
    counters,
    codes,
    spreads,
    failed: value('parley_failed', 'rate') ?? 0,
    memoryMb: spread('parley_server_memory_mb'),
    cpuPercent: spread('parley_server_cpu_percent'),
    slopeMbPerHour: spread('parley_server_memory_slope_mb_h')?.max,
    knee: script.knee === undefined ? undefined : kneeOf(parts, script.knee),
  };
}

/**
 * The last stage up to which every stage kept the limits.
 * @param {readonly Slice[]} slices
 * @param {{ack95: number, failed: number}} limits
 */
export function kneeOf(slices, limits) {
  const measured = slices.filter(({ ack }) => ack !== undefined);
  const broken = measured.findIndex(
    ({ ack, failed }) => (ack?.['p(95)'] ?? 0) > limits.ack95 || failed > limits.failed,
  );
  return {
    limits,
    last: broken === -1 ? measured[measured.length - 1] : measured[broken - 1],
    first: broken === -1 ? undefined : measured[broken],
  };
}

/** @param {number | undefined} value */
export function ms(value) {
  if (value === undefined) return '–';
  if (value >= 10_000) return `${(value / 1000).toFixed(1)} s`;
  return `${value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toFixed(2)} ms`;
}

/** @param {number | undefined} value */
export function number(value) {
  if (value === undefined) return '–';
  const text = Math.abs(value) >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(2);
  return text.replace(/\B(?=(\d{3})+(?!\d))(?<!\.\d*)/g, ',');
}

/** @param {string} metric @param {number | undefined} value */
export function figure(metric, value) {
  if (metric === 'parley_failed') return `${number((value ?? 0) * 100)} %`;
  if (/_(ack|delivery|command|connect|resync|k6_lag|loop_delay)$/.test(metric)) return ms(value);
  return number(value);
}

/** @param {Slice} stage */
const stageText = (stage) =>
  `${number(stage.users)} users, ${number(stage.ackedPerSecond)} messages/s in, ${number(stage.deliveredPerSecond)}/s out ` +
  `(ack p95 ${ms(stage.ack?.['p(95)'])}, ${number(stage.failed * 100)} % failed, k6 late by p95 ${ms(stage.lag?.['p(95)'])})`;

/** Over this the run measures the load generator. */
const lagMs = 100;

/** @param {Report} report @returns {string | undefined} */
export function kneeText({ knee }) {
  if (knee === undefined) return undefined;
  const { limits, last, first } = knee;
  const late = Math.max(last?.lag?.['p(95)'] ?? 0, first?.lag?.['p(95)'] ?? 0) > lagMs;
  const whose = late
    ? '. k6 itself was late there, so this is the knee of the load generator and not of the server'
    : '';
  const rule = `ack p95 up to ${limits.ack95} ms and at most ${limits.failed * 100} % failed`;
  if (last === undefined)
    return `The knee (${rule}): the first stage failed: ${first === undefined ? '–' : stageText(first)}${whose}`;
  if (first === undefined) return `The knee (${rule}): none up to ${stageText(last)}; raise USERS to find it${whose}`;
  return `The knee (${rule}): ${stageText(last)}; the first stage past it: ${stageText(first)}${whose}`;
}
