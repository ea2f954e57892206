/** The events of rooms and their members, as fan-out takes them. */
import type { Envelope, RoomEvent, UserEvent } from '../fanout/fanout.ts';
import type { EventData } from '../protocol/events.ts';

export function memberToRoom(data: EventData<'member'>): Envelope {
  return { to: 'room', room: data.room, event: 'member', json: JSON.stringify(data) };
}

/** The room's summary has a head: from there on the user gets all events of the room. */
export function memberToUser(user: string, data: EventData<'member'>): UserEvent {
  const { room, summary } = data;
  const event = { to: 'user' as const, user, event: 'member', json: JSON.stringify(data) };
  return summary === undefined ? event : { ...event, about: room, head: { room, rev: summary.rev } };
}

/**
 * The unsubscription comes first: the user receives no other event of the room.
 * @param toRoom whether the event is published to the room now
 */
export function departure(data: EventData<'member'>, version: number | undefined, toRoom: boolean): Envelope[] {
  const { user, room } = data;
  const end = { to: 'membership' as const, user, room, role: null, ...(version === undefined ? {} : { version }) };
  return [end, memberToUser(user, data), ...(toRoom ? [memberToRoom(data)] : [])];
}

export function roomToRoom(data: EventData<'room'>): RoomEvent {
  return { to: 'room', room: data.room, event: 'room', json: JSON.stringify(data) };
}

/** For the invited user, and for the user that sent the invitation. */
export function invitationTo(user: string, data: EventData<'invitation'>): Envelope {
  return { to: 'user', user, event: 'invitation', json: JSON.stringify(data) };
}
