/** React hooks for the Parley SDK: each draws its component again when what it shows has changed. */
import { createContext, createElement, useContext, useEffect, useMemo, useSyncExternalStore } from 'react';
import { ParleyError } from '../client/index.ts';
import type {
  Client,
  ConnectionState,
  EventData,
  EventName,
  Member,
  Message,
  PresenceState,
  Readable,
  Room,
  RoomEntry,
  RoomState,
  User,
} from '../client/index.ts';

const ClientContext = createContext<Client | undefined>(undefined);

/** Gives the client to all hooks inside. It is made and closed outside: `connect()` in a component would connect twice. */
export function ParleyProvider(props: { client: Client; children?: unknown }): never {
  return createElement(ClientContext.Provider, { value: props.client }, props.children);
}

/** @throws {ParleyError} `invalid` outside of a `ParleyProvider` */
export function useClient(): Client {
  const client = useContext(ClientContext);
  if (client === undefined) throw new ParleyError('invalid', 'useClient stands outside of a ParleyProvider.');
  return client;
}

/** The present value of anything the SDK lets one subscribe to. */
export function useReadable<T>(readable: Readable<T>): T {
  const [subscribe, snapshot] = useMemo(
    () => [(changed: () => void) => readable.subscribe(changed), () => readable.value] as const,
    [readable],
  );
  return useSyncExternalStore(subscribe, snapshot, snapshot);
}

export function useConnectionState(): ConnectionState {
  return useReadable(useClient().state);
}

/** Who we are; undefined before the first connection. */
export function useUser(): User | undefined {
  return useReadable(useClient().user);
}

/** Our rooms, the most recently active first. */
export function useRooms(): readonly RoomEntry[] {
  return useReadable(useClient().rooms);
}

/** Unread messages of all rooms. */
export function useUnread(): number {
  return useRooms().reduce((sum, room) => sum + room.unread, 0);
}

/** The room, opened, and its state. It stays open when the component goes: `client.release(id)` closes it. */
export function useRoom(id: string): RoomState & { readonly room: Room } {
  const room = useClient().room(id);
  const state = useReadable(room.state);
  return useMemo(() => ({ ...state, room }), [state, room]);
}

/** Ordered, live, gap-free. */
export function useMessages(id: string): readonly Message[] {
  return useReadable(useClient().room(id).messages);
}

export function useMembers(id: string): readonly Member[] {
  return useReadable(useClient().room(id).members);
}

/** Who of the members of a room is there, as far as it is known. */
export function useRoomPresence(id: string): ReadonlyMap<string, PresenceState> {
  return useReadable(useClient().room(id).presence);
}

/** Whether a user is there; undefined: it cannot be known. */
export function usePresence(user: string): PresenceState | undefined {
  const { presence } = useClient();
  const [subscribe, snapshot] = useMemo(
    () => [(changed: () => void) => presence.tryWatch([user], changed), () => presence.get(user)] as const,
    [presence, user],
  );
  return useSyncExternalStore(subscribe, snapshot, snapshot);
}

/** Calls back on each event of the server; for what has no hook of its own. */
export function useEvent<E extends EventName>(event: E, listener: (data: EventData<E>) => void): void {
  const client = useClient();
  useEffect(() => client.on(event, listener), [client, event, listener]);
}
