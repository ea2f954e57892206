// @ts-check
/**
 * The frame of every script: the connects of the users, their behaviour until the load ends, the last check, and the summary.
 *
 *   setup            waits for the server, makes the rooms (owned by one user that is not counted)
 *   users            one iteration a virtual user, which holds `perVu` users: enter, behave, audit, settle, leave
 *   watch            reads the server's /metrics meanwhile
 *   handleSummary    JSON and HTML into k6/results, the verdict on the terminal
 */
import exec from 'k6/execution';
import { now, sleep, sleepUntil } from './clock.js';
import { count, flushCounts, coverage, zeroCounts } from './metrics.js';
import { Audit } from './oracle.js';
import { guest, isReady, Parley } from './parley.js';
import { isShort, secret, settingsOf, target } from './settings.js';
import { summarize } from './summary.js';
import { mintToken } from './token.js';
import { roomName, User } from './user.js';
import { readMetrics, watchServer } from './watch.js';

/**
 * @template {Record<string, number>} T
 * @typedef {object} Script
 * @property {string} name
 * @property {string} question as a sentence
 * @property {T} full
 * @property {Partial<T> & Partial<import('./settings.js').Settings>} short
 * @property {(user: User & {settings: import('./settings.js').Settings & T}) => Promise<unknown>} behave until `user.over`
 * @property {Record<string, string[]>} [thresholds]
 * @property {Record<string, string[]>} [fullThresholds] only in the full form
 * @property {(index: number, settings: any) => number} [connectAt] seconds after the start; default: evenly over the ramp
 * @property {(settings: any) => number} [roomCount]
 * @property {(index: number, settings: any) => number[]} [roomsOf] default: `roomSize` neighbours share one
 * @property {(index: number) => string} [urlOf] where a user connects
 * @property {(settings: any) => {seconds: number, label: string}[]} [slicesOf] parts of the load that are measured apart
 * @property {boolean} [needsMetrics] the script needs the server's /metrics
 * @property {{ack95: number, failed: number}} [knee] the limits of a stage; the summary names the last stage within them
 */

const sliced = [
  'parley_ack',
  'parley_delivery',
  'parley_k6_lag',
  'parley_server_memory_mb',
  'parley_server_cpu_percent',
  'parley_acked',
  'parley_delivered',
  'parley_failed',
];

/**
 * The last read of the heads comes so long after the answers to the sends of this virtual user. Other sends end at the same
 * time, but their answers may be later. A message that is committed after the read counts as no fault.
 */
const quietMs = 2000;

/** Errors of a command or a connect: those of docs/errors.md, and those of the way. */
export const errorCodes = (
  'closed timeout unknown reset connect_error invalid unauthorized token_expired forbidden not_found not_member conflict ' +
  'too_large limit_reached rate_limited overloaded unavailable draining internal unknown_command'
).split(' ');

/**
 * @template {Record<string, number>} T
 * @param {Script<T>} definition
 */
