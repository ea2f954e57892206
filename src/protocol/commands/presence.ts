/** Who is online. */
import { z } from 'zod';
import type { Declarations } from '../command-schema.ts';
import { limits } from '../limits.ts';
import { presence, userId } from '../model.ts';

const someUsers = z.array(userId).max(limits.presenceUsers, `at most ${limits.presenceUsers} users`);

export const presenceCommands = {
  'presence:get': {
    about:
      'Which of these users are online: have a connection to any node, or had one within the last 5 seconds. You may see ' +
      'yourself and those with whom you share a room; the answer leaves out all others, whether they exist or not. It ' +
      'leaves out users whom you have blocked. A user who has blocked you is offline, last seen at the moment of the block.',
    kind: 'read',
    weight: 2,
    answer: 'list',
    input: z.object({ users: someUsers }),
    output: z.object({ presence: z.record(userId, presence) }),
    errors: [],
  },
  'presence:watch': {
    about:
      `The same, and from now on \`presence\` events for those in the answer; nothing falls between. At most ` +
      `${limits.presenceWatched} users a connection. A watch is of this connection: begin it again after a reconnect. ` +
      'Who is left out is not watched: ask again once you share a room. When the last shared room is gone the watch ends ' +
      'with `hidden`: mostly at once, within 30 seconds at the latest.',
    kind: 'read',
    weight: 2,
    answer: 'list',
    input: z.object({ users: someUsers }),
    output: z.object({ presence: z.record(userId, presence) }),
    errors: ['limit_reached'],
  },
  'presence:unwatch': {
    about: 'Ends the watch of these users; without `users` all of them.',
    kind: 'read',
    weight: 1,
    input: z.object({ users: someUsers.optional() }),
    output: z.object({}),
    errors: [],
  },
} as const satisfies Declarations;
