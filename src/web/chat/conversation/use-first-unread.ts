/** Finds the first unread message: remembers the read mark of the moment of opening, and loads the pages in between. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { reachesUnread } from './grouping.ts';
import type { TimelineState, Scrolled } from './use-scroll.ts';

/** The limit of loaded messages on the way to the first unread one: all of them are rendered. */
const maxHeld = 2000;
const maxFailures = 3;
const againMs = 1000;

export interface Reading {
  /** The source of older messages. */
  readonly reading: Scrolled;
  readonly state: TimelineState;
  readonly online: boolean;
  /** The read mark and the number of unread messages; undefined: unknown, or `state` does not have all of them yet. */
  readonly mark: { readonly read: number; readonly unread: number } | undefined;
  /** Seqs are missing in between, as in a thread. */
  readonly sparse: boolean;
}

export interface FirstUnread {
  /** The seq before the unread mark; undefined: no mark, or its place is not loaded. */
  readonly unreadAfter: number | undefined;
  /** The place is known, and is loaded where that is possible. */
  readonly settled: boolean;
  /** The number of unread messages, if the first of them is older than the loaded ones. */
  readonly furtherBack: number | undefined;
}

interface Opened {
  readonly read: number;
  readonly unread: number;
}

export function useFirstUnread({ reading, state, online, mark, sparse }: Reading): FirstUnread {
  // The read mark of the moment of opening, because the line must not move during reading. Just after the page is
  // loaded the mark of the server is unknown, and the stored one may be outdated.
  const opened = useRef<Opened>(undefined);
  const [failures, setFailures] = useState(0);
  // The list started over from its newest page, so that this is a new opening.
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
