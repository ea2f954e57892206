import type { ConnectionEvent, Envelope, RoomClosed, RoomEvent, UserEvent } from '../fanout/fanout.ts';
import type { Role } from '../protocol/model.ts';
import { debugLog } from '../telemetry/debug-log.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Connection } from './connection.ts';
import type { Connections } from './connections.ts';
import type { Broadcaster } from './broadcaster.ts';
import type { Resequencer } from '../recovery/resequencer.ts';
import type { SessionRegistry } from '../sessions/registry.ts';
import type { Lease } from '../storage/lease.ts';
import { readsOnlyUntil, type Subscriptions } from './subscriptions.ts';

export interface FanoutReceiverParts {
  readonly connections: Connections;
  readonly subscriptions: Subscriptions;
  readonly resequencer: Resequencer;
  readonly broadcaster: Broadcaster;
  readonly registry: Pick<SessionRegistry, 'received' | 'departed'>;
  readonly lease: Pick<Lease, 'hurry'>;
  readonly metrics: Metrics;
  readonly log: Log;
}

const failed = 'Could not deliver an event; its recipients miss it until they sync.';

/** Events to users and closings of rooms that are held while delivery is suspended. */
const maxHeld = 1000;

/**
 * The receiving end of fan-out: brings each envelope to its recipients on this node, to the sessions whose presence it
 * changes, and to the lease.
 *
 * States: *delivering*, in which each envelope is delivered at once; and *suspended*, as the resequencer is. While
 * suspended, events to users and closings of rooms are held, up to a limit; membership changes are applied. `release`
 * delivers the held envelopes and leads back to delivering.
 *
 * A client that gets a room's head expects every event after that head. `noteHeads` records the head in the resequencer,
 * and sends `behind` to a connection that has already missed some of these events.
 */
export class FanoutReceiver {
  readonly #parts: FanoutReceiverParts;
  readonly #debug: Log | undefined;
  /** Envelopes that came while suspended. They have no rev, so no backfill would find them. */
  #held: (UserEvent | RoomClosed)[] = [];

  constructor(parts: FanoutReceiverParts) {
    this.#parts = parts;
    this.#debug = debugLog(parts.log);
  }

  receive(envelopes: readonly Envelope[]): void {
    // the usual case; the lines below took a twentieth of the time of a signal
    if (envelopes.every(isOfRoom)) return this.#deliverAll(envelopes);
    const { subscriptions, registry, lease } = this.#parts;
    const closed = envelopes.flatMap((envelope) =>
      envelope.to === 'closed' ? subscriptions.usersIn(envelope.room) : [],
    );
    this.#deliverAll(envelopes);
    registry.received(envelopes);
    for (const user of closed) registry.departed(user);
    if (envelopes.some(removesRight)) lease.hurry();
  }

  /** Whether the room has no connection here, or its connections got these settings last. */
  hasDelivered(event: RoomEvent): boolean {
    return !this.#parts.resequencer.has(event.room) || this.#parts.broadcaster.wasLast(event);
  }

  /** Delivery is no longer suspended. */
  release(): void {
    for (const envelope of this.#held.splice(0)) {
      try {
        this.#deliver(envelope);
      } catch (error) {
        this.#parts.metrics.internalErrors.inc({ where: 'delivery' });
        this.#parts.log.error({ err: error }, failed);
      }
    }
  }

  /** A fault in one envelope is counted and logged. The other envelopes are delivered. */
  #deliverAll(envelopes: readonly Envelope[]): void {
    const { resequencer, subscriptions, metrics, log } = this.#parts;
    for (const envelope of envelopes) {
      try {
        if (envelope.to === 'room') resequencer.receive(envelope);
        else if (envelope.to === 'membership') subscriptions.change(envelope);
        else if (envelope.to === 'connection') this.#toConnection(envelope);
        else if (resequencer.isSuspended()) this.#hold(envelope);
        else this.#deliver(envelope);
      } catch (error) {
        metrics.internalErrors.inc({ where: 'delivery' });
        log.error({ err: error }, failed);
      }
    }
  }

  #deliver(envelope: UserEvent | RoomClosed): void {
    if (envelope.to === 'user') this.toUser(envelope);
    else this.#closeRoom(envelope);
  }

  #hold(envelope: UserEvent | RoomClosed): void {
    const { event } = envelope;
    // a signal needs no membership, and would be too old later
    if (event === 'signal:direct') return this.#deliver(envelope);
    const room = envelope.to === 'closed' ? envelope.room : envelope.about;
    if (this.#held.length < maxHeld) {
      this.#held.push(envelope);
      this.#debug?.debug({ room, event, reason: 'suspended' }, 'Held an event: delivery is suspended.');
    } else {
      this.#parts.metrics.heldDropped.inc();
      this.#debug?.debug(
        { room, event, reason: 'limit' },
        'Dropped an event: too many are held while delivery is suspended.',
      );
    }
  }

  #toConnection({ connection: id, event, json }: ConnectionEvent): void {
    const { connections, broadcaster } = this.#parts;
    const connection = connections.session(id);
    if (connection !== undefined) broadcaster.toUser({ connections: [connection] }, event, json);
  }

  toUser({ user: id, event, json, head, about }: UserEvent): void {
    const { connections, subscriptions, resequencer, broadcaster } = this.#parts;
    const user = connections.user(id);
    if (user === undefined) return;
    // the event was made before the user's membership ended, and came after its end
    if (about !== undefined && !user.connections.some((one) => subscriptions.isIn(one, about))) {
      this.#debug?.debug(
        { room: about, event, reason: 'not_member' },
        'Dropped an event: the user is not in the room.',
      );
      return;
    }
    broadcaster.toUser(user, event, json);
    if (head === undefined) return;
    subscriptions.welcomed(id, head.room);
    const behind = resequencer.noteHead(head.room, head.rev);
    if (behind === undefined) return;
    for (const connection of connections.ready(id)) broadcaster.behind(connection, head.room, behind);
  }

  /**
   * An event or an answer of this turn gives the connection these heads. `behind` corrects a head, so it is sent after
   * that answer. A room without the user (`role: null`) sends the connection nothing, so its head does not count.
   */
  noteHeads(
    connection: Connection,
    heads: Iterable<{ readonly id: string; readonly rev: number; readonly role?: Role | null }>,
  ): void {
    const { resequencer, broadcaster } = this.#parts;
    for (const { id, rev, role } of heads) {
      const behind = role === null ? undefined : resequencer.noteHead(id, rev);
      if (behind !== undefined) setImmediate(() => broadcaster.behind(connection, id, behind));
    }
  }

  /** The room's connections get this last event and leave the room. */
  #closeRoom({ room, event, json }: RoomClosed): void {
    const { subscriptions, broadcaster } = this.#parts;
    const members = [...subscriptions.connectionsIn(room)];
    broadcaster.toEach(members, event, json);
    subscriptions.closed(room, members);
  }
}

function isOfRoom({ to }: Envelope): boolean {
  return to === 'room';
}

/** The acknowledgement of such a command waits until all nodes have applied the envelope. */
function removesRight(envelope: Envelope): boolean {
  if (envelope.to === 'closed') return true;
  return envelope.to === 'membership' && (envelope.role === null || readsOnlyUntil(envelope) !== undefined);
}
