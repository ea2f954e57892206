// @ts-check
/**
 * spike: everybody comes at once.
 *
 * 100 users talk for a minute; then 900 more come within a minute, and all talk for another. What matters is what the
 * first hundred notice, and that nobody is turned away for good.
 *
 * Options: USERS=1000  BASE=100 users from the beginning  BEFORE=60 s  RAMP=60 s for the others  AFTER=60 s  RATE=0.5
 * Short form: 40 to 400 in 6 s.
 * Thresholds: errors under 1 %, nothing lost, doubled, reordered, unrecovered; everybody gets in.
 *
 *   npm run k6 -- spike
 */
import { talk } from './lib/behaviour.js';
import { script } from './lib/script.js';
import { settingsOf } from './lib/settings.js';

const full = { users: 1000, base: 100, before: 60, ramp: 60, after: 60, rate: 0.5, seconds: 0 };
const short = { users: 400, base: 40, before: 5, ramp: 6, after: 10 };
const { before, ramp, after } = settingsOf(full, short);
const seconds = before + ramp + after;

export const { options, setup, users, watch, handleSummary } = script({
  name: 'spike',
  asks: 'Does it hold when everybody comes at once?',
  full: { ...full, seconds },
  short: { ...short, seconds },
  // k6 opens hundreds of sockets beside what it reads: on a machine that it shares with the server it is late for that
  fullThresholds: { parley_failed: ['rate<0.01'], parley_late: ['count>=0'] },
  arrival: (index, s) => (index < s.base ? 0 : s.before + (s.ramp * (index - s.base)) / (s.users - s.base)),
  behave: talk,
});
