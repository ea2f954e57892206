import type { CommandName } from '../protocol/commands.ts';

/** What a command takes of the connection's rate, about as its cost compares with a send's. */
export const commandWeights: Record<CommandName, number> = {
  'message:send': 1,
  'message:edit': 2,
  'message:delete': 2,
  'message:versions': 2,
  'reaction:add': 1,
  'reaction:remove': 1,
  'auth:refresh': 1,
  delivered: 1,
  history: 2,
  read: 1,
  'presence:get': 2,
  'presence:unwatch': 1,
  'presence:watch': 2,
  'room:create': 5,
  'room:invite': 2,
  'room:join': 2,
  'room:leave': 2,
  'room:list': 2,
  'room:members': 2,
  'room:receipts': 2,
  search: 10,
  // asks every node
  'session:list': 10,
  'session:revoke': 10,
  signal: 1,
  sync: 2,
  unread: 5,
};
