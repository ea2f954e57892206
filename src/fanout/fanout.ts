/**
 * The seam between a commit and the delivery to all connections, on every node.
 *
 * Order: envelopes published by one node for one room reach every node in the order of publishing. A membership
 * change and the events before or after it keep their order too, whatever room or user they are for. Envelopes of two nodes for one
 * room may overtake each other; `rev` shows it.
 * Guarantee: at most once. This seam repairs nothing. Lost events with a rev and lost membership changes are read from
 * Postgres. A lost envelope without a rev (signals, read marks) is gone.
 * Atomicity: this node receives the envelopes of one `publish` in one call. Other nodes receive the envelopes of one room in
 * one call, unless these exceed a megabyte or an envelope to a user is between them.
 * Blocking and retries: `publish` never waits, never throws and never retries. The implementation counts and logs its
 * failures. The publishing node receives its own envelopes through the same receiver, before `publish` returns, and not
 * again from outside.
 * Start: `listen` names the receiver. Earlier envelopes are dropped: there is no connection yet.
 * Observers: an observer gets what this node publishes, after the receiver, and nothing of other nodes.
 * Interest: the hub calls `occupied` when a room gets its first connection here, and `vacated` after the last one has left.
 * `occupied` resolves when envelopes of the room reach this node, or cannot for now; it never rejects. A join is
 * acknowledged only after it.
 */
import type { Role } from '../protocol/model.ts';

export interface Fanout {
  /** Undefined: this node is alone. */
  readonly others: Others | undefined;
  listen(receiver: Receiver): void;
  observe(observer: Observer): void;
  publish(envelopes: readonly Envelope[]): void;
  occupied(room: string): Promise<void>;
  vacated(room: string): void;
  close(): Promise<void>;
}

export interface Others {
  /** Whether envelopes of other nodes reach this node. While false, this node misses what they publish. */
  readonly reachable: boolean;
  /** Called at each change; when it becomes true, before any envelope of another node is received. */
  onChange(listener: (reachable: boolean) => void): void;
}

export type Receiver = (envelopes: readonly Envelope[]) => void;

export interface Observer {
  published(envelopes: readonly Envelope[]): void;
}

export type Envelope = RoomEvent | UserEvent | ConnectionEvent | MembershipChange | RoomClosed;

/** To every connection subscribed to the room. */
export interface RoomEvent {
  readonly to: 'room';
  readonly room: string;
  readonly event: string;
  /** The room's rev of this event. Absent for events that are not persisted. */
  readonly rev?: number;
  /** The event's data as JSON text, encoded once at its origin. A node that receives it from another node checks that it is JSON. */
  readonly json: string;
  /** Binary parts for the JSON's placeholders `{"_placeholder":true,"num":n}`. Only signals have any. */
  readonly attachments?: readonly Uint8Array[];
  /** A session that does not get the event: the sender of a signal. */
  readonly except?: string | undefined;
  /** Users that do not get the event: they have blocked the sender of a mention of everybody. Only events without a rev have any. */
  readonly withheld?: readonly string[];
}

/** To every connection of one user. */
export interface UserEvent {
  readonly to: 'user';
  readonly user: string;
  readonly event: string;
  readonly json: string;
  /** The event's room: only its members get the event. Absent if the event says that the user left the room. */
  readonly about?: string;
  /** A room's head in the event. A client that gets it expects the events after that head. */
  readonly head?: { readonly room: string; readonly rev: number };
}

/** To one connection, by its public id. The event is not stored. */
export interface ConnectionEvent {
  readonly to: 'connection';
  readonly connection: string;
  readonly event: string;
  readonly json: string;
}

/** Every node puts the user's connections on the room's topic, or takes them off it, before any later envelope. */
export interface MembershipChange {
  readonly to: 'membership';
  readonly user: string;
  readonly room: string;
  /** null: the user is no longer a member. */
  readonly role: Role | null;
  /** The user may only read until then; milliseconds since 1970. */
  readonly mutedUntil?: number;
  /** The change with the higher version wins, in whatever order two changes of one membership come. */
  readonly version?: number;
}

/** Every node gives all connections of the room this last event, and takes them off its topics. */
export interface RoomClosed {
  readonly to: 'closed';
  readonly room: string;
  readonly event: string;
  readonly json: string;
}
