/** The way to one message: older pages are loaded until it is there, as long as it is not too far; then it is shown. */
import { useEffect, useLayoutEffect } from 'preact/hooks';
import type { RefObject } from 'preact';
import type { Room, RoomState } from '../client/index.ts';
import { messageShown, wantedMessage } from './route.ts';
import { say } from './toast.tsx';

/** Messages between the wanted one and the first that is held: twenty pages. All of them would be drawn. */
const maxBack = 1000;
/** A message may be found before it has come here. */
const comesWithinMs = 10_000;
const shownMs = 4000;

/**
 * @param online nothing is asked for, and nothing given up, before there is a connection
 * @param stay tells the scrolling that the reader is somewhere now
 * @returns whether it is on the way
 */
export function useJump(
  room: Room,
  state: RoomState,
  online: boolean,
  scroller: RefObject<HTMLDivElement | null>,
  stay: () => void,
): boolean {
  const seq = wantedMessage.value;
  const { status, messages, hasOlder, loadingOlder } = state;
  useLayoutEffect(() => {
    if (seq === undefined || status !== 'ready') return;
    const element = scroller.current?.querySelector<HTMLElement>(`[data-seq="${seq}"]`);
    if (element === null || element === undefined) return;
    show(element);
    stay();
    messageShown();
  }, [seq, status, messages]);

  useEffect(() => {
    if (seq === undefined || status !== 'ready' || loadingOlder || !online) return undefined;
    // the other effect was there before
    if (wantedMessage.peek() !== seq) return undefined;
    const [first, last] = [messages[0]?.seq, messages.at(-1)?.seq ?? 0];
    const giveUp = (why: string): void => {
      say(why);
      messageShown();
    };
    if (seq > last) {
      const timer = setTimeout(() => giveUp('That message is not here.'), comesWithinMs);
      return () => clearTimeout(timer);
    }
    if (first === undefined || seq >= first || !hasOlder) {
      giveUp('That message is not there any more.');
    } else if (first - seq > maxBack) {
      giveUp(`That message is too far back to go there: ${(last - seq).toLocaleString()} messages ago.`);
    } else room.loadOlder().catch(() => giveUp('That message cannot be loaded now.'));
    return undefined;
  }, [room, seq, status, messages, hasOlder, loadingOlder, online]);
  return seq !== undefined;
}

function show(element: HTMLElement): void {
  element.scrollIntoView({ block: 'center' });
  element.dataset['found'] = '';
  setTimeout(() => delete element.dataset['found'], shownMs);
  element.tabIndex = -1;
  element.focus({ preventScroll: true });
}
