import { createContext } from 'preact';
import { useContext, useEffect, useLayoutEffect, useReducer, useState } from 'preact/hooks';
import type { Client, Readable } from '../../client/index.ts';
import { scheduleDraw, cancelDraw } from './frame-scheduler.ts';

const ClientContext = createContext<Client | undefined>(undefined);
export const ClientProvider = ClientContext.Provider;

export function useClient(): Client {
  const client = useContext(ClientContext);
  if (client === undefined) throw new Error('This component stands outside of a session.');
  return client;
}

/** The present value of one of the SDK's stores; draws again when it changes, at most once a frame. */
export function useStore<T>(store: Readable<T>): T {
  const [, draw] = useReducer((count: number) => count + 1, 0);
  const value = store.value;
  useLayoutEffect(() => {
    // It may have changed between the drawing and this effect.
    if (store.value !== value) draw(undefined as never);
    const again = (): void => draw(undefined as never);
    const stop = store.subscribe(() => scheduleDraw(again));
    return () => {
      stop();
      cancelDraw(again);
    };
  }, [store]);
  return value;
}

/** Whether a user is there; undefined: nobody is asked for, or it cannot be known. */
export function usePresence(user: string | undefined): boolean | undefined {
  const { presence } = useClient();
  const [online, setOnline] = useState<boolean>();
  useEffect(() => {
    setOnline(undefined);
    if (user === undefined) return undefined;
    return presence.tryWatch([user], (_, state) => setOnline(state?.online));
  }, [presence, user]);
  return online;
}

/** The time, as often as asked for; for countdowns. */
export function useNow(everyMs: number): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

/** `setTimeout` takes no longer delay. */
const longestTimerMs = 2 ** 31 - 1;

/** Whether that moment is still to come; draws again when it has. */
export function useBefore(at: number): boolean {
  const [draws, draw] = useReducer((count: number) => count + 1, 0);
  const left = at - Date.now();
  useEffect(() => {
    if (left <= 0 || left === Infinity) return undefined;
    const timer = setTimeout(() => draw(undefined as never), Math.min(left, longestTimerMs));
    return () => clearTimeout(timer);
  }, [at, draws]);
  return left > 0;
}

export function useMatch(query: string): boolean {
  const [matches, setMatches] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const list = matchMedia(query);
    const listen = (): void => setMatches(list.matches);
    list.addEventListener('change', listen);
    return () => list.removeEventListener('change', listen);
  }, [query]);
  return matches;
}

/** As wide as CSS calls a phone: one pane at a time. */
export const phone = '(max-width: 760px)';
export const narrow = '(max-width: 1080px)';
