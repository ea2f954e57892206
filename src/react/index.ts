/** React hooks for the Parley SDK. Each hook renders its component again when its value changes. */
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

/**
 * Provides the client to all hooks inside. The application creates and closes the client outside of components:
 * `connect()` in a component would connect twice.
 */
export function ParleyProvider(props: { client: Client; children?: unknown }): never {
  return createElement(ClientContext.Provider, { value: props.client }, props.children);
}

/** @throws {ParleyError} `invalid` outside of a `ParleyProvider` */
export function useClient(): Client {
  const client = useContext(ClientContext);
  if (client === undefined) throw new ParleyError('invalid', 'useClient is called outside of a ParleyProvider.');
  return client;
}

/** The present value of a `Readable` of the SDK. */
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

/** This user; undefined before the first connection. */
export function useUser(): User | undefined {
  return useReadable(useClient().user);
}

/** The rooms of this user, the most recently active first. */
export function useRooms(): readonly RoomEntry[] {
  return useReadable(useClient().rooms);
}

/** Unread messages of all rooms. */
export function useUnread(): number {
  return useRooms().reduce((sum, room) => sum + room.unread, 0);
}

/**
 * Opens a room and returns its state. The room stays open after the component is removed: `client.release(id)` closes
 * it.
 */
export function useRoom(id: string): RoomState & { readonly room: Room } {
  const room = useClient().room(id);
  const state = useReadable(room.state);
  return useMemo(() => ({ ...state, room }), [state, room]);
}

/** The messages of a room: in order, live, without a gap. */
export function useMessages(id: string): readonly Message[] {
  return useReadable(useClient().room(id).messages);
}

export function useMembers(id: string): readonly Member[] {
  return useReadable(useClient().room(id).members);
}

/** The known presence of the members of a room. */
export function useRoomPresence(id: string): ReadonlyMap<string, PresenceState> {
  return useReadable(useClient().room(id).presence);
}

/** The presence of a user; undefined: it is unknown. */
export function usePresence(user: string): PresenceState | undefined {
  const { presence } = useClient();
  const [subscribe, snapshot] = useMemo(
    () => [(changed: () => void) => presence.tryWatch([user], changed), () => presence.get(user)] as const,
    [presence, user],
  );
  return useSyncExternalStore(subscribe, snapshot, snapshot);
}

/** Calls the listener on each event of the server; for events without a hook of their own. */
export function useEvent<E extends EventName>(event: E, listener: (data: EventData<E>) => void): void {
  const client = useClient();
  useEffect(() => client.on(event, listener), [client, event, listener]);
}
