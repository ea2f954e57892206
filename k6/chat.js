// @ts-check
/**
 * chat: Do people who read, write, type and browse get what they expect?
 *
 * Each user reads ten pages of history for each message that the user sends. A user sends a typing signal first, and marks
 * messages as read. Sometimes a user edits a message, reacts to one, or visits another room (joins it, reads, leaves).
 *
 * Options: USERS=200  SECONDS=300  RAMP=20  RATE=0.2 messages a second of each  READS=10 a message  ROOM_SIZE=20
 *   VISITS=0.05 a message  EDITS=0.1 a message  REACTIONS=0.2 a message
 * Short form: 40 users, 20 s, a message every two seconds.
 * Thresholds: errors under 1 %, nothing lost, doubled, reordered, unrecovered; in the full form nothing late.
 *
 *   npm run k6 -- chat
 */
import { now, sleep } from './lib/clock.js';
import { script } from './lib/script.js';
import { roomName } from './lib/user.js';

/** @typedef {import('./lib/user.js').User} User */

export const { options, setup, users, watch, handleSummary } = script({
  name: 'chat',
  question: 'Do people who read, write, type and browse get what they expect?',
  full: {
    users: 200,
    seconds: 300,
    ramp: 20,
    rate: 0.2,
    reads: 10,
    visits: 0.05,
    edits: 0.1,
    reactions: 0.2,
    roomSize: 20,
    visitRooms: 5,
  },
  short: { users: 40, seconds: 20, ramp: 3, rate: 0.5, roomSize: 10 },
  thresholds: { parley_signals: ['count>0'] },
  // late: k6 parses pages of history for most of its time here, which the server does not cause
  fullThresholds: { parley_failed: ['rate<0.01'], parley_late: ['count>=0'] },
  roomCount: ({ users: all, roomSize, visitRooms }) => Math.ceil(all / roomSize) + visitRooms,
  behave: async (user) => {
    const each = 1000 / user.settings.rate;
    await Promise.all([
      user.every(each, () => void write(user)),
      user.every(each / user.settings.reads, () => void read(user)),
      user.every(each * 2, () => void mark(user)),
      user.every(each / user.settings.edits, () => void edit(user)),
      user.every(each / user.settings.reactions, () => void react(user)),
      user.every(each / user.settings.visits, () => void visit(user)),
    ]);
    while (visiting.has(user)) await sleep(20); // the last check is of the user's rooms
  },
});

/** @param {User} user */
async function write(user) {
  const room = user.rooms[0];
  await user.request('signal', { room, name: 'typing', data: { on: true } });
  await sleep(200 + Math.random() * 800);
  if (!user.over) user.say(room);
}

/** Reads the newest page, and sometimes an older one. @param {User} user */
async function read(user) {
  const page = await user.request('history', { room: user.rooms[0], limit: 20 });
  if (page?.more === true && Math.random() < 0.3) {
    await user.request('history', { room: user.rooms[0], limit: 20, before: page.before });
  }
}

/** @param {User} user @returns {Promise<number | undefined>} */
async function newest(user) {
  const page = await user.request('history', { room: user.rooms[0], limit: 1 });
  return page?.messages[0]?.seq;
}

/** @param {User} user */
async function mark(user) {
  const seq = await newest(user);
  if (seq !== undefined) await user.request('read', { room: user.rooms[0], seq });
}

/** @param {User} user */
async function edit(user) {
  if (user.said === undefined) return;
  const { room, seq } = user.said;
  await user.request('message:edit', { room, seq, body: { text: `edited at ${now()}` } });
}

/** Adds a reaction, or removes it. Removing a missing reaction changes nothing. @param {User} user */
async function react(user) {
  const seq = await newest(user);
  if (seq === undefined) return;
  const name = Math.random() < 0.7 ? 'reaction:add' : 'reaction:remove';
  await user.request(name, { room: user.rooms[0], seq, emoji: '👍' });
}

/** @type {Set<User>} users that visit a room of others */
const visiting = new Set();

/** @param {User} user */
async function visit(user) {
  if (visiting.has(user)) return;
  visiting.add(user);
  const { users: all, roomSize, visitRooms } = /** @type {any} */ (user.settings);
  const room = roomName(user.run.run, Math.ceil(all / roomSize) + Math.floor(Math.random() * visitRooms));
  try {
    await user.client.join(room);
    await user.request('history', { room, limit: 20 });
    await user.client.leave(room);
  } catch {
    // the failure has been counted
  } finally {
    visiting.delete(user);
  }
}
