/**
 * How stored messages and live events become one list: pure functions, so that every order of arrival can be tried.
 *
 * A room's `rev` counts its changes without a gap, and a message carries the rev of its last change. So the list is
 * complete up to a cursor, an event that is not the cursor's successor says that something is missing, and of two
 * forms of one message the later rev is the true one.
 */
import type { Message } from '../protocol/model.ts';

export interface Timeline {
  /** A run of the room without a gap, by seq; it may begin in the middle and ends at the newest. */
  readonly messages: readonly Message[];
  /** The rev up to which `messages` is known to be true. */
  readonly cursor: number;
}

export interface LiveMerge {
  readonly timeline: Timeline;
  /** Events that lie behind a gap. Not empty: `sync` from `timeline.cursor`, then merge them again. */
  readonly waiting: readonly Message[];
}

/** Live events, in any order and any number of times each. */
export function mergeLive(timeline: Timeline, events: readonly Message[]): LiveMerge {
  const ahead = events.filter((event) => event.rev > timeline.cursor).sort((a, b) => a.rev - b.rev);
  let cursor = timeline.cursor;
  const next: Message[] = [];
  const waiting: Message[] = [];
  for (const event of ahead) {
    if (event.rev === cursor + 1) {
      cursor = event.rev;
      next.push(event);
    } else if (event.rev > cursor && event.rev !== waiting.at(-1)?.rev) waiting.push(event);
  }
  if (next.length === 0) return { timeline, waiting };
  return { timeline: { messages: upsert(timeline.messages, next), cursor }, waiting };
}

/**
 * A page of `sync`: rows changed after the cursor, in their present state. Between two pages the list may have holes
 * (a message edited since comes with a later page); show it when the last page is in.
 */
export function mergeStored(timeline: Timeline, page: { messages: readonly Message[]; rev: number }): Timeline {
  return {
    messages: page.messages.length === 0 ? timeline.messages : upsert(timeline.messages, page.messages),
    cursor: Math.max(timeline.cursor, page.rev),
  };
}

/**
 * A page of `history` in front of the list. It tells nothing about what changed behind it, so the cursor stays.
 *
 * @param changes events that came while the page was read and concern what is in it
 */
export function mergeOlder(timeline: Timeline, page: readonly Message[], changes: readonly Message[]): Timeline {
  if (page.length === 0) return timeline;
  return { ...timeline, messages: upsert(upsert([...page], timeline.messages), changes) };
}

/** Puts each change at its seq; what is older than the list is left out, since there would be a gap behind it. */
export function upsert(messages: readonly Message[], changes: readonly Message[]): readonly Message[] {
  const first = messages[0]?.seq ?? 0;
  const result = [...messages];
  for (const change of changes) {
    if (change.seq < first) continue;
    const at = indexFor(result, change.seq);
    const held = result[at];
    if (held?.seq !== change.seq) result.splice(at, 0, change);
    else if (change.rev > held.rev) result[at] = change;
  }
  return result;
}

/** Where a message of this seq is or belongs; nearly always the end, so that is looked at first. */
function indexFor(messages: readonly Message[], seq: number): number {
  let low = 0;
  let high = messages.length;
  const last = messages.at(-1);
  if (last === undefined || last.seq < seq) return high;
  while (low < high) {
    const middle = (low + high) >> 1;
    const found = messages[middle];
    if (found !== undefined && found.seq < seq) low = middle + 1;
    else high = middle;
  }
  return low;
}
