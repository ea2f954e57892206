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
  /**
   * The mark stands before the first message past this that somebody else wrote; undefined: no mark. What is held must
   * begin at or before that message (`reachesUnread`).
   */
  readonly unreadAfter: number | undefined;
}

/** @param before rows of an earlier call: a row that is the same is the same object, so that it need not be drawn again */
export function rowsOf({ messages, outgoing, me, unreadAfter }: Conversation, before: readonly Row[] = []): Row[] {
  const rows: Row[] = [];
  let day: number | undefined;
  const startDay = (at: number): void => {
    const next = midnight(at);
    // A clock that is behind must not open yesterday again under today.
    if (day !== undefined && next <= day) return;
    day = next;
    rows.push({ kind: 'day', key: `day-${next}`, at: next });
  };
  const add = (from: string, name: string | null, item: Item): void => {
    startDay(item.at);
    const last = rows.at(-1);
    const previous = last?.kind === 'group' ? last.items.at(-1) : undefined;
    if (last?.kind === 'group' && last.from === from && previous !== undefined && item.at - previous.at < pauseMs) {
      last.items.push(item);
    } else rows.push({ kind: 'group', key: item.id, from, name, items: [item] });
  };
  let marked = unreadAfter === undefined;
  for (const message of messages) {
    if (!marked && message.seq > (unreadAfter ?? 0) && message.from !== me.id) {
      marked = true;
      startDay(message.at);
      rows.push({ kind: 'unread', key: 'unread' });
    }
    add(message.from, message.name, message);
  }
  for (const entry of outgoing) {
    const { id, body, replyTo } = entry.input;
    add(me.id, me.name, { id, body, replyTo, at: entry.at, outgoing: entry });
  }
  const known = new Map(before.map((row) => [row.key, row]));
  return rows.map((row) => {
    const held = known.get(row.key);
    return held !== undefined && isSame(held, row) ? held : row;
  });
}

function isSame(a: Row, b: Row): boolean {
  if (a.kind !== 'group' || b.kind !== 'group') return a.kind === b.kind;
  const sameHead = a.from === b.from && a.name === b.name && a.items.length === b.items.length;
  return sameHead && a.items.every((item, at) => isSameItem(item, b.items[at]));
}

/** Of what is on its way a new item is made each time; a stored message is the same object until it changes. */
function isSameItem(a: Item, b: Item | undefined): boolean {
  return a === b || (a.outgoing !== undefined && a.outgoing === b?.outgoing);
}

/**
 * Whether what is held begins at or before the first unread message, so that the mark may be put into it.
 * @param sparse numbers are missing in between: a thread
 */
export function reachesUnread(
  { messages, hasOlder }: { readonly messages: readonly Message[]; readonly hasOlder: boolean },
  unreadAfter: number,
  sparse: boolean,
): boolean {
  const first = messages[0]?.seq;
  return !hasOlder || (first !== undefined && first <= (sparse ? unreadAfter : unreadAfter + 1));
}
