// @ts-check
/** Every metric of the load tests. k6/README.md has the meaning of each. */
import { Counter, Rate, Trend } from 'k6/metrics';

/** Faults: each is a broken promise of the server. All have the threshold 0. */
export const faults = {
  lost: new Counter('parley_lost'),
  doubled: new Counter('parley_doubled'),
  reordered: new Counter('parley_reordered'),
  unrecovered: new Counter('parley_unrecovered'),
};

/** The extent of the oracle's checks. A run without a check proves nothing, so these have the threshold > 0. */
export const coverage = {
  /** Events that were compared with the order of their room. */
  checked: new Counter('parley_checked'),
  /** Acknowledged messages that the history of their room has once, with the right seq. */
  audited: new Counter('parley_audited'),
  /** Acknowledged messages for which the audit had no time. */
  unaudited: new Counter('parley_unaudited'),
  /** Users whose last check ended. */
  finished: new Counter('parley_finished'),
};

export const counts = {
  /** Deliveries later than LATE_MS after the send. */
  late: new Counter('parley_late'),
  sent: new Counter('parley_sent'),
  acked: new Counter('parley_acked'),
  delivered: new Counter('parley_delivered'),
  signals: new Counter('parley_signals'),
  /** Sends that were due while too many sends of the user were unanswered. */
  skipped: new Counter('parley_skipped'),
  /** Sends that a user gave up after a minute of tries with the same id. */
  unsent: new Counter('parley_unsent'),
  reconnects: new Counter('parley_reconnects'),
  /** Events `behind` of the server. */
  behind: new Counter('parley_behind'),
  pulled: new Counter('parley_pulled'),
  /** Connections that the server or the network ended. */
  dropped: new Counter('parley_dropped'),
};

/** By `code` and `command`. */
export const errors = new Counter('parley_errors');
/** The share of commands and connects without an `ok`. */
export const failed = new Rate('parley_failed');

export const times = {
  /** From the send to the ack. */
  ack: new Trend('parley_ack', true),
  /** From the send to the socket of each receiver. */
  delivery: new Trend('parley_delivery', true),
  /** From a command that is no send to its ack. */
  command: new Trend('parley_command', true),
  /** From the opening of a socket to `ready`. */
  connect: new Trend('parley_connect', true),
  /** From a reconnect to the end of the catch-up. */
  resync: new Trend('parley_resync', true),
  /** The delay of k6 itself. When this grows, the load generator is the bottleneck. */
  lag: new Trend('parley_k6_lag', true),
};

/** Figures of the server's process, read from its /metrics. */
export const server = {
  memory: new Trend('parley_server_memory_mb'),
  cpu: new Trend('parley_server_cpu_percent'),
  loop: new Trend('parley_server_loop_delay', true),
  connections: new Trend('parley_server_connections'),
  slope: new Trend('parley_server_memory_slope_mb_h'),
};

/** Counts until the next flush to k6, once a second: an `add` costs k6 as much as parsing a short frame. */
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

/** Adds 0 to each counter, so that the summary has an unused counter as 0, and its threshold is checked. */
export function zeroCounts() {
  for (const counter of [...Object.values(faults), ...Object.values(coverage), ...Object.values(counts), errors]) {
    counter.add(0);
  }
}
