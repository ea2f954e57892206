/**
 * The scrolling of a conversation. At its end it follows what comes; away from it, it stays where the reader is,
 * counts what came, and keeps the place when older messages appear above.
 */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { RefObject } from 'preact';
import type { Room, RoomState } from '../../../client/index.ts';

/** What is scrolled through: a room, or a thread of one. */
export type Scrolled = Pick<Room, 'loadOlder' | 'markRead'>;
export type TimelineState = Pick<RoomState, 'status' | 'messages' | 'outgoing' | 'hasOlder' | 'loadingOlder'>;

/** So near the end counts as the end. */
const nearPx = 60;
/** Older messages are asked for before the reader gets to the first one. */
const aheadPx = 600;

interface Scroll {
  scroller: RefObject<HTMLDivElement | null>;
  content: RefObject<HTMLDivElement | null>;
  /** The reader is away from the end. */
  away: boolean;
  /** Messages of others that came meanwhile. */
  missed: number;
  toLatest: () => void;
  /** The reader was led elsewhere, and stays there. */
  stay: () => void;
}

/** @param settled it is known what is read, and all that is not is there: before that nothing is marked, and the end is shown */
export function useScroll(room: Scrolled, state: TimelineState, me: string, settled: boolean): Scroll {
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const [away, setAway] = useState(false);
  const following = useRef(true);
  /** To one message, which matters more than where the unread ones begin. */
  const led = useRef(false);
  /** Put somewhere: what stands at the top by then is what one looks at. */
  const placed = useRef(false);
  /** Put where reading begins. */
  const begun = useRef(false);
  const seen = useRef(0);
  const last = state.messages.at(-1)?.seq ?? 0;
  if (!away) seen.current = last;

  const toEnd = (): void => {
    const element = scroller.current;
    if (element !== null) element.scrollTop = element.scrollHeight;
  };
  const halt = (): void => {
    following.current = isNearEnd(scroller.current);
    setAway(!following.current);
  };
  const stay = (): void => {
    led.current = true;
    halt();
  };
  useKeptPlace(scroller, state, following);
  useLayoutEffect(() => {
    // The list is started over: reading begins anew.
    if (state.status === 'loading' || !settled) begun.current = false;
    if (begun.current || state.status !== 'ready') return;
    placed.current = true;
    begun.current = settled;
    // While the connection came one could read what the store has, and may be somewhere in it.
    if (led.current || !following.current) return;
    const mark = settled ? scroller.current?.querySelector('[data-unread]') : undefined;
    if (mark === null || mark === undefined) return toEnd();
    mark.scrollIntoView({ block: 'center' });
    halt();
  }, [state.status, settled]);
  // A page that does not fill the screen leaves nothing to scroll, and so nothing that would ask for the next.
  useEffect(() => {
    if (placed.current && (scroller.current?.scrollTop ?? aheadPx) < aheadPx) loadOlder(room);
  }, [room, state.messages, state.status, settled]);
  // One's own message is always shown, wherever one was.
  const own = state.outgoing.length;
  useLayoutEffect(() => {
    if (own > 0) toEnd();
  }, [own]);

  useEffect(() => {
    const element = scroller.current;
    if (element === null) return undefined;
    let top = element.scrollTop;
    const scrolled = (): void => {
      // A scroll event may come after more was added below: only going up is a wish to stay.
      const wentUp = element.scrollTop < top;
      top = element.scrollTop;
      following.current = isNearEnd(element) || (following.current && !wentUp);
      setAway(!following.current);
      if (element.scrollTop < aheadPx && placed.current) loadOlder(room);
    };
    element.addEventListener('scroll', scrolled, { passive: true });
    // The keyboard of a phone, a growing field or a late font change heights without a scroll.
    const watcher = new ResizeObserver(() => (following.current ? toEnd() : scrolled()));
    watcher.observe(element);
    if (content.current !== null) watcher.observe(content.current);
    return () => {
      element.removeEventListener('scroll', scrolled);
      watcher.disconnect();
    };
  }, [room]);
  useRead({ room, state, settled, following, away });

  const missed = state.messages.filter(({ seq, from }) => seq > seen.current && from !== me).length;
  return { scroller, content, away, missed, toLatest: toEnd, stay };
}

function isNearEnd(element: HTMLElement | null): boolean {
  return element === null || element.scrollHeight - element.scrollTop - element.clientHeight < nearPx;
}

function loadOlder(room: Scrolled): void {
  // Offline: scrolling again asks again.
  room.loadOlder().catch(() => undefined);
}

/** After older messages were put in front, what was under the reader's eyes is still there. */
function useKeptPlace(
  scroller: RefObject<HTMLDivElement | null>,
  state: TimelineState,
  following: { current: boolean },
): void {
  const first = state.messages[0]?.seq;
  const before = useRef<{ first: number | undefined; height: number }>({ first, height: 0 });
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    const { first: was, height } = before.current;
    if (first !== undefined && was !== undefined && first < was && !following.current) {
      element.scrollTop += element.scrollHeight - height;
    }
    before.current = { first, height: element.scrollHeight };
  });
}

interface Reading {
  readonly room: Scrolled;
  readonly state: TimelineState;
  readonly settled: boolean;
  readonly following: { readonly current: boolean };
  /** As `following` says since the last drawing: so that its changes are heard of. */
  readonly away: boolean;
}

/** Read is what was on the screen of somebody who was looking. */
function useRead({ room, state: { status, messages }, settled, following, away }: Reading): void {
  const last = messages.at(-1)?.seq;
  useEffect(() => {
    const mark = (): void => {
      // Not `away`: in the drawing that put the reader at the unread line it still says that this is the end.
      if (!settled || !following.current || status !== 'ready' || last === undefined) return;
      if (document.visibilityState === 'visible') room.markRead(last);
    };
    mark();
    document.addEventListener('visibilitychange', mark);
    return () => document.removeEventListener('visibilitychange', mark);
  }, [room, last, away, status, settled]);
}
