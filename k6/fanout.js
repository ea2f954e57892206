// @ts-check
/**
 * fanout: Does one sender reach every listener, in order?
 *
 * One sender and 1,000 listeners are in one room. Ten messages a second make 10,000 deliveries. Each listener checks that it
 * receives each message once, in order.
 *
 * Options: USERS=1001 (the first is the sender)  SECONDS=120  RAMP=15  RATE=10  BODY_BYTES=100  SAMPLE=10  PER_VU=50
 * Short form: 200 listeners, 20 s.
 * Thresholds: nothing lost, doubled, reordered, unrecovered; no connection dropped.
 *
 *   npm run k6 -- fanout
 *   USERS=5001 RATE=2 npm run k6 -- fanout
 */
import { sleepUntil } from './lib/clock.js';
import { script } from './lib/script.js';

export const { options, setup, users, watch, handleSummary } = script({
  name: 'fanout',
  question: 'Does one sender reach every listener, in order?',
  full: { users: 1001, seconds: 120, ramp: 15, rate: 10, sample: 10, perVu: 50, pending: 100 },
  short: { users: 201, seconds: 20, ramp: 3, sample: 1 },
  // ten thousand deliveries a second keep k6 busy, and k6 shares the machine with the server
  fullThresholds: { parley_dropped: ['count==0'], parley_late: ['count>=0'] },
  roomCount: () => 1,
  roomsOf: () => [0],
  behave: (user) =>
    user.index === 0 ? user.every(1000 / user.settings.rate, () => user.say()) : sleepUntil(user.run.end),
});
