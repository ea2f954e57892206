// @ts-check
/**
 * stress: where does it break?
 *
 * Stage by stage more users, each saying something once a second in a room of ten, up to USERS or until it breaks. A
 * virtual user that finds a stage broken (its acks' p95 over BREAK_MS, or BREAK_PERCENT of its sends not answered in time)
 * tells all others through a room of its own, and all go over to the last check. The summary names the knee: the last stage of which
 * it and all before it had an ack p95 up to KNEE_MS and at most 1 % errors.
 *
 * Look at the k6 lag beside it: where that is tens of milliseconds, k6 is at its end and not the server. Both on one
 * machine share its cores.
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
  asks: 'Where does it break, and what is still true there?',
  full: { ...full, seconds },
  short: { ...short, seconds },
  knee: { ack95: kneeMs, failed: 0.01 },
  // what cannot be sent past the knee is no fault; what was acknowledged must be there
  thresholds: { parley_unsent: ['count>=0'] },
  fullThresholds: { parley_late: ['count>=0'] }, // past the knee all is late
  arrival: (index, { step, stage }) => Math.floor(index / step) * stage + (0.2 * stage * (index % step)) / step,
  slicesOf: ({ users: most, step, stage }) =>
    Array.from({ length: Math.ceil(most / step) }, (_, i) => ({
      seconds: stage,
      label: String(Math.min(most, (i + 1) * step)),
    })),
  // one of each virtual user is in the room through which the run is called off
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
