import { createContext } from 'preact';
import { useContext, useEffect, useLayoutEffect, useReducer, useState } from 'preact/hooks';
import type { Client, Readable } from '../../client/index.ts';
import { scheduleDraw, cancelDraw } from './frame-scheduler.ts';

const ClientContext = createContext<Client | undefined>(undefined);
export const ClientProvider = ClientContext.Provider;

export function useClient(): Client {
  const client = useContext(ClientContext);
  if (client === undefined) throw new Error('This component is used outside of a session.');
  return client;
}

/** The present value of one of the SDK's stores; renders again after a change, at most once a frame. */
export function useStore<T>(store: Readable<T>): T {
  const [, draw] = useReducer((count: number) => count + 1, 0);
  const value = store.value;
  useLayoutEffect(() => {
    // The value may have changed between the render and this effect.
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

/** Whether a user is online; undefined: no user is given, or the state is unknown. */
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

/** The present time, updated at an interval; for countdowns. */
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

/** Whether that moment is in the future; renders again when it has come. */
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

/** The width that CSS treats as a phone: one pane at a time. */
export const phone = '(max-width: 760px)';
export const narrow = '(max-width: 1080px)';
