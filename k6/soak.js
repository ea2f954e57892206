// @ts-check
/**
 * soak: Does Parley last for hours without growing?
 *
 * 300 users send a message every ten seconds for four hours. Each of them reconnects about every twenty minutes. The memory
 * of the server is read from its /metrics. The slope is that of least squares over the last three quarters, since the first
 * quarter fills caches.
 *
 * Options: USERS=300  SECONDS=14400  RAMP=120  RATE=0.1  COME_AND_GO=1200 s  METRICS_URL
 * Short form: 200 users, 20 s, a reconnect every 10 s. A slope takes ten minutes (SECONDS=600).
 * Thresholds: memory grows by less than 1 MB/h; errors under 0.1 %; nothing lost, doubled, reordered, unrecovered, late.
 *
 *   npm run k6 -- soak --postgres
 *   SECONDS=28800 USERS=500 npm run k6 -- soak --postgres
 */
import { sendSteadily } from './lib/behaviour.js';
import { script } from './lib/script.js';
import { isShort, settingsOf } from './lib/settings.js';
import { leastForSlopeSeconds } from './lib/watch.js';

const full = { users: 300, seconds: 4 * 3600, ramp: 120, rate: 0.1, comeAndGo: 1200, auditSeconds: 300 };
const short = { users: 200, seconds: 20, ramp: 4, rate: 1, comeAndGo: 10, auditSeconds: 45 };
const { seconds } = settingsOf(full, short);
if (!isShort && seconds < leastForSlopeSeconds) {
  throw new Error(
    `SECONDS=${seconds} is too short: soak measures the growth of memory, which takes ${leastForSlopeSeconds} s. SHORT=1 runs without it.`,
  );
}

export const { options, setup, users, watch, handleSummary } = script({
  name: 'soak',
  question: 'Does it last for hours without growing?',
  full,
  short,
  needsMetrics: true,
  fullThresholds: { parley_failed: ['rate<0.001'], parley_server_memory_slope_mb_h: ['max<1'] },
  behave: (user) =>
    Promise.all([
      sendSteadily(user),
      user.every(user.settings.comeAndGo * 1000, () => user.client.drop(500 + Math.random() * 2000)),
    ]),
});
