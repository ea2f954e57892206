import { setTimeout as delay } from 'node:timers/promises';
import type { RedisLink } from '../storage/redis.ts';

/** Nodes close the connections of a user within seconds; a dead node's users are offline after 15 s. */
const patienceMs = 20_000;
const pollMs = 100;

/**
 * Deletes the moment at which a user was there last. A node writes that moment when the last connection of the user ends, so the user's
 * connections end first.
 * @returns false: a node still holds the user as present, and will write the moment once more. Rejects while Redis is unavailable.
 */
export async function forgetPresence(link: RedisLink, prefix: string, user: string): Promise<boolean> {
  const [present, seen] = [`${prefix}presence:user:${user}`, `${prefix}presence:seen:${user}`];
  for (const end = performance.now() + patienceMs; ;) {
    const there = await link.commands.exists(present);
    if (there === 0 || performance.now() >= end) {
      await link.commands.del(seen);
      return there === 0;
    }
    await delay(pollMs);
  }
}
