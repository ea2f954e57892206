/** Turns a room's messages into what is drawn: days, the unread mark, and runs of one sender. Pure. */
import type { Message, Outgoing } from '../client/index.ts';
import { midnight } from './dates.ts';

export interface Item {
  /** The message's UUID: the same before and after it is stored, so that its element stays. */
  readonly id: string;
  readonly body: unknown;
  readonly at: number;
  readonly seq?: number;
  readonly replyTo?: number | undefined;
  /** Only on messages that are not in the room yet. */
  readonly outgoing?: Outgoing;
}

export type Row =
  | { readonly kind: 'day'; readonly key: string; readonly at: number }
  | { readonly kind: 'unread'; readonly key: string }
  | {
      readonly kind: 'group';
      readonly key: string;
      readonly from: string;
      readonly name: string | null;
      readonly items: Item[];
    };

/** A pause this long starts a new group of the same sender, with a time of its own. */
const pauseMs = 5 * 60_000;

export interface Conversation {
  readonly messages: readonly Message[];
  readonly outgoing: readonly Outgoing[];
  readonly me: { readonly id: string; readonly name: string | null };
  /** The mark stands before the first message past this that somebody else wrote; undefined: no mark. */
  readonly unreadAfter: number | undefined;
}

export function rowsOf({ messages, outgoing, me, unreadAfter }: Conversation): Row[] {
  const rows: Row[] = [];
  let marked = unreadAfter === undefined;
  for (const message of messages) {
    if (!marked && message.seq > (unreadAfter ?? 0) && message.from !== me.id) {
      marked = true;
      startDay(rows, message.at);
      rows.push({ kind: 'unread', key: 'unread' });
    }
    add(rows, message.from, message.name, message);
  }
  for (const entry of outgoing) {
    const { id, body, replyTo } = entry.input;
    add(rows, me.id, me.name, { id, body, replyTo, at: entry.at, outgoing: entry });
  }
  return rows;
}

function add(rows: Row[], from: string, name: string | null, item: Item): void {
  startDay(rows, item.at);
  const last = rows.at(-1);
  const previous = last?.kind === 'group' ? last.items.at(-1) : undefined;
  if (last?.kind === 'group' && last.from === from && previous !== undefined && item.at - previous.at < pauseMs) {
    last.items.push(item);
  } else rows.push({ kind: 'group', key: item.id, from, name, items: [item] });
}

function startDay(rows: Row[], at: number): void {
  const day = midnight(at);
  const previous = rows.findLast((row) => row.kind === 'day');
  // A clock that is behind must not open yesterday again under today.
  if (previous === undefined || day > previous.at) rows.push({ kind: 'day', key: `day-${day}`, at: day });
}
