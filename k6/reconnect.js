// @ts-check
/**
 * reconnect: Does everybody who drops have everything after coming back?
 *
 * 500 users send messages. Every EVERY seconds a SHARE of them closes at the same moment and comes back within OFFLINE_MS.
 * The others go on. A user that returns pulls with `sync` from its cursors, and repeats unanswered sends with the same id.
 * A message that is missing afterwards is `unrecovered`, and a message that is there twice is `doubled`.
 *
 * k6 closes with a close frame and cannot cut the line. test/chaos and test/client test a cut line.
 *
 * Options: USERS=500  SECONDS=180  RATE=0.5  EVERY=30  SHARE=0.8  OFFLINE_MS=5000  ROOM_SIZE=10
 * Short form: 60 users, 20 s, every 5 s, offline up to 2 s.
 * Thresholds: nothing lost, doubled, reordered, unrecovered; connections did come back.
 *
 *   npm run k6 -- reconnect
 */
import { sleepUntil } from './lib/clock.js';
import { sendSteadily } from './lib/behaviour.js';
import { script } from './lib/script.js';

export const { options, setup, users, watch, handleSummary } = script({
  name: 'reconnect',
  question: 'Does everybody who drops have everything after coming back?',
  full: { users: 500, seconds: 180, ramp: 15, rate: 0.5, every: 30, share: 0.8, offlineMs: 5000 },
  short: { users: 60, seconds: 20, ramp: 2, rate: 2, every: 5, offlineMs: 2000 },
  thresholds: { parley_reconnects: ['count>0'], parley_resync: ['max>0'] },
  // an offline user cannot repeat an unanswered send, and its delivery counts from the first try
  fullThresholds: { parley_failed: ['rate<0.01'], parley_late: ['count>=0'] },
  behave: (user) => Promise.all([sendSteadily(user), dropTogether(user)]),
});

/** Closes connections of all users at the same moments. @param {import('./lib/user.js').User} user */
async function dropTogether(user) {
  const { every, share, offlineMs } = /** @type {any} */ (user.settings);
  const last = user.run.end - 1000;
  for (let at = user.run.start + every * 1000; at < last; at += every * 1000) {
    await sleepUntil(at);
    if (user.client.ready && Math.random() < share)
      user.client.drop(Math.random() * Math.min(offlineMs, user.run.end - at));
  }
}
