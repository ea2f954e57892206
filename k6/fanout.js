// @ts-check
/**
 * fanout: one speaks, many listen.
 *
 * One sender and 1,000 listeners in one room; ten messages a second make 10,000 deliveries. Each listener checks that it
 * hears all of them, once, in order.
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
  asks: 'Does one sender reach every listener, in order?',
  full: { users: 1001, seconds: 120, ramp: 15, rate: 10, sample: 10, perVu: 50, pending: 100 },
  short: { users: 201, seconds: 20, ramp: 3, sample: 1 },
  // ten thousand deliveries a second keep k6 itself busy, which shares the machine with the server
  fullThresholds: { parley_dropped: ['count==0'], parley_late: ['count>=0'] },
  roomCount: () => 1,
  roomsOf: () => [0],
  behave: (user) =>
    user.index === 0 ? user.every(1000 / user.settings.rate, () => user.say()) : sleepUntil(user.run.end),
});
