// @ts-check
/**
 * baseline: What does Parley do when nothing is wrong?
 *
 * 100 users in rooms of ten send a message every five seconds, for five minutes. Other scripts compare with these figures.
 * Nothing may fail, and no connection may end.
 *
 * Options, by environment (k6/README.md has the common ones):
 *   USERS=100  SECONDS=300  RAMP=20  RATE=0.2  ROOM_SIZE=10
 * Short form: 50 users, 20 s, each once a second.
 * Thresholds: nothing lost, doubled, reordered, unrecovered; in the full form also: nothing late or failed, no connection
 * dropped.
 *
 *   npm run k6 -- baseline
 *   SHORT=1 PARLEY_URL=https://chat.example PARLEY_SECRET=… k6 run k6/baseline.js
 */
import { sendSteadily } from './lib/behaviour.js';
import { script } from './lib/script.js';

export const { options, setup, users, watch, handleSummary } = script({
  name: 'baseline',
  question: 'What does it do when nothing is wrong?',
  full: { users: 100, seconds: 300, ramp: 20, rate: 0.2 },
  short: { users: 50, seconds: 20, ramp: 3, rate: 1 },
  fullThresholds: { parley_failed: ['rate==0'], parley_dropped: ['count==0'] },
  behave: sendSteadily,
});
