/** The commands by which a user decides who may reach them. */
import { z } from 'zod';
import { pageLimit, type Declarations } from '../command-schema.ts';
import { limits } from '../limits.ts';
import { instant, userId } from '../model.ts';

const aUser = z.object({ user: userId });

export const userCommands = {
  'user:block': {
    about:
      'Blocks a user. No invitation, direct room or mention by them reaches you, `@room` among them, and you do not ' +
      'see their presence. To them you are offline since the block, as far as you share a room. You leave your ' +
      'direct room with them. They are not informed, and their commands are answered as before. Blocking again ' +
      `changes nothing. At most ${limits.userBlocks.toLocaleString('en')} a user.`,
    kind: 'write',
    weight: 2,
    scope: 'users',
    http: { method: 'PUT', path: '/blocks/{user}' },
    input: aUser,
    output: z.object({}),
    errors: ['limit_reached'],
  },
  'user:unblock': {
    about:
      'Lifts a block. An invitation that the user made meanwhile is visible from then on. So are mentions from ' +
      'before the block, and mentions of everybody. Your presence is visible to the user again. Without a block ' +
      'nothing changes.',
    kind: 'write',
    weight: 2,
    scope: 'users',
    http: { method: 'DELETE', path: '/blocks/{user}' },
    input: aUser,
    output: z.object({}),
    errors: [],
  },
  'user:blocks': {
    about: 'The users whom you have blocked, in user id order. Pass `after` on for the next page.',
    kind: 'read',
    weight: 2,
    scope: 'users',
    http: { method: 'GET', path: '/blocks', pages: { items: 'blocks', next: [{ from: 'after', to: 'after' }] } },
    answer: 'list',
    input: z.object({ after: userId.optional(), limit: pageLimit }),
    output: z.object({
      blocks: z.array(z.object({ user: userId, at: instant.describe('when you blocked them') })),
      after: userId.nullable(),
      more: z.boolean(),
    }),
    errors: [],
  },
} as const satisfies Declarations;
