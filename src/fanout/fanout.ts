/**
 * The seam between "it is committed" and "everybody connected has it".
 *
 * Order: envelopes published by one node for one room reach every node in the order of publishing; so do a membership
 * change and the events published before or after it, whatever room or user they are for. Envelopes of two nodes for one
 * room may overtake each other; `rev` tells.
 * Guarantee: at most once. What is lost between nodes is repaired from Postgres by `rev`, never by this seam; an
 * envelope without a rev (signals, read marks) may be lost for good. Membership is repaired from Postgres too.
 * Atomicity: the envelopes of one `publish` are received here in one call. Elsewhere those of one room are, unless an
 * envelope to a user stands between them or they take more than a megabyte.
 * Blocking and retries: `publish` never waits, never throws and never retries; failures are counted and logged by the
 * form that has them. The publishing node receives its own envelopes through the same receiver, before `publish`
 * returns, and not again from outside.
 * Begin: envelopes go to the receiver that `listen` names. Before `listen`, envelopes are dropped: nobody is connected yet.
 * Occupation: the gateway says once when a room gets its first connection here, and once when the last one has gone.
 * `occupied` resolves when envelopes of the room reach this node, or cannot for now; it never rejects. A join is
 * acknowledged only after it.
 */
import type { Role } from '../protocol/model.ts';

export interface Fanout {
  /** Undefined: this node is alone. */
  readonly others: Others | undefined;
  listen(receiver: Receiver): void;
  publish(envelopes: readonly Envelope[]): void;
  occupied(room: string): Promise<void>;
  vacated(room: string): void;
  close(): Promise<void>;
}

export interface Others {
  /** Whether envelopes of other nodes reach this one. What they publish while it is false is lost to it. */
  readonly reachable: boolean;
  /** Called at each change; when it becomes true, before any envelope of another node is received. */
  onChange(listener: (reachable: boolean) => void): void;
}

export type Receiver = (envelopes: readonly Envelope[]) => void;

export type Envelope = RoomEvent | UserEvent | MembershipChange | RoomClosed;

/** To every connection subscribed to the room. */
export interface RoomEvent {
  readonly to: 'room';
  readonly room: string;
  readonly event: string;
  /** The room's rev that this event carries; absent for events that are not persisted. */
  readonly rev?: number;
  /** The event's data as JSON text. Written once where it arises. A node that gets it from another one checks that it is JSON. */
  readonly json: string;
  /** Binary parts that the JSON's placeholders `{"_placeholder":true,"num":n}` name; only signals have any. */
  readonly attachments?: readonly Uint8Array[];
  /** A session that shall not get it (the sender of a signal). */
  readonly except?: string | undefined;
  /** Users who shall not get it: those who have blocked the sender of a mention of everybody. Only an event without a rev has any. */
  readonly withheld?: readonly string[];
}

/** To every connection of one user. */
export interface UserEvent {
  readonly to: 'user';
  readonly user: string;
  readonly event: string;
  readonly json: string;
  /** A room that the event is about: only members of it get it. Absent where the event says that they are none. */
  readonly about?: string;
  /** A room's head that the event tells: whoever gets it counts on the events after it. */
  readonly head?: { readonly room: string; readonly rev: number };
}

/** Every node puts the user's connections on the room's topic, or takes them off it, before any later envelope. */
export interface MembershipChange {
  readonly to: 'membership';
  readonly user: string;
  readonly room: string;
  /** null: no member any more. */
  readonly role: Role | null;
  /** Until then they may only read; milliseconds since 1970. */
  readonly mutedUntil?: number;
  /** Of two changes of one membership the one with the higher version holds, whichever comes last. */
  readonly version?: number;
}

/** Every node gives all connections of the room this last event, and takes them off its topics. */
export interface RoomClosed {
  readonly to: 'closed';
  readonly room: string;
  readonly event: string;
  readonly json: string;
}
