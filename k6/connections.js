// @ts-check
/**
 * connections: Does Parley carry thousands of silent connections, and serve them all at once?
 *
 * 10,000 users connect over a minute and are silent for another. Then each sends one message within SPEAK seconds, in rooms
 * of ten. Raise the number of open files first (ulimit -n), for k6 and for the server. One address can open about 28,000
 * connections to one port (net.ipv4.ip_local_port_range).
 *
 * Options: USERS=10000  RAMP=60  IDLE=60  SPEAK=60  ROOM_SIZE=10  PER_VU=100
 * Short form: 2,000 users, 10 s to come, 3 s silent, 8 s to speak.
 * Thresholds: errors under 1 %, nothing lost, doubled, reordered, unrecovered; no connection dropped.
 *
 *   npm run k6 -- connections --postgres
 *   USERS=25000 npm run k6 -- connections --postgres
 */
import { now, sleepUntil } from './lib/clock.js';
import { script } from './lib/script.js';
import { settingsOf } from './lib/settings.js';

const full = { users: 10_000, ramp: 60, idle: 60, speak: 60, perVu: 100, seconds: 0 };
const short = { users: 2000, ramp: 10, idle: 3, speak: 8 };
const { ramp, idle, speak } = settingsOf(full, short);
const seconds = ramp + idle + speak + 2;

export const { options, setup, users, watch, handleSummary } = script({
  name: 'connections',
  question: 'Does it carry thousands of silent connections, and serve them all at once?',
  full: { ...full, seconds },
  short: { ...short, seconds },
  // ten thousand sockets keep k6 busy, and k6 shares the machine with the server
  fullThresholds: { parley_failed: ['rate<0.01'], parley_dropped: ['count==0'], parley_late: ['count>=0'] },
  behave: async (user) => {
    const { settings, run } = user;
    await sleepUntil(run.start + (settings.ramp + settings.idle + settings.speak * Math.random()) * 1000);
    user.say();
    await sleepUntil(Math.max(now(), run.end));
  },
});
