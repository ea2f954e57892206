// @ts-check
/**
 * rooms: Do many small rooms do as well as few?
 *
 * 200 users are in ten rooms each; each of the 400 rooms has five. Most messages go to few users, and one commit has messages
 * of many rooms.
 *
 * Options: USERS=200  ROOMS_EACH=10  ROOM_SIZE=5  SECONDS=180  RAMP=15  RATE=1 (over all rooms of a user)
 * Short form: 100 users, 20 s.
 * Thresholds: errors under 1 %, nothing lost, doubled, reordered, unrecovered; in the full form nothing late.
 *
 *   npm run k6 -- rooms
 *   USERS=1000 ROOMS_EACH=50 npm run k6 -- rooms --postgres
 */
import { script } from './lib/script.js';

const roomsOfAll = (/** @type {any} */ { users: all, roomsEach, roomSize }) => Math.ceil((all * roomsEach) / roomSize);

export const { options, setup, users, watch, handleSummary } = script({
  name: 'rooms',
  question: 'Do many small rooms do as well as few?',
  full: { users: 200, roomsEach: 10, roomSize: 5, seconds: 180, ramp: 15, rate: 1 },
  short: { users: 100, seconds: 20, ramp: 5 },
  fullThresholds: { parley_failed: ['rate<0.01'] },
  roomCount: roomsOfAll,
  // users that share one room share no other, as cards that are dealt again and again
  roomsOf: (index, settings) => {
    const { users: all, roomsEach, roomSize } = settings;
    const perHand = Math.ceil(all / roomSize);
    return Array.from(
      { length: roomsEach },
      (_, j) => (j * perHand + ((index + Math.floor(index / perHand) * j) % perHand)) % roomsOfAll(settings),
    );
  },
  behave: (user) =>
    user.every(1000 / user.settings.rate, () => user.say(user.rooms[Math.floor(Math.random() * user.rooms.length)])),
});
