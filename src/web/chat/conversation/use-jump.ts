/** The way to one message: older pages are loaded until it is there, as long as it is not too far; then it is shown. */
import { useEffect, useLayoutEffect } from 'preact/hooks';
import type { RefObject } from 'preact';
import { wantedShown } from '../route.ts';
import { say } from '../../ui/toast.tsx';
import type { TimelineState, Scrolled } from './use-scroll.ts';

/** Messages between the wanted one and the first that is held: twenty pages. All of them would be drawn. */
const maxBack = 1000;
/** A message may be found before it has come here. */
const comesWithinMs = 10_000;
const shownMs = 4000;

interface Sought {
  readonly reading: Scrolled;
  readonly state: TimelineState;
  /** Nothing is asked for, and nothing given up, before there is a connection. */
  readonly online: boolean;
  /** The seq of the message, until it is shown. */
  readonly wanted: number | undefined;
  /** The messages stand far apart in the room: a thread. */
  readonly sparse: boolean;
  readonly scroller: RefObject<HTMLDivElement | null>;
  /** Tells the scrolling that the reader is somewhere now. */
  readonly stay: () => void;
}

/** @returns whether it is on the way */
export function useJump({ reading, state, online, wanted, sparse, scroller, stay }: Sought): boolean {
  const { status, messages, hasOlder, loadingOlder } = state;
  const found = (): HTMLElement | null | undefined =>
    scroller.current?.querySelector<HTMLElement>(`[data-seq="${wanted}"]`);
  useLayoutEffect(() => {
    if (wanted === undefined || status !== 'ready') return;
    const element = found();
    if (element === null || element === undefined) return;
    show(element);
    stay();
    wantedShown();
  }, [wanted, status, messages]);

  useEffect(() => {
    if (wanted === undefined) return undefined;
    // It says itself why.
    if (status === 'gone') return wantedShown();
    if (status !== 'ready' || loadingOlder || !online) return undefined;
    // The other effect was there before.
    if (found() instanceof HTMLElement) return undefined;
    const [first, last] = [messages[0]?.seq, messages.at(-1)?.seq ?? 0];
    const giveUp = (why: string): void => {
      say(why);
      wantedShown();
    };
    if (wanted > last) {
      const timer = setTimeout(() => giveUp('That message is not here.'), comesWithinMs);
      return () => clearTimeout(timer);
    }
    if (first === undefined || wanted >= first || !hasOlder) {
      giveUp('That message is not there any more.');
    } else if (sparse && messages.length >= maxBack) {
      giveUp('That reply is too far back to go there.');
    } else if (!sparse && first - wanted > maxBack) {
      giveUp(`That message is too far back to go there: ${(last - wanted).toLocaleString()} messages ago.`);
    } else reading.loadOlder().catch(() => giveUp('That message cannot be loaded now.'));
    return undefined;
  }, [reading, wanted, status, messages, hasOlder, loadingOlder, online]);
  return wanted !== undefined;
}

function show(element: HTMLElement): void {
  element.scrollIntoView({ block: 'center' });
  element.dataset['found'] = '';
  setTimeout(() => delete element.dataset['found'], shownMs);
  element.tabIndex = -1;
  element.focus({ preventScroll: true });
}
