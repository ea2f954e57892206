import type { Connection } from '../hub/connection.ts';
import type { Frames } from '../transport/socketio/packet.ts';

/**
 * Sends the acks of one turn of the event loop together. A commit answers many sends at once, often several of one
 * connection, and each write outside of a handler of uWS costs a system call.
 */
export class Outgoing {
  readonly #sent: (connection: Connection) => void;
  #waiting: Connection[] = [];

  /** @param sent called after the acks of a connection are written. */
  constructor(sent: (connection: Connection) => void) {
    this.#sent = sent;
  }

  send(connection: Connection, frames: Frames): void {
    if (connection.unsent !== undefined) {
      connection.unsent.push(...frames);
      return;
    }
    connection.unsent = [...frames];
    if (this.#waiting.push(connection) === 1) setImmediate(() => this.flush());
  }

  flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const connection of waiting) {
      const frames = connection.unsent ?? [];
      connection.unsent = undefined;
      // corked also with one frame: events of this turn that uWS still holds go in the same system call
      connection.sendAll(frames);
      this.#sent(connection);
    }
  }
}
