/**
 * Decides which packets and which commands run. A packet of any form is admitted by the server's load and its user's share.
 * This check is fast, so that most of a flood is refused before it is decoded. A decoded command is admitted by the rates of
 * its connection and its user.
 */
import { ParleyError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type { CommandRate } from './command-rate.ts';
import type { PacketAdmission } from '../connect/socket-app.ts';
import type { Connection, LocalUser } from '../hub/connection.ts';
import type { LoadShedding } from './load-shedding.ts';
import { roomOfSend } from './send-room.ts';
import type { Tally } from '../telemetry/hot-metrics.ts';
import type { Metrics, StrayPacket } from '../telemetry/metrics.ts';
import { encodeAck } from '../transport/socketio/encode.ts';
import type { Packet } from '../transport/socketio/packet.ts';
import type { Refusals } from './refusals.ts';
import type { Header } from '../transport/socketio/text.ts';
import type { Unsent } from '../hub/unsent.ts';
import type { UserShares } from './user-shares.ts';
import type { Entry } from './table.ts';
import type { Writer } from '../messages/writer/writer.ts';

export interface AdmissionParts {
  readonly limits: { readonly maxPendingCommands: number };
  readonly rate: CommandRate;
  readonly loadShedding: LoadShedding;
  readonly unsent: Unsent;
  readonly shares: UserShares;
  readonly writer: Pick<Writer, 'isFull' | 'refuses'>;
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
  readonly #unexpected: Readonly<Record<StrayPacket, Tally>>;
  readonly #rateLimited: Tally;

  constructor(parts: AdmissionParts) {
    this.#parts = parts;
    const { strayPackets, commands } = parts.metrics;
    this.#rateLimited = commands.labels({ command: 'unknown', outcome: 'rate_limited' });
    this.#unexpected = {
      ack: strayPackets.labels({ packet: 'ack' }),
      late_ack: strayPackets.labels({ packet: 'late_ack' }),
      connect: strayPackets.labels({ packet: 'connect' }),
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
    const { shares, rate, loadShedding } = this.#parts;
    // a hundred connections of one user may send 20,000 events at once; an error object for each would take a second
    const wait = shares.mayReceive(user);
    if (wait > 0) {
      rate.refused(connection);
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
    if (!late) this.#parts.rate.take(connection, 1);
  }

  /** @throws {ParleyError} if the connection or its user may not run another command now. */
  admitCommand(connection: Connection, now: number, entry: Entry | undefined): void {
    const { limits: own, rate } = this.#parts;
    const wait = rate.take(connection, entry?.weight ?? 1, now);
    if (wait > 0) throw new ParleyError('rate_limited', undefined, { retryAfter: wait });
    connection.refused = 0;
    if (connection.pending >= own.maxPendingCommands) {
      throw new ParleyError('overloaded', 'Too many commands of this connection wait for their answer.', {
        retryAfter: 100,
      });
    }
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

  #writerRefuses({ frame, at }: Header, user: LocalUser): boolean {
    const { loadShedding, writer } = this.#parts;
    if (!loadShedding.writerCrowded) return false;
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
