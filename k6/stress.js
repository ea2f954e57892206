// @ts-check
/**
 * stress: Where does Parley break?
 *
 * Each stage adds users, up to USERS or until the server breaks. Each user sends a message each second in a room of ten. A
 * virtual user finds a stage broken if the p95 of its acks is over BREAK_MS, or BREAK_PERCENT of its sends are late. That
 * virtual user stops all others with a message in a room for that purpose, and all begin the last check. The summary names
 * the knee: the last stage up to which every stage had an ack p95 up to KNEE_MS and at most 1 % errors.
 *
 * Compare the knee with the lag of k6. At tens of milliseconds k6 is the bottleneck, and not the server. On one machine both
 * share its cores.
 *
 * Options: USERS=3000  STEP=200 users a stage  STAGE=20 seconds a stage  RATE=1  ROOM_SIZE=10
 *   KNEE_MS=500  BREAK_MS=2000  BREAK_PERCENT=5
 * Short form: stages of 100 for 5 s, up to 500.
 * Thresholds: nothing lost, doubled, reordered, unrecovered, also past the knee.
 *
 *   npm run k6 -- stress
 *   USERS=10000 STEP=500 npm run k6 -- stress --postgres
 */
import { now } from './lib/clock.js';
import { script } from './lib/script.js';
import { stageOf, stageSeconds, stopWhenBroken } from './lib/stages.js';
import { settingsOf } from './lib/settings.js';

const full = {
  users: 3000,
  step: 200,
  stage: 20,
  rate: 1,
  kneeMs: 500,
  breakMs: 2000,
  breakPercent: 5,
  seconds: 0,
  auditSeconds: 240,
};
const short = { users: 500, step: 100, stage: 5, auditSeconds: 60 };
const { seconds, kneeMs } = stageSeconds(settingsOf(full, short));

export const { options, setup, users, watch, handleSummary } = script({
  name: 'stress',
  question: 'Where does it break, and what is still true there?',
  full: { ...full, seconds },
  short: { ...short, seconds },
  knee: { ack95: kneeMs, failed: 0.01 },
  // an unsent message past the knee is no fault; each acknowledged message must be there
  thresholds: { parley_unsent: ['count>=0'] },
  fullThresholds: { parley_late: ['count>=0'] }, // past the knee every delivery is late
  connectAt: (index, { step, stage }) => Math.floor(index / step) * stage + (0.2 * stage * (index % step)) / step,
  slicesOf: ({ users: most, step, stage }) =>
    Array.from({ length: Math.ceil(most / step) }, (_, i) => ({
      seconds: stage,
      label: String(Math.min(most, (i + 1) * step)),
    })),
  // the first user of each virtual user is in the room of the message that stops the run
  roomCount: ({ users: most, roomSize }) => 1 + Math.ceil(most / roomSize),
  roomsOf: (index, { roomSize, perVu }) => [1 + Math.floor(index / roomSize), ...(index % perVu === 0 ? [0] : [])],
  behave: (user) => {
    const broken = stopWhenBroken(user);
    return user.every(1000 / user.settings.rate, () => {
      broken(stageOf(user.run, user.settings, now()));
      user.say();
    });
  },
});
