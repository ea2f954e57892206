// @ts-check
/**
 * slow: some read slowly; do the others notice, and do the slow ones end with everything?
 *
 * k6 always reads its sockets: its reader runs beside the script and queues without end, so a script that is slow only
 * delays itself, and the server sees nothing. To be slow on the wire needs a slow wire. `npm run k6 -- slow` puts one in
 * front of the server (k6/slow-link.ts), which lets nothing through to a client for STALL_MS of every CYCLE_MS; every
 * SLOW_ONE_IN-th user goes through it. Against a server of your own run `node --import tsx k6/slow-link.ts` yourself and
 * name it with SLOW_URL. Without SLOW_URL those users are slow in working instead, which tests k6 more than the server; the
 * page says so.
 *
 * Big messages fill the buffers: at 15 KB and 37 a second a stall of 12 s is 6 MB behind, more than the kernel holds on both
 * ends, and the server says `behind`. A server that is started for this script does so from 256 KB of its own.
 *
 * Options: USERS=30  SECONDS=180  SLOW_ONE_IN=5  RATE=1.25  BODY_BYTES=15000  SLOW_URL  STALL_MS=25000  CYCLE_MS=40000
 *   SYNC_BYTES=262144 of one pull
 * Short form: 15 users, 25 s, stalls of 12 in 15 s.
 * Thresholds: nothing lost, doubled, reordered, unrecovered; over the slow link the server has said `behind`.
 *
 *   npm run k6 -- slow
 */
import { talk } from './lib/behaviour.js';
import { now } from './lib/clock.js';
import { script } from './lib/script.js';

const slowUrl = __ENV['SLOW_URL'] ?? '';
const one = Number(__ENV['SLOW_ONE_IN'] ?? 5);

export const { options, setup, users, watch, handleSummary } = script({
  name: 'slow',
  asks:
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
  fullThresholds: { parley_late: ['count>=0'] }, // the slow link is there to be late
  urlOf: (index) =>
    slowUrl !== '' && index % one === one - 1 ? slowUrl : (__ENV['PARLEY_URL'] ?? 'http://localhost:3000'),
  behave: (user) => {
    const slow = user.index % one === one - 1;
    if (!slow) return talk(user);
    return user.every(1000, () => {
      if (slowUrl === '') for (const until = now() + 300; now() < until;); // holds up this virtual user
    });
  },
});
