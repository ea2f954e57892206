// @ts-check
/** Reads the /metrics of the server while the load runs. */
import http from 'k6/http';
import { now, sleepUntil } from './clock.js';
import { server } from './metrics.js';

/**
 * @param {string} url
 * @returns {Map<string, number> | undefined} the values that have no labels
 */
export function readMetrics(url) {
  const answer = http.get(url, { tags: { name: 'metrics' }, timeout: '10s' });
  if (answer.status !== 200 || typeof answer.body !== 'string') return undefined;
  /** @type {Map<string, number>} */
  const values = new Map();
  for (const line of answer.body.split('\n')) {
    const [name, value] = line.split(' ');
    if (name !== undefined && value !== undefined && /^[a-z_0-9]+$/.test(name)) values.set(name, Number(value));
  }
  return values;
}

/** The slope over a few minutes is noise of garbage collection. */
export const leastForSlopeSeconds = 600;

/** The value of an unknown slope. k6 takes a Trend without values for 0, so a threshold would pass. */
const unknownSlope = 1e9;

/**
 * @param {string} url
 * @param {{start: number, end: number}} run
 * @param {boolean} needed a threshold judges these figures
 */
export async function watchServer(url, { start, end }, needed) {
  const everyMs = Math.min(10_000, Math.max(500, (end - start) / 60));
  /** @type {[number, number][]} hours and megabytes, of the last three quarters: the first one fills caches */
  const memory = [];
  let before = { at: 0, cpu: 0 };
  for (let due = start; due < end; due += everyMs) {
    await sleepUntil(due);
    const values = readMetrics(url);
    const at = now();
    const bytes = values?.get('process_resident_memory_bytes');
    if (values === undefined || bytes === undefined) continue;
    server.memory.add(bytes / 2 ** 20);
    if (at > start + (end - start) / 4) memory.push([at / 3_600_000, bytes / 2 ** 20]);
    const cpu = values.get('process_cpu_seconds_total') ?? 0;
    if (before.at > 0) server.cpu.add(((cpu - before.cpu) * 100_000) / (at - before.at));
    before = { at, cpu };
    server.loop.add((values.get('nodejs_eventloop_lag_p99_seconds') ?? 0) * 1000);
    const connections = values.get('parley_connections');
    if (connections !== undefined) server.connections.add(connections);
  }
  if (end - start < leastForSlopeSeconds * 1000) return;
  if (memory.length >= 3) server.slope.add(slope(memory));
  else if (needed) {
    console.error(
      `Read the memory of the server only ${memory.length} times from ${url} in the last three quarters of the run. ` +
        `Its growth is unknown, and counts as ${unknownSlope} MB/h.`,
    );
    server.slope.add(unknownSlope);
  }
}

/** The slope by least squares. @param {readonly [number, number][]} points */
function slope(points) {
  const [x, y] = [0, 1].map(
    (i) => points.reduce((sum, point) => sum + /** @type {number} */ (point[i]), 0) / points.length,
  );
  const mean = { x: x ?? 0, y: y ?? 0 };
  let [over, under] = [0, 0];
  for (const [px, py] of points) {
    over += (px - mean.x) * (py - mean.y);
    under += (px - mean.x) ** 2;
  }
  return under === 0 ? 0 : over / under;
}
