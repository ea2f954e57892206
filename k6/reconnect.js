// @ts-check
/**
 * reconnect: everybody drops, comes back, and has to have everything.
 *
 * 500 users talk. Every EVERY seconds a SHARE of them goes at the same moment and comes back within AWAY_MS, while the
 * others go on talking: who returns pulls with `sync` from its cursors. Sends that were under way are repeated with the
 * same id. What is missing afterwards is `unrecovered`, what is there twice `doubled`.
 *
 * k6 closes with a close frame, it cannot cut the line; what a cut line does is in test/chaos and test/client.
 *
 * Options: USERS=500  SECONDS=180  RATE=0.5  EVERY=30  SHARE=0.8  AWAY_MS=5000  ROOM_SIZE=10
 * Short form: 60 users, 20 s, every 5 s, away up to 2 s.
 * Thresholds: nothing lost, doubled, reordered, unrecovered; connections did come back.
 *
 *   npm run k6 -- reconnect
 */
import { sleepUntil } from './lib/clock.js';
import { talk } from './lib/behaviour.js';
import { script } from './lib/script.js';

export const { options, setup, users, watch, handleSummary } = script({
  name: 'reconnect',
  asks: 'Does everybody who drops have everything after coming back?',
  full: { users: 500, seconds: 180, ramp: 15, rate: 0.5, every: 30, share: 0.8, awayMs: 5000 },
  short: { users: 60, seconds: 20, ramp: 2, rate: 2, every: 5, awayMs: 2000 },
  thresholds: { parley_reconnects: ['count>0'], parley_resync: ['max>0'] },
  // who is away cannot repeat a send that was cut off, and its delivery counts from the first try
  fullThresholds: { parley_failed: ['rate<0.01'], parley_late: ['count>=0'] },
  behave: (user) => Promise.all([talk(user), dropTogether(user)]),
});

/** At the same moments for everybody. @param {import('./lib/user.js').User} user */
async function dropTogether(user) {
  const { every, share, awayMs } = /** @type {any} */ (user.settings);
  const last = user.run.end - 1000;
  for (let at = user.run.start + every * 1000; at < last; at += every * 1000) {
    await sleepUntil(at);
    if (user.client.ready && Math.random() < share)
      user.client.drop(Math.random() * Math.min(awayMs, user.run.end - at));
  }
}
