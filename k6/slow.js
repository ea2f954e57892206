// @ts-check
/**
 * slow: Do slow readers hold up others, and do they end with everything?
 *
 * k6 always reads its sockets, beside the script and into an unbounded queue. A slow script only delays itself, and the server
 * sees nothing. So a slow reader needs a slow wire. `npm run k6 -- slow` puts one in front of the server (k6/slow-link.ts).
 * The wire passes nothing to a client for STALL_MS of every CYCLE_MS, and every SLOW_ONE_IN-th user connects through it.
 * For a server of your own, run `node --import tsx k6/slow-link.ts` and name it with SLOW_URL. Without SLOW_URL the work of
 * these users is slow instead, which tests k6 more than the server. The page says so.
 *
 * Big messages fill the buffers. At 15 KB and 37 messages a second, a stall of 12 s leaves a client 6 MB behind. The kernel
 * holds less on both ends, so the server sends `behind`. A server that is started for this script sends it from 256 KB on.
 *
 * Options: USERS=30  SECONDS=180  SLOW_ONE_IN=5  RATE=1.25  BODY_BYTES=15000  SLOW_URL  STALL_MS=25000  CYCLE_MS=40000
 *   SYNC_BYTES=262144 of one pull
 * Short form: 15 users, 25 s, stalls of 12 in 15 s.
 * Thresholds: nothing lost, doubled, reordered, unrecovered; over the slow link the server has sent `behind`.
 *
 *   npm run k6 -- slow
 */
import { sendSteadily } from './lib/behaviour.js';
import { now } from './lib/clock.js';
import { script } from './lib/script.js';

const slowUrl = __ENV['SLOW_URL'] ?? '';
const one = Number(__ENV['SLOW_ONE_IN'] ?? 5);

export const { options, setup, users, watch, handleSummary } = script({
  name: 'slow',
  question:
    slowUrl === ''
      ? 'Does slow work hold up the others?'
      : 'Do slow readers hold up others, and do they end with everything?',
  full: {
    users: 30,
    seconds: 180,
    ramp: 5,
    rate: 1.25,
    roomSize: 30,
    bodyBytes: 15_000,
    slowOneIn: 5,
    syncBytes: 262_144,
  },
  short: { users: 15, seconds: 25, ramp: 2, rate: 2.5, roomSize: 15, perVu: 3, auditSeconds: 60 },
  thresholds: slowUrl === '' ? {} : { parley_behind: ['count>0'] },
  fullThresholds: { parley_late: ['count>=0'] }, // deliveries over the slow link are late by design
  urlOf: (index) =>
    slowUrl !== '' && index % one === one - 1 ? slowUrl : (__ENV['PARLEY_URL'] ?? 'http://localhost:3000'),
  behave: (user) => {
    const slow = user.index % one === one - 1;
    if (!slow) return sendSteadily(user);
    return user.every(1000, () => {
      if (slowUrl === '') for (const until = now() + 300; now() < until;); // blocks this virtual user
    });
  },
});
