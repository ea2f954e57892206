/** Writes the one ack of a command, and counts the outcome of the command. */
import { ParleyError } from '../protocol/errors.ts';
import { clientError } from '../storage/failure.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Connection } from '../hub/connection.ts';
import { Encoded } from './encoded.ts';
import { Outgoing } from './outgoing.ts';
import { encodeAck } from '../transport/socketio/encode.ts';
import { Refusals } from './refusals.ts';
import type { Frames } from '../transport/socketio/packet.ts';
import type { Unsent } from '../hub/unsent.ts';
import type { UserShares } from './user-shares.ts';
import type { Entry } from './table.ts';

export class Answers {
  readonly #shares: UserShares;
  readonly #metrics: Metrics;
  readonly #log: Log;
  readonly #outgoing: Outgoing;
  readonly #refusals: Refusals;

  constructor(parts: { unsent: Unsent; shares: UserShares; refusals: Refusals; metrics: Metrics; log: Log }) {
    const { unsent } = parts;
    this.#shares = parts.shares;
    this.#metrics = parts.metrics;
    this.#log = parts.log;
    this.#refusals = parts.refusals;
    this.#outgoing = new Outgoing((connection) => unsent.note(connection));
  }

  /** @param from when the command arrived @param later whether the turn of its arrival is over */
  succeed(connection: Connection, ack: string, entry: Entry, from: number, output: object, later = false): void {
    if (ack !== '') {
      const json = output instanceof Encoded ? output.json : JSON.stringify(output);
      if (entry.large && connection.user !== undefined) this.#shares.answered(connection.user, json.length);
      const ok = json === '{}' ? '{"ok":true}' : `{"ok":true,${json.slice(1)}`;
      this.#send(connection, encodeAck(connection.form, ack, ok), later);
    }
    entry.succeeded.inc();
    entry.ackSeconds.observe((performance.now() - from) / 1000);
  }

  fail(connection: Connection, ack: string, entry: Entry | undefined, thrown: unknown, later = false): void {
    const cause = clientError(thrown);
    const command = entry?.name ?? 'unknown';
    let error = cause;
    if (!(error instanceof ParleyError)) {
      this.#metrics.internalErrors.inc({ where: 'command' });
      this.#log.error(
        { err: cause, command, session: connection.session },
        'A command failed; the client got the error `internal`.',
      );
      error = new ParleyError('internal');
    }
    const answered = error as ParleyError;
    if (ack !== '') {
      const json = JSON.stringify({ ok: false, error: answered.toWire() });
      const frames = encodeAck(connection.form, ack, json);
      if (Refusals.holds(answered.code)) this.#refusals.send(connection, frames);
      else this.#send(connection, frames, later);
    }
    this.#metrics.commands.labels({ command, outcome: answered.code }).inc();
  }

  /** Sends the acks that wait for the end of this turn, and the refusals that wait for longer. */
  flush(): void {
    this.#outgoing.flush();
    this.#refusals.flush();
  }

  /** In the turn of a handler uWS itself writes several frames with one system call. */
  #send(connection: Connection, frames: Frames, later: boolean): void {
    if (later) this.#outgoing.send(connection, frames);
    else connection.sendFrames(frames);
  }
}
