/** Parley as Socket.IO's clients see it: one namespace, a token at its door, commands behind it. */
import { ParleyError } from '../protocol/errors.ts';
import { clientError } from '../storage/failure.ts';
import type { Tally } from '../telemetry/hot-metrics.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics, StrayPacket } from '../telemetry/metrics.ts';
import type { Connector } from '../connect/connect.ts';
import type { SessionRegistry } from '../sessions/registry.ts';
import type { CommandRate } from './command-rate.ts';
import type { Commands } from './dispatcher.ts';
import type { Connection } from '../hub/connection.ts';
import { encodeConnectError } from '../transport/socketio/encode.ts';
import type { Hub } from '../hub/hub.ts';
import type { EventArgs } from '../transport/socketio/packet.ts';
import { ackText } from '../transport/socketio/text.ts';
import type { LoadShedding } from './load-shedding.ts';
import { ackOf, kindOf, roomOfSend } from './header.ts';
import type { SocketApp } from '../connect/sockets.ts';
import type { Unsent } from '../hub/unsent.ts';
import type { UserShares } from './user-shares.ts';

export interface ParleyParts {
  readonly hub: Hub;
  readonly connector: Connector;
  readonly registry: SessionRegistry;
  readonly commands: Commands;
  readonly rate: CommandRate;
  readonly loadShedding: LoadShedding;
  readonly unsent: Unsent;
  readonly shares: UserShares;
  /** Whether what waits for its commit is as much as may, in the room's part of the writer. */
  readonly writer: { isFull(room: string): boolean };
  readonly metrics: Metrics;
  readonly log: Log;
}

/** Written once, with moments to come back at that differ. */
const refusals = Array.from({ length: 16 }, (_, i) =>
  JSON.stringify({ ok: false, error: new ParleyError('overloaded', undefined, { retryAfter: 500 + i * 64 }).toWire() }),
);

const frameTooLarge = JSON.stringify({
  ok: false,
  error: new ParleyError('too_large', 'The frame is over PARLEY_MAX_FRAME_BYTES.').toWire(),
});

/** Written once; the milliseconds to wait and two brackets follow. */
const overShare = JSON.stringify({
  ok: false,
  error: new ParleyError('rate_limited', 'Your connections ask for too much; wait before the next command.', {
    retryAfter: 0,
  }).toWire(),
}).replace(/0}}$/, '');

export class Parley implements SocketApp {
  readonly namespaces: ReadonlySet<string> = new Set(['/']);
  readonly #parts: ParleyParts;
  readonly #strays: Readonly<Record<StrayPacket, Tally>>;
  readonly #rateLimited: Tally;

  constructor(parts: ParleyParts) {
    this.#parts = parts;
    const { strayPackets, commands } = parts.metrics;
    this.#rateLimited = commands.labels({ command: 'unknown', outcome: 'rate_limited' });
    this.#strays = {
      ack: strayPackets.labels({ packet: 'ack' }),
      late_ack: strayPackets.labels({ packet: 'late_ack' }),
      connect: strayPackets.labels({ packet: 'connect' }),
    };
  }

  connect(connection: Connection, _namespace: string, payload: object | undefined): void {
    void this.#connect(connection, payload);
  }

  event(connection: Connection, _namespace: string, args: EventArgs, ack: string, asked: boolean): void {
    if (connection.user !== undefined) this.#parts.commands.run(connection, connection.user, ack, args, asked);
  }

  admit(connection: Connection, frame: Uint8Array): boolean {
    // a violation is for whoever decodes it to close: so is text where attachments are awaited
    if (connection.state !== 'ready' || connection.form !== 'json' || connection.assembly !== undefined) return true;
    const kind = kindOf(frame);
    if (kind === 'event') return this.#admitEvent(connection, frame);
    // a full frame of it takes as long to parse as a command, and nobody would hear it
    if (kind !== 'ack' || connection.awaitsAck) return true;
    this.stray(connection, 'ack');
    return false;
  }

  /** Without an answer a client that sends again what was not acknowledged would be closed for it for ever. */
  oversized(connection: Connection, head: Uint8Array): void {
    if (connection.state !== 'ready' || connection.form !== 'json' || kindOf(head) !== 'event') return;
    const ack = ackOf(head);
    if (ack !== undefined && ack !== '') connection.send(ackText(ack, frameTooLarge));
  }

  stray(connection: Connection, packet: 'ack' | 'connect'): void {
    // not its fault: the server asked, and did not wait as long as it took
    const late = packet === 'ack' && connection.isLate();
    this.#strays[late ? 'late_ack' : packet].inc();
    if (!late) this.#parts.rate.take(connection, 1);
  }

  disconnected(connection: Connection): void {
    const { registry, hub, unsent } = this.#parts;
    registry.gone(connection);
    hub.subscriptions.leave(connection);
    hub.connections.anonymize(connection);
    // what waits is of its address alone now
    unsent.note(connection);
  }

  ended(connection: Connection): void {
    this.#parts.unsent.note(connection);
  }

  received(connection: Connection, bytes: number): void {
    if (connection.user !== undefined) this.#parts.shares.received(connection.user, bytes);
  }

  #admitEvent(connection: Connection, frame: Uint8Array): boolean {
    const { loadShedding, writer } = this.#parts;
    if (this.#isOverShare(connection, frame)) return false;
    const taken = loadShedding.admit();
    if (taken && !loadShedding.writerFull) return true;
    const ack = ackOf(frame);
    if (ack === undefined) return true;
    if (taken) {
      const room = roomOfSend(frame, ack);
      if (room === undefined || !writer.isFull(room)) return true;
      loadShedding.writerRefused();
    }
    if (ack !== '') connection.send(ackText(ack, refusals[Math.floor(Math.random() * refusals.length)] ?? ''));
    return false;
  }

  /**
   * The user has sent too much: this event is refused before it is decoded. A hundred connections may bring 20,000 at once,
   * and an error made for each would take a second.
   */
  #isOverShare(connection: Connection, frame: Uint8Array): boolean {
    const { shares, rate } = this.#parts;
    const wait = connection.user === undefined ? 0 : shares.mayReceive(connection.user);
    if (wait === 0) return false;
    const ack = ackOf(frame);
    if (ack === undefined) return false;
    rate.refused(connection);
    this.#rateLimited.inc();
    if (ack !== '') connection.send(ackText(ack, `${overShare}${wait}}}`));
    return true;
  }

  async #connect(connection: Connection, payload: object | undefined): Promise<void> {
    const { connector, metrics, log } = this.#parts;
    try {
      await connector.connect(connection, payload);
      metrics.commands.labels({ command: 'connect', outcome: 'ok' }).inc();
    } catch (thrown) {
      const error = clientError(thrown);
      const told = error instanceof ParleyError ? error : new ParleyError('internal');
      if (error !== told) {
        metrics.internalErrors.inc({ where: 'socket' });
        log.error({ err: error, session: connection.session }, 'a connection could not be set up');
      }
      metrics.commands.labels({ command: 'connect', outcome: told.code }).inc();
      // past CONNECT's answer there is no other way to say it
      if (connection.state === 'ready') connection.close('unavailable', 'unavailable');
      else {
        connection.sendFrames(encodeConnectError(connection.form, '/', told.message, told.toWire()));
        // it may be tried again on this connection, but each time a token is verified
        this.#parts.rate.take(connection, 1);
      }
    }
  }
}
