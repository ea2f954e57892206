/** Where reading begins: what was read when the conversation was opened, and the pages in between. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { reachesUnread } from './grouping.ts';
import type { TimelineState, Scrolled } from './use-scroll.ts';

/** Messages held at most for the way to the first unread one: all of them are drawn. */
const maxHeld = 2000;
const maxFailures = 3;
const againMs = 1000;

export interface Reading {
  /** What gives older messages. */
  readonly reading: Scrolled;
  readonly state: TimelineState;
  readonly online: boolean;
  /** What is read, and how much is not; undefined: not known, or not all of it is in `state` yet. */
  readonly mark: { readonly read: number; readonly unread: number } | undefined;
  /** Numbers are missing in between: a thread. */
  readonly sparse: boolean;
}

export interface FirstUnread {
  /** The seq that the unread mark stands behind; undefined: no mark, or its place is in a page that is not held. */
  readonly unreadAfter: number | undefined;
  /** The place is known, and is held where it can be. */
  readonly settled: boolean;
  /** How many are unread, where the first of them is further back than what is held. */
  readonly furtherBack: number | undefined;
}

interface Opened {
  readonly read: number;
  readonly unread: number;
}

export function useFirstUnread({ reading, state, online, mark, sparse }: Reading): FirstUnread {
  // Where the mark stood when it was opened: the line must not move while one reads. Of a page that was just loaded the
  // server has not told it yet; what the store has may be older than what was read elsewhere.
  const opened = useRef<Opened>(undefined);
  const [failures, setFailures] = useState(0);
  // The list is started over, from its newest page: it is opened anew.
  const lastSeen = useRef(0);
  const { messages } = state;
  const isGap = lastSeen.current > 0 && (messages[0]?.seq ?? 0) > lastSeen.current;
  if (state.status === 'loading' || isGap) opened.current = undefined;
  lastSeen.current = messages.at(-1)?.seq ?? lastSeen.current;
  if (online && mark !== undefined && state.status === 'ready')
    opened.current ??= { read: mark.read, unread: mark.unread };
  const { current } = opened;
  const unreadAfter = current !== undefined && current.unread > 0 ? current.read : undefined;
  const held = unreadAfter === undefined || reachesUnread(state, unreadAfter, sparse);
  const givenUp = failures >= maxFailures || messages.length >= maxHeld;
  const isMissing = state.status === 'ready' && !held && !givenUp;

  useEffect(() => {
    if (!isMissing || !online || state.loadingOlder) return undefined;
    const load = (): void => void reading.loadOlder().catch(() => setFailures((count) => count + 1));
    const timer = setTimeout(load, failures === 0 ? 0 : againMs);
    return () => clearTimeout(timer);
  }, [reading, isMissing, online, state.loadingOlder, messages, failures]);

  return {
    unreadAfter: held ? unreadAfter : undefined,
    settled: current !== undefined && (held || givenUp),
    furtherBack: held ? undefined : current?.unread,
  };
}
