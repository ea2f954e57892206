/**
 * The scrolling of a conversation. At the end, the view follows new messages. Elsewhere, the view stays, counts new
 * messages, and keeps its place when older messages appear above.
 */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { RefObject } from 'preact';
import type { Room, RoomState } from '../../../client/index.ts';

/** The scrolled object: a room, or a thread of one. */
export type Scrolled = Pick<Room, 'loadOlder' | 'markRead'>;
export type TimelineState = Pick<RoomState, 'status' | 'messages' | 'outgoing' | 'hasOlder' | 'loadingOlder'>;

/** A position this close to the end counts as the end. */
const nearPx = 60;
/** The distance from the first message at which older ones are loaded. */
const aheadPx = 600;

interface Scroll {
  scroller: RefObject<HTMLDivElement | null>;
  content: RefObject<HTMLDivElement | null>;
  /** The view is not at the end. */
  scrolledUp: boolean;
  /** New messages of other users since the view left the end. */
  missed: number;
  toLatest: () => void;
  /** Keeps the view where a jump has put it. */
  stay: () => void;
}

/**
 * @param settled the read mark is known, and all unread messages are loaded. Before that nothing is marked as read, and
 *   the end is shown.
 */
export function useScroll(room: Scrolled, state: TimelineState, me: string, settled: boolean): Scroll {
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const [scrolledUp, setScrolledUp] = useState(false);
  const following = useRef(true);
  /** A jump to one message has priority over the first unread one. */
  const led = useRef(false);
  /** The initial position is set: a message at the top is one that the user sees. */
  const placed = useRef(false);
  /** The view is at the first unread message, or at the end. */
  const begun = useRef(false);
  const seen = useRef(0);
  const last = state.messages.at(-1)?.seq ?? 0;
  if (!scrolledUp) seen.current = last;

  const toEnd = (): void => {
    const element = scroller.current;
    if (element !== null) element.scrollTop = element.scrollHeight;
  };
  const halt = (): void => {
    following.current = isNearEnd(scroller.current);
    setScrolledUp(!following.current);
  };
  const stay = (): void => {
    led.current = true;
    halt();
  };
  useKeptPlace(scroller, state, following);
  useLayoutEffect(() => {
    // The list started over, so that the initial position is set again.
    if (state.status === 'loading' || !settled) begun.current = false;
    if (begun.current || state.status !== 'ready') return;
    placed.current = true;
    begun.current = settled;
    // While the client connected, the user may have scrolled through the stored messages.
    if (led.current || !following.current) return;
    const mark = settled ? scroller.current?.querySelector('[data-unread]') : undefined;
    if (mark === null || mark === undefined) return toEnd();
    mark.scrollIntoView({ block: 'center' });
    halt();
  }, [state.status, settled]);
  // A page that does not fill the screen cannot be scrolled, so that no scroll event would load the next one.
  useEffect(() => {
    if (placed.current && (scroller.current?.scrollTop ?? aheadPx) < aheadPx) loadOlder(room);
  }, [room, state.messages, state.status, settled]);
  // The user's own new message is always shown.
  const own = state.outgoing.length;
  useLayoutEffect(() => {
    if (own > 0) toEnd();
  }, [own]);

  useEffect(() => {
    const element = scroller.current;
    if (element === null) return undefined;
    let top = element.scrollTop;
    const scrolled = (): void => {
      // A scroll event may come after an addition below: only a move upwards is a wish to stay.
      const wentUp = element.scrollTop < top;
      top = element.scrollTop;
      following.current = isNearEnd(element) || (following.current && !wentUp);
      setScrolledUp(!following.current);
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
  useRead({ room, state, settled, following, scrolledUp });

  const missed = state.messages.filter(({ seq, from }) => seq > seen.current && from !== me).length;
  return { scroller, content, scrolledUp, missed, toLatest: toEnd, stay };
}

function isNearEnd(element: HTMLElement | null): boolean {
  return element === null || element.scrollHeight - element.scrollTop - element.clientHeight < nearPx;
}

function loadOlder(room: Scrolled): void {
  // After a failure, the next scroll event loads again.
  room.loadOlder().catch(() => undefined);
}

/** Keeps the visible messages in place when older ones are added above. */
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
  /** The value of `following` at the last render, so that the effect runs after a change. */
  readonly scrolledUp: boolean;
}

/** Marks messages as read that were on a visible screen. */
function useRead({ room, state: { status, messages }, settled, following, scrolledUp }: Reading): void {
  const last = messages.at(-1)?.seq;
  useEffect(() => {
    const mark = (): void => {
      // Not `scrolledUp`: in the render that moves the view to the unread line, `scrolledUp` is still false.
      if (!settled || !following.current || status !== 'ready' || last === undefined) return;
      if (document.visibilityState === 'visible') room.markRead(last);
    };
    mark();
    document.addEventListener('visibilitychange', mark);
    return () => document.removeEventListener('visibilitychange', mark);
  }, [room, last, scrolledUp, status, settled]);
}
