/** The event `notification` to the connections of a user. The event may be lost; the list has every notification. */
import type { Envelope, Fanout } from '../fanout/fanout.ts';
import type { EventData } from '../protocol/events.ts';
import type { Presence } from '../presence/presence.ts';
import type { LedgerRow } from './ledger-rows.ts';

export interface AnnounceParts {
  readonly fanout: Pick<Fanout, 'publish'>;
  readonly presence: Pick<Presence, 'read'>;
}

/** Users without a connection get no event: a mention of a thousand offline users crosses no node. */
export async function announce(rows: readonly LedgerRow[], { fanout, presence }: AnnounceParts): Promise<void> {
  if (rows.length === 0) return;
  const users = [...new Set(rows.map(({ user }) => user))];
  const states = await presence.read(users);
  const online = new Set(users.filter((_, i) => states[i]?.online === true));
  const events = rows.flatMap((row): Envelope | [] => {
    if (!online.has(row.user)) return [];
    const { id, room, seq, at, kind, lane } = row;
    const data: EventData<'notification'> = { id, room, seq, at, kind, lane, read: false };
    return { to: 'user', user: row.user, event: 'notification', json: JSON.stringify(data), about: room };
  });
  fanout.publish(events);
}
