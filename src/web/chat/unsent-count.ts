import { signal } from '@preact/signals';
import { useEffect, useReducer } from 'preact/hooks';
import { useClient, useStore } from '../ui/hooks.ts';

/** The rooms that this page has opened. The SDK sends older messages of other rooms without a display. */
const opened = signal<ReadonlySet<string>>(new Set());

export function roomOpened(id: string): void {
  if (!opened.value.has(id)) opened.value = new Set([...opened.value, id]);
}

/** The number of messages of this user that wait for the connection. */
export function useUnsentCount(): number {
  const client = useClient();
  const [, draw] = useReducer((count: number) => count + 1, 0);
  const mine = useStore(client.rooms);
  const rooms = mine.filter(({ id }) => opened.value.has(id)).map(({ id }) => client.room(id).state);
  useEffect(() => {
    const stops = rooms.map((state) => state.subscribe(() => draw(undefined as never)));
    return () => stops.forEach((stop) => stop());
  }, [client, rooms.length, opened.value]);
  return rooms.reduce((sum, { value }) => sum + value.outgoing.filter(({ state }) => state === 'sending').length, 0);
}
