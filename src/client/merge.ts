/**
 * How stored messages and live events become one list: pure functions, so that every order of arrival can be tried.
 *
 * A room's `rev` counts its changes without a gap, and a message carries the rev of its last change. So the list is
 * complete up to a cursor, an event that is not the cursor's successor says that something is missing, and of two
 * forms of one message the later rev is the true one.
 */
import type { EventData } from '../protocol/events.ts';
import type { Message, Reaction, Thread } from '../protocol/model.ts';

/** What one event, or one stored row, says of a message; `rev` is that of the message from then on. */
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
      /** Ours: whether it is there now. Undefined: somebody else's. */
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

/** A message after a change. What is older than the message as it is held changes nothing. */
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

/** An event goes to all alike and says nothing of our marks; what changes them has events of its own. */
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
  /** The rev up to which `messages` is known to be true. */
  readonly cursor: number;
}

export interface LiveMerge {
  readonly timeline: Timeline;
  /** Events that lie behind a gap. Not empty: `sync` from `timeline.cursor`, then merge them again. */
  readonly waiting: readonly Change[];
}

/** Live events, in any order and any number of times each. */
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
 * A page of `sync`: rows changed after the cursor, in their present state. Between two pages the list may have holes
 * (a message edited since comes with a later page); show it when the last page is in.
 */
export function mergeStored(timeline: Timeline, page: { messages: readonly Message[]; rev: number }): Timeline {
  return {
    messages:
      page.messages.length === 0 ? timeline.messages : upsert(timeline.messages, page.messages.map(messageChange)),
    cursor: Math.max(timeline.cursor, page.rev),
  };
}

/**
 * A page of `history` in front of the list. It tells nothing about what changed behind it, so the cursor stays.
 *
 * @param changes events that came while the page was read; of these only what concerns the page is taken: a new message
 *   among them may lie behind a gap
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
 * Puts each change at its seq; what is older than the list is left out, since there would be a gap behind it. So is a
 * change of a message that is not held: it is in front of the list, or behind a gap that a page of `sync` closes.
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

/** A reply tells where its thread stands, for its root and the other replies too: of two states the later is true. */
function withThreads(messages: Message[], told: readonly Thread[]): Message[] {
  if (told.length === 0) return messages;
  const states = new Map<number, Thread>();
  for (const thread of told) if (!(thread.rev < (states.get(thread.root)?.rev ?? 0))) states.set(thread.root, thread);
  return messages.map((message) => {
    const thread = states.get(message.thread?.root ?? message.seq);
    return thread === undefined || thread.rev <= (message.thread?.rev ?? 0) ? message : { ...message, thread };
  });
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
