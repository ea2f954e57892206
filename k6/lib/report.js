// @ts-check
/** Makes of k6's end-of-test data what the pages show. Pure: nothing of k6 is imported. */

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
  parley_lost: 'Events or acknowledged messages that never came, or are not in the history',
  parley_doubled: 'Events that came twice, or messages stored twice',
  parley_reordered: 'Events or numbers out of order',
  parley_unrecovered: 'Messages that were missing even after asking for them',
  parley_late: 'Deliveries over LATE_MS',
  parley_checked: 'Events that the oracle checked',
  parley_audited: 'Acknowledged messages found in the history, once, under their number',
  parley_unaudited: 'Acknowledged messages that the last check had no time for',
  parley_finished: 'Users whose last check came to its end',
  parley_sent: 'Messages sent',
  parley_acked: 'Messages acknowledged',
  parley_unsent: 'Messages given up after a minute of tries',
  parley_delivered: 'Deliveries of messages to receivers',
  parley_signals: 'Signals received',
  parley_skipped: 'Sends left out because too many of that user were unanswered',
  parley_reconnects: 'Connections that came back',
  parley_dropped: 'Connections that ended by themselves',
  parley_behind: 'Times the server said `behind`',
  parley_pulled: 'Messages fetched with `sync`',
  parley_errors: 'Commands and connects that failed',
  parley_failed: 'Share of commands and connects that failed',
  parley_ack: 'Sending to ack',
  parley_delivery: 'Sending to each receiver',
  parley_command: 'Other commands to their acks',
  parley_connect: 'Opening a socket to ready',
  parley_resync: 'Coming back to holding all that was missed',
  parley_k6_lag: 'How late k6 itself was with what was due',
  parley_server_memory_mb: 'Server memory (RSS), MB',
  parley_server_cpu_percent: 'Server processor time, % of one core',
  parley_server_loop_delay: "Server event loop, p99 of a reading's interval",
  parley_server_connections: 'Connections the server counts',
  parley_server_memory_slope_mb_h: 'Growth of server memory, MB an hour',
};

/** @param {string} metric */
const aboutOf = (metric) => /** @type {Record<string, string>} */ (about)[metric] ?? '';

/**
 * @param {any} data of handleSummary
 * @param {{script: any, settings: Record<string, number>, slices: readonly {seconds: number, label: string}[],
 *   arrival: (index: number, settings: any) => number, short: boolean}} run
 * @param {{target: string, at: string, note: string}} where
 */
export function reportOf(data, { script, settings, slices, arrival, short }, where) {
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
    if (metric.includes('{')) continue; // asked for only to be kept
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
    for (let index = 0; index < (settings['users'] ?? 0); index++) if (arrival(index, settings) < passed) users++;
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
    asks: /** @type {string} */ (script.asks),
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
 * The last stage up to which every one kept the limits.
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

/** Over this the load generator is what is measured. */
const lagMs = 100;

/** @param {Report} report @returns {string | undefined} */
export function kneeText({ knee }) {
  if (knee === undefined) return undefined;
  const { limits, last, first } = knee;
  const late = Math.max(last?.lag?.['p(95)'] ?? 0, first?.lag?.['p(95)'] ?? 0) > lagMs;
  const whose = late ? '. k6 itself was late there: this is the knee of the load generator, not of the server' : '';
  const rule = `ack p95 up to ${limits.ack95} ms and at most ${limits.failed * 100} % failed`;
  if (last === undefined)
    return `knee (${rule}): the first stage failed already: ${first === undefined ? '–' : stageText(first)}${whose}`;
  if (first === undefined) return `knee (${rule}): none up to ${stageText(last)}; raise USERS to find it${whose}`;
  return `knee (${rule}): ${stageText(last)}; the first that did not keep it: ${stageText(first)}${whose}`;
}
