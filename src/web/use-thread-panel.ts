import { useCallback, useRef, useState } from 'preact/hooks';

interface ThreadPanelState {
  /** The seq of the root of the thread that is shown. */
  readonly thread: number | undefined;
  readonly openThread: (root: number) => void;
  /** The focus goes back to what opened it, if that is still there, or to the room's field. */
  readonly closeThread: () => void;
}

export function useThreadPanel(): ThreadPanelState {
  const [thread, setThread] = useState<number>();
  const opener = useRef<Element>(null);
  const shown = useRef<number>(undefined);
  shown.current = thread;
  const openThread = useCallback((root: number): void => {
    opener.current = document.activeElement;
    setThread(root);
  }, []);
  const closeThread = useCallback((): void => {
    if (shown.current === undefined) return;
    setThread(undefined);
    const { current } = opener;
    const chip = document.querySelector(`[data-thread="${shown.current}"]`);
    const back = current instanceof HTMLElement && current.isConnected && current !== document.body ? current : chip;
    if (back instanceof HTMLElement) back.focus();
    else document.querySelector<HTMLElement>('.chat .composer textarea')?.focus();
  }, []);
  return { thread, openThread, closeThread };
}
