/** Read marks, delivered marks, and what is unread. */
import type { Messaging } from '../../messaging.ts';
import type { receiptCommands } from '../../protocol/commands/receipts.ts';
import type { HandlersOf } from '../table.ts';

export function receiptHandlers(messaging: Messaging): HandlersOf<typeof receiptCommands> {
  const { readMarks } = messaging;
  return {
    read: ({ user }, { room, seq }) => readMarks.set(user.id, room, seq),
    // the mark of a user who is no member is not written; a connection is refused before
    delivered: ({ user }, { room, seq }) => {
      readMarks.delivered(user.id, room, seq);
      return {};
    },
    'room:receipts': ({ user }, input) => messaging.receipts(user.id, input),
    unread: ({ user }, input) => messaging.unread(user.id, input),
  };
}
