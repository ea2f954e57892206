import type { Connection } from '../hub/connection.ts';
import type { Frames } from '../transport/socketio/packet.ts';

/**
 * Acks of one turn of the event loop, sent together: a commit answers many sends at once, several of them often of one
 * connection, and each write outside of a handler of uWS costs a system call.
 */
export class Outgoing {
  readonly #sent: (connection: Connection) => void;
  #waiting: Connection[] = [];

  /** @param sent is called after a write of a connection's acks. */
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
      // corked, also with one frame: what uWS still holds of this turn's events for it goes in the same system call
      connection.sendAll(frames);
      this.#sent(connection);
    }
  }
}
