/**
 * The seam between "it is committed" and "everybody connected has it".
 *
 * Order: envelopes published by one node for one room reach every node in the order of publishing. Envelopes of two
 * nodes for one room may overtake each other; `rev` tells.
 * Guarantee: at most once. What is lost between nodes is repaired from Postgres by `rev`, never by this seam; an
 * envelope without a rev (signals, read marks) may be lost for good.
 * Atomicity: the envelopes of one `publish` travel together and are received in one call.
 * Blocking and retries: `publish` never waits, never throws and never retries; failures are counted and logged by the
 * form that has them. The publishing node receives its own envelopes through the same receiver, before `publish` returns.
 * Occupation: `occupied` resolves once envelopes of the room reach this node; a join is acknowledged only after it.
 */
import type { Role } from '../protocol/model.ts';

export interface Fanout {
  publish(envelopes: readonly Envelope[]): void;
  occupied(room: string): Promise<void>;
  vacated(room: string): void;
  close(): Promise<void>;
}

export type Receiver = (envelopes: readonly Envelope[]) => void;

export type Envelope = RoomEvent | UserEvent | MembershipChange;

/** To every connection subscribed to the room. */
export interface RoomEvent {
  readonly to: 'room';
  readonly room: string;
  readonly event: string;
  /** The room's rev that this event carries; absent for events that are not persisted. */
  readonly rev?: number;
  /** The event's data as JSON text. Written once where it arises; nobody on the way parses it. */
  readonly json: string;
  /** Binary parts that the JSON's placeholders `{"_placeholder":true,"num":n}` name; only signals have any. */
  readonly attachments?: readonly Uint8Array[];
  /** A session that shall not get it (the sender of a signal). */
  readonly except?: string;
}

/** To every connection of one user. */
export interface UserEvent {
  readonly to: 'user';
  readonly user: string;
  readonly event: string;
  readonly json: string;
}

/** Every node puts the user's connections on the room's topic, or takes them off it, before any later envelope. */
export interface MembershipChange {
  readonly to: 'membership';
  readonly user: string;
  readonly room: string;
  /** null: no member any more. */
  readonly role: Role | null;
}
