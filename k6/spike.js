// @ts-check
/**
 * spike: Does Parley hold when everybody connects at once?
 *
 * 100 users send messages for a minute. Then 900 more connect within a minute, and all send for another minute. The first
 * hundred must not notice, and no user may be refused for good.
 *
 * Options: USERS=1000  BASE=100 users from the beginning  BEFORE=60 s  RAMP=60 s for the others  AFTER=60 s  RATE=0.5
 * Short form: 40 to 400 in 6 s.
 * Thresholds: errors under 1 %, nothing lost, doubled, reordered, unrecovered; everybody gets in.
 *
 *   npm run k6 -- spike
 */
import { sendSteadily } from './lib/behaviour.js';
import { script } from './lib/script.js';
import { settingsOf } from './lib/settings.js';

const full = { users: 1000, base: 100, before: 60, ramp: 60, after: 60, rate: 0.5, seconds: 0 };
const short = { users: 400, base: 40, before: 5, ramp: 6, after: 10 };
const { before, ramp, after } = settingsOf(full, short);
const seconds = before + ramp + after;

export const { options, setup, users, watch, handleSummary } = script({
  name: 'spike',
  question: 'Does it hold when everybody comes at once?',
  full: { ...full, seconds },
  short: { ...short, seconds },
  // k6 opens hundreds of sockets while it reads, so on the server's machine k6 itself is late
  fullThresholds: { parley_failed: ['rate<0.01'], parley_late: ['count>=0'] },
  connectAt: (index, s) => (index < s.base ? 0 : s.before + (s.ramp * (index - s.base)) / (s.users - s.base)),
  behave: sendSteadily,
});
