import { useCallback, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { giveFocus } from '../../ui/focus.ts';
import { wantedReply, wantedShown, wantedThread } from '../route.ts';

interface ThreadPanelState {
  /** The seq of the root of the shown thread. */
  readonly thread: number | undefined;
  readonly openThread: (root: number) => void;
  /** The focus returns to the opener, if it still exists, or to the room's field. */
  readonly closeThread: () => void;
}

export function useThreadPanel(): ThreadPanelState {
  const wanted = wantedThread.value;
  const [thread, setThread] = useState(wanted);
  const opener = useRef(document.activeElement);
  const shown = useRef<number>(undefined);
  shown.current = thread;
  const openThread = useCallback((root: number): void => {
    opener.current = document.activeElement;
    setThread(root);
  }, []);
  // A link leads to a thread.
  useLayoutEffect(() => {
    if (wanted === undefined) return;
    if (shown.current !== wanted) openThread(wanted);
    if (wantedReply.peek() === undefined) wantedShown();
  }, [wanted]);
  const closeThread = useCallback((): void => {
    const { current: root } = shown;
    if (root === undefined) return;
    setThread(undefined);
    if (wantedThread.peek() === root) wantedShown();
    giveFocus(opener.current, document.querySelector(`[data-thread="${root}"]`));
  }, []);
  return { thread, openThread, closeThread };
}
