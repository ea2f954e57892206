// @ts-check
/** Every metric of the kit. k6/README.md says what each means. */
import { Counter, Rate, Trend } from 'k6/metrics';

/** Faults: each is a promise of the server that was not kept. All have the threshold 0. */
export const faults = {
  lost: new Counter('parley_lost'),
  doubled: new Counter('parley_doubled'),
  reordered: new Counter('parley_reordered'),
  unrecovered: new Counter('parley_unrecovered'),
};

/** What the oracle looked at: a run in which it looked at nothing proves nothing, so these have the threshold > 0. */
export const looked = {
  /** Events that were held against the order of their room. */
  checked: new Counter('parley_checked'),
  /** Acknowledged messages that were found in their room's history, once, under the right number. */
  audited: new Counter('parley_audited'),
  /** Acknowledged messages that the time of the audit did not suffice for. */
  unaudited: new Counter('parley_unaudited'),
  /** Users whose last check came to its end. */
  finished: new Counter('parley_finished'),
};

export const counts = {
  /** Delivered later than LATE_MS after the sending. */
  late: new Counter('parley_late'),
  sent: new Counter('parley_sent'),
  acked: new Counter('parley_acked'),
  delivered: new Counter('parley_delivered'),
  signals: new Counter('parley_signals'),
  /** Sends that were due while too many of that user were unanswered. */
  skipped: new Counter('parley_skipped'),
  /** Given up after a minute of tries with the same id. */
  unsent: new Counter('parley_unsent'),
  reconnects: new Counter('parley_reconnects'),
  /** Times that the server said `behind`. */
  behind: new Counter('parley_behind'),
  pulled: new Counter('parley_pulled'),
  /** Connections that ended by themselves. */
  dropped: new Counter('parley_dropped'),
};

/** By `code` and `command`. */
export const errors = new Counter('parley_errors');
/** Share of commands and connects that were not answered with ok. */
export const failed = new Rate('parley_failed');

export const times = {
  /** Sending to ack. */
  ack: new Trend('parley_ack', true),
  /** Sending to each receiver's socket. */
  delivery: new Trend('parley_delivery', true),
  /** Commands besides sends. */
  command: new Trend('parley_command', true),
  /** Opening a socket to `ready`. */
  connect: new Trend('parley_connect', true),
  /** Coming back to holding all that was missed. */
  resync: new Trend('parley_resync', true),
  /** How late k6 itself was with what was due: when this grows, it is the load generator that is at its end. */
  lag: new Trend('parley_k6_lag', true),
};

/** Of the server's process, read from its /metrics. */
export const server = {
  memory: new Trend('parley_server_memory_mb'),
  cpu: new Trend('parley_server_cpu_percent'),
  loop: new Trend('parley_server_loop_delay', true),
  connections: new Trend('parley_server_connections'),
  slope: new Trend('parley_server_memory_slope_mb_h'),
};

/** Counters are gathered here and given to k6 once a second: adding one costs k6 as much as parsing a short frame. */
/** @type {Map<Counter, number>} */
const gathered = new Map();

/**
 * @param {Counter} counter
 * @param {number} [n]
 */
export function count(counter, n = 1) {
  gathered.set(counter, (gathered.get(counter) ?? 0) + n);
}

export function flushCounts() {
  for (const [counter, n] of gathered) if (n > 0) counter.add(n);
  gathered.clear();
}

/** So that a counter that nothing happened to stands in the summary as 0, and its threshold is looked at. */
export function zeroCounts() {
  for (const counter of [...Object.values(faults), ...Object.values(looked), ...Object.values(counts), errors]) {
    counter.add(0);
  }
}
