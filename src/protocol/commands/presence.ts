/** Presence: whether users are online. */
import { z } from 'zod';
import type { Declarations } from '../command-schema.ts';
import { limits } from '../limits.ts';
import { presence, roomId, userId } from '../model.ts';

const someUsers = z.array(userId).max(limits.presenceUsers, `at most ${limits.presenceUsers} users`);

export const presenceCommands = {
  'presence:get': {
    about:
      'The users of these that are online: they have a connection to any node, or had one within the last 5 ' +
      'seconds. You may see yourself and users with whom you share a room; the answer leaves out all others, ' +
      'whether they exist or not. The answer also leaves out users whom you have blocked. A user who has blocked ' +
      'you is offline, last seen at the moment of the block.',
    kind: 'read',
    weight: 2,
    scope: 'users',
    http: { method: 'GET', path: '/presence' },
    answer: 'list',
    input: z.object({ users: someUsers }),
    output: z.object({ presence: z.record(userId, presence) }),
    errors: [],
  },
  'presence:watch': {
    about:
      'Answers as `presence:get` does, and from now on sends `presence` events for the users in the answer; nothing ' +
      `falls between. At most ${limits.presenceWatched} users a connection. A watch is of this connection: begin it ` +
      'again after a reconnect. Users who are left out are not watched: call it again once you share a room. When ' +
      'the last shared room is gone the watch ends with `hidden`: mostly at once, within 30 seconds at the latest.',
    kind: 'read',
    weight: 2,
    scope: 'users',
    http: 'connection',
    answer: 'list',
    input: z.object({ users: someUsers }),
    output: z.object({ presence: z.record(userId, presence) }),
    errors: ['limit_reached'],
  },
  'presence:unwatch': {
    about: 'Ends the watch of these users; without `users` all of them.',
    kind: 'read',
    weight: 1,
    scope: 'users',
    http: 'connection',
    input: z.object({ users: someUsers.optional() }),
    output: z.object({}),
    errors: [],
  },
  'presence:state': {
    about:
      'Says what this connection does. `active`: the user has the page open and uses it; `room` is the room on the ' +
      'screen. `idle`: the page is open without input. `background`: the page is hidden. A message of the room on the ' +
      'screen of an active connection notifies nobody of its user. A connection that says nothing is not active.',
    kind: 'signal',
    weight: 1,
    scope: 'users',
    http: 'connection',
    input: z.object({ state: z.enum(['active', 'idle', 'background']), room: roomId.optional() }),
    output: z.object({}),
    errors: [],
  },
} as const satisfies Declarations;
