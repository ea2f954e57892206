/** Jumps to one message: loads older pages until the message is there, unless it is too far, and shows it. */
import { useEffect, useLayoutEffect } from 'preact/hooks';
import type { RefObject } from 'preact';
import { wantedShown } from '../route.ts';
import { say } from '../../ui/toast.tsx';
import type { TimelineState, Scrolled } from './use-scroll.ts';

/** The limit of messages between the wanted one and the first loaded one: twenty pages. All of them are rendered. */
const maxBack = 1000;
/** A search may find a message before this client receives it. */
const comesWithinMs = 10_000;
const shownMs = 4000;

interface Sought {
  readonly reading: Scrolled;
  readonly state: TimelineState;
  /** Without a connection nothing is loaded, and the jump is not given up. */
  readonly online: boolean;
  /** The seq of the message to show, until it is visible. */
  readonly wanted: number | undefined;
  /** Seqs are missing in between, as in a thread. */
  readonly sparse: boolean;
  readonly scroller: RefObject<HTMLDivElement | null>;
  /** Keeps the scroll position at the message. */
  readonly stay: () => void;
}

/** @returns whether the jump is under way */
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
    // The room shows its reason.
    if (status === 'gone') return wantedShown();
    if (status !== 'ready' || loadingOlder || !online) return undefined;
    // The other effect has shown the message.
    if (found() instanceof HTMLElement) return undefined;
    const [first, last] = [messages[0]?.seq, messages.at(-1)?.seq ?? 0];
    const giveUp = (why: string): void => {
      say(why);
      wantedShown();
    };
    if (wanted > last) {
      const timer = setTimeout(() => giveUp('That message was not found.'), comesWithinMs);
      return () => clearTimeout(timer);
    }
    if (first === undefined || wanted >= first || !hasOlder) {
      giveUp('That message does not exist any more.');
    } else if (sparse && messages.length >= maxBack) {
      giveUp('That reply is too far back to show.');
    } else if (!sparse && first - wanted > maxBack) {
      giveUp(`That message is too far back to show: ${(last - wanted).toLocaleString()} messages ago.`);
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
