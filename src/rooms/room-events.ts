/** The events of rooms and their members, as fan-out takes them. */
import type { Envelope, RoomEvent, UserEvent } from '../fanout/fanout.ts';
import type { EventData } from '../protocol/events.ts';

export function memberToRoom(data: EventData<'member'>): Envelope {
  return { to: 'room', room: data.room, event: 'member', json: JSON.stringify(data) };
}

/** With the room's summary it tells a head, from which on the user counts on the room's events. */
export function memberToUser(user: string, data: EventData<'member'>): UserEvent {
  const { room, summary } = data;
  const told = { to: 'user' as const, user, event: 'member', json: JSON.stringify(data) };
  return summary === undefined ? told : { ...told, about: room, head: { room, rev: summary.rev } };
}

/**
 * Off the topic first: who has left hears nothing more of the room but this.
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

/** To the invited user, and to who invited. */
export function invitationTo(user: string, data: EventData<'invitation'>): Envelope {
  return { to: 'user', user, event: 'invitation', json: JSON.stringify(data) };
}
