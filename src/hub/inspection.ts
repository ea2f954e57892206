/** The state of a room or a connection on this node, for `parley inspect`. */
import type { ConnectionFacts, InspectQuestion, RoomFacts } from '../protocol/inspection.ts';
import type { Hub } from './hub.ts';

/** @returns undefined if this node has no such room or connection. */
export function inspect(hub: Hub, question: InspectQuestion): RoomFacts | ConnectionFacts | undefined {
  return 'room' in question ? inspectRoom(hub, question.room) : inspectConnection(hub, question.connection);
}

function inspectRoom({ resequencer, subscriptions, offRooms }: Hub, room: string): RoomFacts | undefined {
  const state = resequencer.stateOf(room);
  if (state === undefined) return undefined;
  const connections = [...subscriptions.connectionsIn(room)];
  const users = new Set(connections.map(({ user }) => user?.id));
  return { ...state, subscribers: connections.length, users: users.size, off: [...offRooms.off(room)].length };
}

function inspectConnection({ connections, subscriptions }: Hub, session: string): ConnectionFacts | undefined {
  const connection = connections.session(session);
  if (connection?.user === undefined) return undefined;
  const off = [...(connection.offRooms ?? [])];
  return {
    user: connection.user.id,
    since: connection.since,
    rooms: new Set([...subscriptions.roomsOf(connection), ...off]).size,
    unsentBytes: connection.bufferedBytes,
    quiet: connection.quiet,
    off: off.slice(0, offListed),
    address: connection.address.address,
    device: connection.device,
    agent: connection.agent,
  };
}

/** Rooms in one answer, whose size is bounded. */
const offListed = 100;
