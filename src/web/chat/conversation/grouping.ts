/** Turns a room's messages into rows: days, the unread mark, and groups of one sender. Pure. */
import type { Message, Outgoing } from '../../../client/index.ts';
import { midnight } from '../../ui/dates.ts';

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
   * The mark comes before the first message of another user after this seq; undefined: no mark. The loaded messages
   * must begin at or before that message (`reachesUnread`).
   */
  readonly unreadAfter: number | undefined;
}

/** @param before rows of an earlier call: an unchanged row stays the same object, so that it is not rendered again */
export function rowsOf({ messages, outgoing, me, unreadAfter }: Conversation, before: readonly Row[] = []): Row[] {
  const rows: Row[] = [];
  const days = new Days();
  let marked = unreadAfter === undefined;
  for (const message of messages) {
    if (!marked && message.seq > (unreadAfter ?? 0) && message.from !== me.id) {
      marked = true;
      days.start(rows, message);
      rows.push({ kind: 'unread', key: 'unread' });
    }
    add(rows, days, message.from, message.name, message);
  }
  for (const entry of outgoing) {
    const { id, body, replyTo } = entry.input;
    add(rows, days, me.id, me.name, { id, body, replyTo, at: entry.at, outgoing: entry });
  }
  const known = new Map(before.map((row) => [row.key, row]));
  return rows.map((row) => {
    const held = known.get(row.key);
    return held !== undefined && isSame(held, row) ? held : row;
  });
}

function add(rows: Row[], days: Days, from: string, name: string | null, item: Item): void {
  days.start(rows, item);
  const last = rows.at(-1);
  const previous = last?.kind === 'group' ? last.items.at(-1) : undefined;
  if (last?.kind === 'group' && last.from === from && previous !== undefined && item.at - previous.at < pauseMs) {
    last.items.push(item);
  } else rows.push({ kind: 'group', key: item.id, from, name, items: [item] });
}

const dayMs = 86_400_000;

/** The days that have a row. A search for the last one among the rows would be quadratic within a day. */
class Days {
  readonly #opened = new Set<number>();
  #last: number | undefined = undefined;

  /**
   * A clock that is a little behind must not start yesterday again below today. An import may place old messages after
   * newer ones: a message from days before starts its own day.
   */
  start(rows: Row[], { id, at }: Pick<Item, 'id' | 'at'>): void {
    const day = midnight(at);
    if (this.#last !== undefined && day <= this.#last && this.#last - day < 1.5 * dayMs) return;
    this.#last = day;
    rows.push({ kind: 'day', key: this.#opened.has(day) ? `day-${day}-${id}` : `day-${day}`, at: day });
    this.#opened.add(day);
  }
}

function isSame(a: Row, b: Row): boolean {
  if (a.kind !== 'group' || b.kind !== 'group') return a.kind === b.kind;
  const sameHead = a.from === b.from && a.name === b.name && a.items.length === b.items.length;
  return sameHead && a.items.every((item, at) => isSameItem(item, b.items[at]));
}

/** An unsent message gets a new item each time. A stored message keeps its object until it changes. */
function isSameItem(a: Item, b: Item | undefined): boolean {
  return a === b || (a.outgoing !== undefined && a.outgoing === b?.outgoing);
}

/**
 * Whether the loaded messages begin at or before the first unread one, so that the mark has a place.
 * @param sparse seqs are missing in between, as in a thread
 */
export function reachesUnread(
  { messages, hasOlder }: { readonly messages: readonly Message[]; readonly hasOlder: boolean },
  unreadAfter: number,
  sparse: boolean,
): boolean {
  const first = messages[0]?.seq;
  return !hasOlder || (first !== undefined && first <= (sparse ? unreadAfter : unreadAfter + 1));
}