export function script(definition) {
  const settings = settingsOf(definition.full, definition.short);
  const { users, perVu } = settings;
  const connectAt = definition.connectAt ?? ((/** @type {number} */ i) => (settings.ramp * i) / users);
  const roomCount = definition.roomCount?.(settings) ?? Math.max(1, Math.ceil(users / settings.roomSize));
  const roomsOf = definition.roomsOf ?? ((/** @type {number} */ i) => [Math.floor(i / settings.roomSize)]);
  const slices = definition.slicesOf?.(settings) ?? evenSlices(settings.seconds);
  const metricsUrl = __ENV['METRICS_URL'] ?? `${target}/metrics`;

  /** @type {Record<string, string[]>} */
  const thresholds = {
    parley_lost: ['count==0'],
    parley_doubled: ['count==0'],
    parley_reordered: ['count==0'],
    parley_unrecovered: ['count==0'],
    parley_unaudited: ['count==0'],
    parley_unsent: ['count==0'],
    parley_checked: ['count>0'],
    parley_audited: ['count>0'],
    parley_finished: [`count>=${users}`],
    ...definition.thresholds,
    ...(isShort ? {} : { parley_late: ['count==0'], ...definition.fullThresholds }),
  };
  // k6 keeps a metric by tag only if it has a threshold; these always pass
  for (const metric of sliced) {
    const always = /acked|delivered/.test(metric) ? 'count>=0' : metric === 'parley_failed' ? 'rate>=0' : 'max>=0';
    slices.forEach((_, i) => (thresholds[`${metric}{slice:s${i}}`] = [always]));
  }

  for (const code of errorCodes) thresholds[`parley_errors{code:${code}}`] = ['count>=0'];

  const longest = `${Math.ceil(settings.seconds + settings.auditSeconds + 90)}s`;
  const once = { executor: /** @type {const} */ ('per-vu-iterations'), iterations: 1, maxDuration: longest };
  const options = {
    scenarios: {
      users: { ...once, exec: 'users', vus: Math.ceil(users / perVu), gracefulStop: '5s' },
      watch: { ...once, exec: 'watch', vus: 1, gracefulStop: '1s' },
    },
    thresholds,
    setupTimeout: '180s',
    summaryTrendStats: ['count', 'avg', 'min', 'med', 'p(75)', 'p(90)', 'p(95)', 'p(99)', 'p(99.9)', 'max'],
  };

  async function setup() {
    zeroCounts();
    for (const until = Date.now() + 30_000; !isReady(target); await sleep(500)) {
      if (Date.now() > until)
        throw new Error(`The server ${target} is not ready. PARLEY_URL names another one, and npm run k6 starts one.`);
    }
    if (definition.needsMetrics === true && readMetrics(metricsUrl) === undefined) {
      throw new Error(
        `Could not read ${metricsUrl}, from which this script takes the memory of the server. METRICS_URL names another address.`,
      );
    }
    const run = crypto.randomUUID().slice(0, 8);
    const owner = new Parley({ url: target, token: tokenFor(`k6-${run}-owner`), quiet: true }, noListener);
    await owner.connect();
    // a connection may have a hundred unanswered commands
    for (let from = 0; from < roomCount; from += 100) {
      const rooms = Array.from({ length: Math.min(100, roomCount - from) }, (_, i) => roomName(run, from + i));
      await Promise.all(rooms.map((id) => owner.persist('room:create', { kind: 'channel', id, name: id })));
    }
    owner.close();
    const start = Date.now() + 500;
    return { run, start, end: start + settings.seconds * 1000 };
  }

  /** @param {{run: string, start: number, end: number}} run */
  async function users_(run) {
    const first = exec.scenario.iterationInTest * perVu;
    const audit = new Audit();
    let called = false;
    const flusher = setInterval(flushCounts, 1000);
    const slicer = followSlices(run.start, slices);
    const here = await Promise.all(
      Array.from({ length: Math.min(perVu, users - first) }, async (_, k) => {
        const index = first + k;
        const name = `k6-${run.run}-${index}`;
        await sleepUntil(run.start + connectAt(index, settings) * 1000);
        const user = new User({
          index,
          name,
          token: tokenFor(name),
          url: definition.urlOf?.(index) ?? target,
          run,
          settings: /** @type {any} */ (settings),
          rooms: roomsOf(index, settings).map((n) => roomName(run.run, n)),
          audit,
          stopped: () => called,
          callOff: () => (called = true),
        });
        // the run was stopped before this user connected
        if (called || now() >= run.end) return { user, entered: false, spared: true };
        const entered = await user.enter();
        if (!entered) return { user, entered, spared: false };
        await definition.behave(/** @type {any} */ (user));
        await user.answered();
        return { user, entered, spared: false };
      }),
    );
    const until = now() + settings.auditSeconds * 1000;
    const quiet = sleep(quietMs);
    const present = here.filter(({ entered }) => entered).map(({ user }) => user);
    for (const { client } of present) client.stopCounting();
    await Promise.all(
      audit.rooms.map(async (room) => {
        const member = present.find(({ rooms }) => rooms.includes(room));
        if (member !== undefined) await audit.check(room, member.client, until);
      }),
    );
    await quiet;
    const settled = await Promise.all(present.map(settle));
    for (const { user } of here) user.client.close();
    await sleep(0); // each client calls `closed` of its witness, which counts events since the read
    slicer.stop();
    clearInterval(flusher);
    count(coverage.finished, here.filter(({ spared }) => spared).length + settled.filter(Boolean).length);
    flushCounts();
  }

  /** @param {{run: string, start: number, end: number}} run */
  async function watch(run) {
    const slicer = followSlices(run.start, slices);
    await watchServer(metricsUrl, run, definition.needsMetrics === true);
    slicer.stop();
  }

  return {
    options,
    setup,
    users: users_,
    watch,
    /** @param {any} data */
    handleSummary: (data) => summarize(data, { script: definition, settings, slices, connectAt, short: isShort }),
  };
}

/**
 * @param {User} user
 * @returns {Promise<boolean>} whether the user's last check ended
 */
async function settle(user) {
  try {
    await user.witness.settle(user.client);
    return true;
  } catch (error) {
    console.error(`The last check of ${user.name} failed: ${String(error)}`);
    return false;
  }
}

/** @param {string} user */
function tokenFor(user) {
  return secret === '' ? guest(target, user).token : mintToken(secret, { user });
}

const nothing = () => {};
/** The listener of connections without a witness. */
const noListener = {
  opening: nothing,
  ready: nothing,
  joined: nothing,
  left: nothing,
  live: nothing,
  changed: nothing,
  behind: nothing,
  pulled: nothing,
  inSync: nothing,
  closed: nothing,
};

/** @param {number} seconds */
function evenSlices(seconds) {
  const n = Math.max(1, Math.min(20, Math.floor(seconds / 1.5)));
  return Array.from({ length: n }, (_, i) => ({
    seconds: seconds / n,
    label: clock((seconds / n) * (i + 1)),
  }));
}

/** @param {number} seconds */
function clock(seconds) {
  const minutes = Math.floor(seconds / 60);
  return seconds < 120 ? `${Math.round(seconds)} s` : `${minutes}:${String(Math.round(seconds % 60)).padStart(2, '0')}`;
}

/**
 * Sets the tag `slice` of this virtual user to the running part of the load.
 * @param {number} start
 * @param {readonly {seconds: number}[]} slices
 */
function followSlices(start, slices) {
  const ends = slices.map((_, i) => slices.slice(0, i + 1).reduce((sum, { seconds }) => sum + seconds * 1000, start));
  let timer = 0;
  const step = () => {
    const i = ends.findIndex((end) => now() < end);
    flushCounts();
    exec.vu.metrics.tags['slice'] = i === -1 ? 'after' : `s${i}`;
    const next = ends[i];
    if (next !== undefined) timer = setTimeout(step, next - now() + 1);
  };
  step();
  return { stop: () => clearTimeout(timer) };
}
