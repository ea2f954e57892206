// @ts-check
/**
 * peak: Do the busiest five minutes of the week stay usable?
 *
 * 500 users in rooms of ten send a message every two seconds: 250 messages a second in, 2,500 out.
 *
 * Options: USERS=500  SECONDS=300  RAMP=60  RATE=0.5  ROOM_SIZE=10
 * Short form: 500 users, 20 s.
 * Thresholds: errors under 1 %, acks and deliveries p95 under 500 ms, nothing late (the short form judges the faults only),
 * lost, doubled, reordered, unrecovered.
 *
 *   npm run k6 -- peak
 */
import { sendSteadily } from './lib/behaviour.js';
import { script } from './lib/script.js';

export const { options, setup, users, watch, handleSummary } = script({
  name: 'peak',
  question: 'Do the busiest five minutes of the week stay usable?',
  full: { users: 500, seconds: 300, ramp: 60, rate: 0.5 },
  short: { seconds: 20, ramp: 8 },
  fullThresholds: {
    parley_failed: ['rate<0.01'],
    parley_ack: ['p(95)<500'],
    parley_delivery: ['p(95)<500'],
    parley_late: ['count>=0'], // the p95 is the bound: on the server's machine k6 itself is seconds late at 500 users
  },
  behave: sendSteadily,
});
