// @ts-check
/**
 * normal: Is an ordinary day fast, and does everything succeed?
 *
 * 100 users in rooms of ten send a message each second, for ten minutes: 100 messages a second in, 1,000 out.
 *
 * Options: USERS=100  SECONDS=600  RAMP=30  RATE=1  ROOM_SIZE=10
 * Short form: 100 users, 20 s.
 * Thresholds: acks and deliveries p95 under 300 ms, everything succeeds, nothing late, lost, doubled, reordered,
 * unrecovered.
 * (The short form judges only the faults, because other work shares the machine.)
 *
 *   npm run k6 -- normal
 */
import { sendSteadily } from './lib/behaviour.js';
import { script } from './lib/script.js';

export const { options, setup, users, watch, handleSummary } = script({
  name: 'normal',
  question: 'Is an ordinary day fast, and does everything succeed?',
  full: { users: 100, seconds: 600, ramp: 30, rate: 1 },
  short: { seconds: 20, ramp: 5 },
  fullThresholds: {
    parley_failed: ['rate==0'],
    parley_dropped: ['count==0'],
    parley_ack: ['p(95)<300'],
    parley_delivery: ['p(95)<300'],
  },
  behave: sendSteadily,
});
