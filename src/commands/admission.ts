/**
 * Decides which packets and which commands run. A packet of any form is admitted by the server's load and its user's share.
 * This check is fast, so that most of a flood is refused before it is decoded. A decoded command is admitted by the rates of
 * its connection and its user.
 *
 * The rate of a connection is its own token bucket and that of its user. A connection that ignores refusals is closed.
 * Commands take from both buckets by their weight. Packets that no client of good faith repeats take from them too, or they
 * would have no limit. A connection without a user takes from the bucket of its address, and is closed when that bucket is
 * empty. Every packet that counts there follows a refusal or serves no purpose.
 */
import { ParleyError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type { PacketAdmission } from '../connect/socket-app.ts';
import type { Connection, LocalUser } from '../hub/connection.ts';
import type { LoadShedding } from './load-shedding.ts';
import { isSend, roomOfSend } from './send-room.ts';
import type { Tally } from '../telemetry/hot-metrics.ts';
import type { Metrics, UnexpectedPacket } from '../telemetry/metrics.ts';
import { encodeAck } from '../transport/socketio/encode.ts';
import type { Packet } from '../transport/socketio/packet.ts';
import type { Refusals } from './refusals.ts';
import type { Header } from '../transport/socketio/text.ts';
import type { Unsent } from '../hub/unsent.ts';
import type { UserShares } from './user-shares.ts';
import type { Entry } from './table.ts';
import type { Writer } from '../messages/writer/writer.ts';

export interface AdmissionLimits {
  readonly commandsPerSecond: number;
  readonly commandBurst: number;
  /** Refusals in a row after which the connection is closed. */
  readonly maxRefusedCommands: number;
  readonly maxPendingCommands: number;
}

export interface AdmissionParts {
  readonly limits: AdmissionLimits;
  readonly loadShedding: LoadShedding;
  readonly unsent: Unsent;
  readonly shares: UserShares;
  readonly writer: Pick<Writer, 'crowded' | 'isFull' | 'refuses'>;
  readonly refusals: Refusals;
  readonly metrics: Metrics;
}

/** Acks of overload, encoded once, with different delays so that their clients do not return together. */
const overloaded = Array.from({ length: 16 }, (_, i) =>
  JSON.stringify({ ok: false, error: new ParleyError('overloaded', undefined, { retryAfter: 500 + i * 64 }).toWire() }),
);

const frameTooLarge = JSON.stringify({
  ok: false,
  error: new ParleyError('too_large', 'The frame is over PARLEY_MAX_FRAME_BYTES.').toWire(),
});

/** Encoded once, up to the milliseconds to wait and two brackets. */
const overShare = JSON.stringify({
  ok: false,
  error: new ParleyError('rate_limited', 'Your connections ask for too much; wait before the next command.', {
    retryAfter: 0,
  }).toWire(),
}).slice(0, -'0}}'.length);

export class Admission implements PacketAdmission {
  readonly #parts: AdmissionParts;
  readonly #unexpected: Readonly<Record<UnexpectedPacket, Tally>>;
  readonly #rateLimited: Tally;

  constructor(parts: AdmissionParts) {
    this.#parts = parts;
    const { unexpectedPackets, commands } = parts.metrics;
    this.#rateLimited = commands.labels({ command: 'unknown', outcome: 'rate_limited' });
    this.#unexpected = {
      ack: unexpectedPackets.labels({ packet: 'ack' }),
      late_ack: unexpectedPackets.labels({ packet: 'late_ack' }),
      connect: unexpectedPackets.labels({ packet: 'connect' }),
    };
  }

  received(connection: Connection, bytes: number): void {
    if (connection.user !== undefined) this.#parts.shares.received(connection.user, bytes);
  }

  admit(connection: Connection, packet: Header | Packet): boolean {
    if (packet.type === 'ack') {
      if (connection.awaitsAck) return true;
      // a full frame of it takes as long to parse as a command
      this.unexpected(connection, 'ack');
      return false;
    }
    const { user } = connection;
    if (packet.type !== 'event' || user === undefined) return true;
    const { shares, loadShedding } = this.#parts;
    // a hundred connections of one user may send 20,000 events at once; an error object for each would take a second
    const wait = shares.mayReceive(user);
    if (wait > 0) {
      this.#refused(connection);
      this.#rateLimited.inc();
      return this.#refuse(connection, packet, `${overShare}${wait}}}`);
    }
    if (loadShedding.admit() && !('frame' in packet && this.#writerRefuses(packet, user))) return true;
    return this.#refuse(connection, packet, overloaded[Math.floor(Math.random() * overloaded.length)] ?? '');
  }

  /** Without an answer, a client that sends each command until its ack comes would send this one again and again. */
  oversized(connection: Connection, ack: string): void {
    if (ack !== '') connection.sendFrames(encodeAck(connection.form, ack, frameTooLarge));
  }

  unexpected(connection: Connection, packet: 'ack' | 'connect'): void {
    // the client is not at fault where the server stopped waiting
    const late = packet === 'ack' && connection.isLate();
    this.#unexpected[late ? 'late_ack' : packet].inc();
    if (!late) this.take(connection, 1);
  }

  /** @throws {ParleyError} if the connection or its user may not run another command now. */
  admitCommand(connection: Connection, now: number, entry: Entry | undefined): void {
    const wait = this.take(connection, entry?.weight ?? 1, now);
    if (wait > 0) throw new ParleyError('rate_limited', undefined, { retryAfter: wait });
    connection.refused = 0;
    if (connection.pending >= this.#parts.limits.maxPendingCommands) {
      throw new ParleyError('overloaded', 'Too many commands of this connection wait for their answer.', {
        retryAfter: 100,
      });
    }
  }

  /** @returns 0 if the connection and its user had enough, else the milliseconds until the buckets have enough. */
  take(connection: Connection, weight: number, now: number = performance.now()): number {
    const { shares, limits: own } = this.#parts;
    const { commandsPerSecond, commandBurst } = own;
    // whole milliseconds, so that the fields stay small integers
    const at = Math.floor(now);
    const refill = ((at - connection.refilledAt) / 1000) * commandsPerSecond;
    if (refill >= 1) {
      const whole = Math.floor(refill);
      connection.credit = Math.min(commandBurst, connection.credit + whole);
      connection.refilledAt = at - Math.floor(((refill - whole) * 1000) / commandsPerSecond);
    }
    if (connection.credit < weight) {
      this.#refused(connection);
      return Math.ceil((1000 * weight) / commandsPerSecond);
    }
    const { user } = connection;
    if (user === undefined) {
      connection.credit -= weight;
      const wait = shares.withoutUser(connection.address.network, now);
      if (wait > 0) connection.close('rate_limited', 'rate_limited');
      return wait;
    }
    const wait = shares.command(user, weight, now);
    if (wait > 0) this.#refused(connection);
    else connection.credit -= weight;
    return wait;
  }

  /** @throws {ParleyError} `overloaded` if the server admits no further command of callers without a connection now. */
  admitCall(): void {
    if (!this.#parts.loadShedding.admit()) throw new ParleyError('overloaded', undefined, { retryAfter: 1000 });
  }

  /** @throws {ParleyError} `overloaded` if the connection waits for as many pages as it may. */
  admitPage(connection: Connection): void {
    if (connection.reading >= limits.pendingReads) {
      throw new ParleyError('overloaded', 'Wait for the pages that are on their way.', { retryAfter: 100 });
    }
  }

  /** @throws {ParleyError} if no large answer may be made for the user now. */
  admitLarge(connection: Connection, user: LocalUser): void {
    this.#parts.unsent.admit(connection, user);
    this.#parts.shares.mayAnswer(user);
  }

  /** Counts a refusal: a connection with too many in a row is closed. */
  #refused(connection: Connection): void {
    if (++connection.refused > this.#parts.limits.maxRefusedCommands) connection.close('rate_limited', 'rate_limited');
  }

  #writerRefuses({ frame, at }: Header, user: LocalUser): boolean {
    const { loadShedding, writer } = this.#parts;
    if (!isSend(frame, at) || !writer.crowded) return false;
    const room = roomOfSend(frame, at);
    if (room === undefined || !writer.refuses(room, user.id)) return false;
    loadShedding.writerRefused(writer.isFull(room));
    return true;
  }

  /** @returns false, as the answer of `admit`. */
  #refuse(connection: Connection, { ack = '' }: { readonly ack: string | undefined }, json: string): false {
    if (ack !== '') this.#parts.refusals.send(connection, encodeAck(connection.form, ack, json));
    return false;
  }
}
