/** Read marks, delivered marks, and counts of unread messages. */
import type { Messaging } from '../../messaging.ts';
import type { receiptCommands } from '../../protocol/commands/receipts.ts';
import type { HandlersOf } from '../table.ts';

export function receiptHandlers(messaging: Messaging): HandlersOf<typeof receiptCommands> {
  const { readMarks } = messaging;
  return {
    read: ({ user }, { room, seq }) => readMarks.set(user.id, room, seq),
    // the statement skips marks of users that are no members; on a connection the command is refused before
    delivered: ({ user }, { room, seq }) => {
      readMarks.delivered(user.id, room, seq);
      return {};
    },
    'room:receipts': ({ user }, input) => messaging.receipts(user.id, input),
    unread: ({ user }, input) => messaging.unread(user.id, input),
  };
}
