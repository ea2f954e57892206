// @ts-check
/**
 * connections: how many can be there at once, doing nothing, and then all speak?
 *
 * 10,000 users connect over a minute and keep silent for another; then each says one thing within TALK seconds, in rooms
 * of ten. Raise the number of open files first (ulimit -n), for k6 and for the server; from one address to one port there
 * are about 28,000 connections (net.ipv4.ip_local_port_range).
 *
 * Options: USERS=10000  RAMP=60  IDLE=60  TALK=60  ROOM_SIZE=10  PER_VU=100
 * Short form: 2,000 users, 10 s to come, 3 s silent, 8 s to speak.
 * Thresholds: errors under 1 %, nothing lost, doubled, reordered, unrecovered; no connection dropped.
 *
 *   npm run k6 -- connections --postgres
 *   USERS=25000 npm run k6 -- connections --postgres
 */
import { now, sleepUntil } from './lib/clock.js';
import { script } from './lib/script.js';
import { settingsOf } from './lib/settings.js';

const full = { users: 10_000, ramp: 60, idle: 60, talk: 60, perVu: 100, seconds: 0 };
const short = { users: 2000, ramp: 10, idle: 3, talk: 8 };
const { ramp, idle, talk } = settingsOf(full, short);
const seconds = ramp + idle + talk + 2;

export const { options, setup, users, watch, handleSummary } = script({
  name: 'connections',
  asks: 'Does it carry thousands of silent connections, and serve them all at once?',
  full: { ...full, seconds },
  short: { ...short, seconds },
  // ten thousand sockets keep k6 itself busy, which shares the machine with the server
  fullThresholds: { parley_failed: ['rate<0.01'], parley_dropped: ['count==0'], parley_late: ['count>=0'] },
  behave: async (user) => {
    const { settings, run } = user;
    await sleepUntil(run.start + (settings.ramp + settings.idle + settings.talk * Math.random()) * 1000);
    user.say();
    await sleepUntil(Math.max(now(), run.end));
  },
});
