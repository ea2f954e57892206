// @ts-check
/**
 * The frame of every script: who comes when, what they do until the load ends, the last check, and the summary.
 *
 *   setup            waits for the server, makes the rooms (owned by one user that is not counted)
 *   users            one iteration a virtual user, which holds `perVu` users: arrive, behave, audit, settle, leave
 *   watch            reads the server's /metrics beside it
 *   handleSummary    JSON and HTML into k6/results, the verdict on the terminal
 */
import exec from 'k6/execution';
import { now, sleep, sleepUntil } from './clock.js';
import { count, flushCounts, looked, zeroCounts } from './metrics.js';
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
 * @property {string} asks the question, as a sentence
 * @property {T} full
 * @property {Partial<T> & Partial<import('./settings.js').Settings>} short
 * @property {(user: User & {settings: import('./settings.js').Settings & T}) => Promise<unknown>} behave until `user.over`
 * @property {Record<string, string[]>} [thresholds]
 * @property {Record<string, string[]>} [fullThresholds] only in the full form
 * @property {(index: number, settings: any) => number} [arrival] seconds after the start; default: evenly over the ramp
 * @property {(settings: any) => number} [roomCount]
 * @property {(index: number, settings: any) => number[]} [roomsOf] default: `roomSize` neighbours share one
 * @property {(index: number) => string} [urlOf] where a user connects
 * @property {(settings: any) => {seconds: number, label: string}[]} [slicesOf] parts of the load that are measured apart
 * @property {boolean} [needsMetrics] without the server's /metrics it makes no sense
 * @property {{ack95: number, failed: number}} [knee] what a stage has to keep; the summary names the last that did
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
 * The last look at the heads of the rooms comes so long after this virtual user's own sends are answered. Those of others
 * end at the same time but may be answered a little later, and what is committed after the look is held against nobody.
 */
const quietMs = 2000;

/** What a command or a connect may fail with: docs/errors.md, and what happens on the way. */
export const errorCodes = (
  'closed timeout unknown reset connect_error invalid unauthorized token_expired forbidden not_found not_member conflict ' +
  'too_large limit_reached rate_limited overloaded unavailable draining internal unknown_command'
).split(' ');

/**
 * @template {Record<string, number>} T
 * @param {Script<T>} asked
 */
export function script(asked) {
  const settings = settingsOf(asked.full, asked.short);
  const { users, perVu } = settings;
  const arrival = asked.arrival ?? ((/** @type {number} */ i) => (settings.ramp * i) / users);
  const roomCount = asked.roomCount?.(settings) ?? Math.max(1, Math.ceil(users / settings.roomSize));
  const roomsOf = asked.roomsOf ?? ((/** @type {number} */ i) => [Math.floor(i / settings.roomSize)]);
  const slices = asked.slicesOf?.(settings) ?? evenSlices(settings.seconds);
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
    ...asked.thresholds,
    ...(isShort ? {} : { parley_late: ['count==0'], ...asked.fullThresholds }),
  };
  // k6 keeps a metric by tag only if a threshold asks for it; these ask nothing
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
      if (Date.now() > until) throw new Error(`${target} is not ready: set PARLEY_URL, or use npm run k6`);
    }
    if (asked.needsMetrics === true && readMetrics(metricsUrl) === undefined) {
      throw new Error(
        `${metricsUrl} does not answer, and this script reads the server's memory there: set METRICS_URL`,
      );
    }
    const run = crypto.randomUUID().slice(0, 8);
    const owner = new Parley({ url: target, token: tokenFor(`k6-${run}-owner`), quiet: true }, deaf);
    await owner.connect();
    // in hundreds: a connection may have so many commands unanswered
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
        await sleepUntil(run.start + arrival(index, settings) * 1000);
        const user = new User({
          index,
          name,
          token: tokenFor(name),
          url: asked.urlOf?.(index) ?? target,
          run,
          settings: /** @type {any} */ (settings),
          rooms: roomsOf(index, settings).map((n) => roomName(run.run, n)),
          audit,
          stopped: () => called,
          callOff: () => (called = true),
        });
        // called off while it waited for its turn
        if (called || now() >= run.end) return { user, arrived: false, spared: true };
        const arrived = await user.arrive();
        if (!arrived) return { user, arrived, spared: false };
        await asked.behave(/** @type {any} */ (user));
        await user.answered();
        return { user, arrived, spared: false };
      }),
    );
    const until = now() + settings.auditSeconds * 1000;
    const quiet = sleep(quietMs);
    const present = here.filter(({ arrived }) => arrived).map(({ user }) => user);
    for (const { client } of present) client.hush();
    await Promise.all(
      audit.rooms.map(async (room) => {
        const member = present.find(({ rooms }) => rooms.includes(room));
        if (member !== undefined) await audit.check(room, member.client, until);
      }),
    );
    await quiet;
    const settled = await Promise.all(present.map(settle));
    for (const { user } of here) user.client.close();
    await sleep(0); // each client tells its witness that it is closed, which counts what came since the look
    slicer.stop();
    clearInterval(flusher);
    count(looked.finished, here.filter(({ spared }) => spared).length + settled.filter(Boolean).length);
    flushCounts();
  }

  /** @param {{run: string, start: number, end: number}} run */
  async function watch(run) {
    const slicer = followSlices(run.start, slices);
    await watchServer(metricsUrl, run, asked.needsMetrics === true);
    slicer.stop();
  }

  return {
    options,
    setup,
    users: users_,
    watch,
    /** @param {any} data */
    handleSummary: (data) => summarize(data, { script: asked, settings, slices, arrival, short: isShort }),
  };
}

/**
 * @param {User} user
 * @returns {Promise<boolean>} whether its last check came to its end
 */
async function settle(user) {
  try {
    await user.witness.settle(user.client);
    return true;
  } catch (error) {
    console.error(`the last check of ${user.name} failed: ${String(error)}`);
    return false;
  }
}

/** @param {string} user */
function tokenFor(user) {
  return secret === '' ? guest(target, user).token : mintToken(secret, { user });
}

const nothing = () => {};
/** For connections that nobody watches. */
const deaf = {
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
 * Keeps this virtual user's tag `slice` at the part of the load that runs.
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
