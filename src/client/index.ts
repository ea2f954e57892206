/** The Parley SDK. */
export { Client, connect } from './client.ts';
export type { ConnectOptions, User } from './client.ts';
export type { ConnectionState } from './connection.ts';
export type { Socket, SocketConstructor } from './link.ts';
export type { Outgoing, OutboxStorage, SendOptions, SendResult } from './outbox.ts';
export type { Presence, PresenceListener } from './presence.ts';
export type { RoomEntry } from './room-list.ts';
export type { Room, RoomState } from './room.ts';
export type { Store } from './store.ts';
export type { TokenSource } from './token.ts';
export { ParleyError } from '../protocol/errors.ts';
export type { ErrorCode } from '../protocol/errors.ts';
export { limits } from '../protocol/limits.ts';
export type { CommandInput, CommandName, CommandOutput } from '../protocol/commands.ts';
export type { EventData, EventName } from '../protocol/events.ts';
export type { Member, Message, PresenceState, Reaction, Role, RoomKind, RoomSummary } from '../protocol/model.ts';
