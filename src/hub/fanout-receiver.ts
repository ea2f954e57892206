import type { Envelope, RoomClosed, RoomEvent, UserEvent } from '../fanout/fanout.ts';
import type { Role } from '../protocol/model.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Connection } from './connection.ts';
import type { Connections } from './connections.ts';
import type { Broadcaster } from './broadcaster.ts';
import type { Subscriptions } from './subscriptions.ts';
import type { Resequencer } from '../recovery/resequencer.ts';

export interface FanoutReceiverParts {
  readonly connections: Connections;
  readonly memberships: Subscriptions;
  readonly order: Resequencer;
  readonly broadcaster: Broadcaster;
  readonly metrics: Metrics;
  readonly log: Log;
}

/** While nothing may go out, so many events without a rev are kept. */
const maxWaiting = 1000;

/**
 * The receiving end of fan-out: brings each envelope to those here whom it is for. Whoever is told a room's head counts on
 * all events after it, so that is noted with the room's order, and who missed some already is told to pull.
 */
export class FanoutReceiver {
  readonly #parts: FanoutReceiverParts;
  /** What came while nothing may go out, and has no rev to be found by. */
  #waiting: (UserEvent | RoomClosed)[] = [];

  constructor(parts: FanoutReceiverParts) {
    this.#parts = parts;
  }

  /** A fault in one envelope is counted and does not keep the others back. */
  receive(envelopes: readonly Envelope[]): void {
    const { order, memberships, metrics, log } = this.#parts;
    for (const envelope of envelopes) {
      try {
        if (envelope.to === 'room') order.receive(envelope);
        else if (envelope.to === 'membership') memberships.change(envelope);
        else if (order.isSuspended()) this.#wait(envelope);
        else this.#deliver(envelope);
      } catch (error) {
        metrics.internalErrors.inc({ where: 'delivery' });
        log.error({ err: error }, 'an event could not be delivered');
      }
    }
  }

  /** Whether there is nobody here to hear it, or it is what they heard last. */
  hasHeard(event: RoomEvent): boolean {
    return !this.#parts.order.has(event.room) || this.#parts.broadcaster.wasLast(event);
  }

  /** Events may go out again. */
  release(): void {
    for (const envelope of this.#waiting.splice(0)) {
      try {
        this.#deliver(envelope);
      } catch (error) {
        this.#parts.metrics.internalErrors.inc({ where: 'delivery' });
        this.#parts.log.error({ err: error }, 'an event could not be delivered');
      }
    }
  }

  #deliver(envelope: UserEvent | RoomClosed): void {
    if (envelope.to === 'user') this.toUser(envelope);
    else this.#closeRoom(envelope);
  }

  #wait(envelope: UserEvent | RoomClosed): void {
    if (this.#waiting.length < maxWaiting) this.#waiting.push(envelope);
    else this.#parts.metrics.heldDropped.inc();
  }

  toUser({ user: id, event, json, head, about }: UserEvent): void {
    const { connections, memberships, order, broadcaster } = this.#parts;
    const user = connections.user(id);
    if (user === undefined) return;
    // made before their membership ended, and come after it
    if (about !== undefined && !user.connections.some((one) => memberships.isIn(one, about))) return;
    broadcaster.toUser(user, event, json);
    if (head === undefined) return;
    memberships.welcomed(id, head.room);
    const behind = order.noteHead(head.room, head.rev);
    if (behind === undefined) return;
    for (const connection of connections.ready(id)) broadcaster.behind(connection, head.room, behind);
  }

  /**
   * The connection is told the rooms' heads, with what was sent or will be answered in this turn. `behind` corrects that,
   * and goes out after it. Of rooms that are not the user's (`role: null`) nothing comes, so nobody counts on it.
   */
  toldHeads(
    connection: Connection,
    heads: Iterable<{ readonly id: string; readonly rev: number; readonly role?: Role | null }>,
  ): void {
    const { order, broadcaster } = this.#parts;
    for (const { id, rev, role } of heads) {
      const behind = role === null ? undefined : order.noteHead(id, rev);
      if (behind !== undefined) setImmediate(() => broadcaster.behind(connection, id, behind));
    }
  }

  /** The last that the room's members hear of it; nothing holds that back. */
  #closeRoom({ room, event, json }: RoomClosed): void {
    const { memberships, broadcaster } = this.#parts;
    const members = [...memberships.connectionsIn(room)];
    broadcaster.toEach(members, event, json);
    memberships.closed(room, members);
  }
}
