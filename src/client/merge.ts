/**
 * Merges stored messages and live events into one list: pure functions, so that tests can try every order of arrival.
 *
 * A room's `rev` counts its changes without a gap, and a message carries the rev of its last change. So the list is
 * complete up to a cursor, and an event that is not the cursor's successor shows a gap. If there are two forms of one
 * message, the later rev is valid.
 */
import type { EventData } from '../protocol/events.ts';
import type { Message, Reaction, Thread } from '../protocol/model.ts';

/** A change of a message by one event or stored row; `rev` is the message's rev after it. */
export type Change =
  | { readonly kind: 'message'; readonly seq: number; readonly rev: number; readonly message: Message }
  | {
      readonly kind: 'deleted';
      readonly seq: number;
      readonly rev: number;
      readonly at: number;
      readonly thread: Thread | undefined;
    }
  | {
      readonly kind: 'reaction';
      readonly seq: number;
      readonly rev: number;
      readonly emoji: string;
      readonly count: number;
      /** Whether this user's own reaction is there now. Undefined: the reaction is another user's. */
      readonly mine: boolean | undefined;
    };

export const messageChange = (message: Message): Change => ({
  kind: 'message',
  seq: message.seq,
  rev: message.rev,
  message,
});

export const deletedChange = ({ seq, rev, at, thread }: EventData<'message:deleted'>): Change => ({
  kind: 'deleted',
  seq,
  rev,
  at,
  thread,
});

export const reactionChange = (event: EventData<'reaction'>, me: string | undefined): Change => ({
  kind: 'reaction',
  seq: event.seq,
  rev: event.rev,
  emoji: event.emoji,
  count: event.count,
  mine: event.user === me ? event.change === 'add' : undefined,
});

/** A message after a change. A change that is older than the message has no effect. */
export function changed(held: Message, change: Change): Message {
  if (change.rev <= held.rev) return held;
  if (change.kind === 'message') return withOwnMarks(change.message, held);
  const { reactions, ...rest } = held;
  if (change.kind === 'deleted') {
    const { pinnedAt: _, pinnedBy: __, ...left } = rest;
    return { ...left, rev: change.rev, body: null, deletedAt: change.at };
  }
  const next = reacted(reactions ?? [], change);
  return { ...rest, rev: change.rev, ...(next.length > 0 && { reactions: next }) };
}

function reacted(
  reactions: readonly Reaction[],
  { emoji, count, mine }: Extract<Change, { kind: 'reaction' }>,
): Reaction[] {
  const before = reactions.find((one) => one.emoji === emoji);
  const now = { emoji, count, mine: mine ?? before?.mine ?? false };
  if (before === undefined) return count > 0 ? [...reactions, now] : [...reactions];
  return reactions.flatMap((one) => (one !== before ? one : count > 0 ? now : []));
}

/**
 * An event is the same for all recipients and does not say which reactions are this user's. Other events carry those.
 */
function withOwnMarks(message: Message, held: Message | undefined): Message {
  if (message.reactions?.some(({ mine }) => mine === undefined) !== true) return message;
  const ours = new Set(held?.reactions?.filter(({ mine }) => mine).map(({ emoji }) => emoji));
  return {
    ...message,
    reactions: message.reactions.map((one) => ({ ...one, mine: one.mine ?? ours.has(one.emoji) })),
  };
}

export interface Timeline {
  /** A run of the room without a gap, by seq; it may begin in the middle and ends at the newest. */
  readonly messages: readonly Message[];
  /** The rev up to which `messages` is complete. */
  readonly cursor: number;
}

export interface LiveMerge {
  readonly timeline: Timeline;
  /** Events after a gap. If there are any, request `sync` from `timeline.cursor` and merge them again. */
  readonly waiting: readonly Change[];
}

/** Merges live events, in any order and with repetitions. */
export function mergeLive(timeline: Timeline, events: readonly Change[]): LiveMerge {
  const ahead = events.filter((event) => event.rev > timeline.cursor).sort((a, b) => a.rev - b.rev);
  let cursor = timeline.cursor;
  const next: Change[] = [];
  const waiting: Change[] = [];
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
 * Merges a page of `sync`: rows changed after the cursor, in their present state. Between two pages the list may have
 * holes, because a later page may bring a message that was edited since. Show the list after the last page.
 */
export function mergeStored(timeline: Timeline, page: { messages: readonly Message[]; rev: number }): Timeline {
  return {
    messages:
      page.messages.length === 0 ? timeline.messages : upsert(timeline.messages, page.messages.map(messageChange)),
    cursor: Math.max(timeline.cursor, page.rev),
  };
}

/**
 * Merges a page of `history` in front of the list. The page has no news about later messages, so the cursor stays.
 *
 * @param changes events that came during the read of the page. Only changes of messages in the page are applied,
 *   because a new message among them may lie behind a gap.
 */
export function mergeOlder(timeline: Timeline, page: readonly Message[], changes: readonly Change[]): Timeline {
  const last = page.at(-1);
  if (last === undefined) return timeline;
  const older = upsert(
    page,
    changes.filter(({ seq }) => seq <= last.seq),
  );
  return { ...timeline, messages: upsert(older, timeline.messages.map(messageChange)) };
}

/**
 * Puts each change at its seq. A change of a message in front of the list is left out, because a gap would follow it. A
 * change of a message that is not in the list is left out too: a later page brings it.
 */
export function upsert(messages: readonly Message[], changes: readonly Change[]): readonly Message[] {
  const first = messages[0]?.seq ?? 0;
  const result = [...messages];
  for (const change of changes) {
    if (change.seq < first) continue;
    const at = indexFor(result, change.seq);
    const held = result[at];
    if (held?.seq === change.seq) result[at] = changed(held, change);
    else if (change.kind === 'message') result.splice(at, 0, withOwnMarks(change.message, undefined));
  }
  return withThreads(
    result,
    changes.flatMap((change) => threadIn(change) ?? []),
  );
}

export function threadIn(change: Change): Thread | undefined {
  return change.kind === 'deleted' ? change.thread : change.kind === 'message' ? change.message.thread : undefined;
}

/** A reply carries the state of its thread, for the root and the other replies too. The later state is valid. */
function withThreads(messages: Message[], threads: readonly Thread[]): Message[] {
  if (threads.length === 0) return messages;
  const states = new Map<number, Thread>();
  for (const thread of threads)
    if (!(thread.rev < (states.get(thread.root)?.rev ?? 0))) states.set(thread.root, thread);
  return messages.map((message) => {
    const thread = states.get(message.thread?.root ?? message.seq);
    return thread === undefined || thread.rev <= (message.thread?.rev ?? 0) ? message : { ...message, thread };
  });
}

/**
 * The index of a message with this seq, or of its place. The end is tried first, because it is nearly always the
 * answer.
 */
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
