import type { HeldLimits } from './held-events.ts';

export interface ResequencerLimits extends HeldLimits {
  /** How long the resequencer waits for events that were overtaken on their way from other nodes. */
  readonly graceMs: number;
  /** The same for events that are hardly on their way: other nodes are unreachable, or the event came before the first head. */
  readonly shortGraceMs: number;
  /** Events without a rev that are held while suspended. */
  readonly suspendedEvents: number;
}

/**
 * `graceMs` was measured by bench/cluster.ts, with nodes, Redis, Postgres and the load on 2 processors. Between 35 and 98 of
 * 20,000 events came more than 20 ms after an event that overtook them. With 20 ms they would be read from Postgres in
 * vain. A longer grace costs something only when Redis loses an event: later events of the room are held longer. Past 1,000
 * held events (a room with 10,000 a second) these are read too. Anti-entropy allows an event the same time on its way.
 */
export const defaultLimits: ResequencerLimits = {
  graceMs: 100,
  shortGraceMs: 20,
  heldEventsPerRoom: 1000,
  heldBytesPerRoom: 1024 * 1024,
  heldBytes: 32 * 1024 * 1024,
  suspendedEvents: 1000,
};
