/** How a node repairs missed events, and from where it answers clients that return. */
import { number } from '../values.ts';
import { key } from './key.ts';

export const recoveryKeys = {
  headsPollMs: key(
    'PARLEY_HEADS_POLL_MS',
    'Time between two comparisons with Postgres. A comparison finds changed memberships and settings of rooms, and with Redis missed events. While Redis is unavailable, a node compares every second.',
    number(100, 600_000),
    '5000',
  ),
  replayMessages: key(
    'PARLEY_TAIL_MESSAGES',
    'Messages of each room in the replay buffer. The buffer answers clients that reconnect, without a query for each client. 0: no replay buffer.',
    number(0, 10_000),
    '256',
  ),
  replayBytes: key(
    'PARLEY_TAIL_BYTES',
    'Largest size of the replay buffer over all rooms.',
    number(0, 2 ** 40),
    String(64 * 1024 * 1024),
  ),
} as const;
