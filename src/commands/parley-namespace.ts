/** Parley as Socket.IO clients see it: one namespace that a token opens, and the commands in it. */
import { ParleyError } from '../protocol/errors.ts';
import { clientError } from '../storage/failure.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Connector } from '../connect/connect.ts';
import type { SocketApp } from '../connect/socket-app.ts';
import type { SessionRegistry } from '../sessions/registry.ts';
import type { Admission } from './admission.ts';
import type { Commands } from './dispatcher.ts';
import type { Connection } from '../hub/connection.ts';
import { encodeConnectError } from '../transport/socketio/encode.ts';
import type { Hub } from '../hub/hub.ts';
import type { Unsent } from '../hub/unsent.ts';

export interface ParleyParts {
  readonly hub: Hub;
  readonly connector: Connector;
  readonly registry: SessionRegistry;
  readonly admission: Admission;
  readonly commands: Commands;
  readonly unsent: Unsent;
  readonly metrics: Metrics;
  readonly log: Log;
}

export class ParleyNamespace implements SocketApp {
  readonly namespaces: ReadonlySet<string> = new Set(['/']);
  readonly admission: Admission;
  readonly events: Commands;
  readonly #parts: ParleyParts;

  constructor(parts: ParleyParts) {
    this.admission = parts.admission;
    this.events = parts.commands;
    this.#parts = parts;
  }

  connect(connection: Connection, _namespace: string, payload: object | undefined): void {
    void this.#connect(connection, payload);
  }

  disconnected(connection: Connection): void {
    const { registry, hub, unsent } = this.#parts;
    registry.gone(connection);
    hub.subscriptions.leave(connection);
    hub.connections.anonymize(connection);
    // unsent bytes count for its address alone now
    unsent.note(connection);
  }

  ended(connection: Connection): void {
    this.#parts.unsent.note(connection);
  }

  async #connect(connection: Connection, payload: object | undefined): Promise<void> {
    const { connector, metrics, log } = this.#parts;
    try {
      await connector.connect(connection, payload);
      metrics.commands.labels({ command: 'connect', outcome: 'ok' }).inc();
    } catch (thrown) {
      const error = clientError(thrown);
      const answered = error instanceof ParleyError ? error : new ParleyError('internal');
      if (error !== answered) {
        metrics.internalErrors.inc({ where: 'socket' });
        log.error(
          { err: error, session: connection.session },
          'Could not set up a connection; the client got the error `internal`.',
        );
      }
      metrics.commands.labels({ command: 'connect', outcome: answered.code }).inc();
      // after the answer of CONNECT only a close code can carry the error
      if (connection.state === 'ready') connection.close('unavailable', 'unavailable');
      else {
        connection.sendFrames(encodeConnectError(connection.form, '/', answered.message, answered.toWire()));
        // the client may try again on this connection, and each try costs the check of a token
        this.admission.take(connection, 1);
      }
    }
  }
}
