/**
 * Sends refusals that name a time to wait (`rate_limited`, `overloaded`) a moment later, in one write a connection.
 *
 * A client that repeats a command at each refusal is as fast as the refusals. One user with a hundred such connections got
 * 50,000 refusals a second, which took the whole event loop. With a pause, eight commands a connection in flight make 8,000
 * refusals a second. A client that waits as long as the refusal says loses nothing: its bucket fills during the pause.
 */
import type { Connection } from '../hub/connection.ts';
import { every } from '../jobs/periodic.ts';
import type { ErrorCode } from '../protocol/errors.ts';
import type { Frame } from '../transport/engineio/packet.ts';
import type { Frames } from '../transport/socketio/packet.ts';

const tickMs = 10;
/** The shortest pause, and the number of ticks over which connections are spread, so that they do not return together. */
const leastTicks = 5;
const spread = 10;
/** Refusals of all connections that wait. Beyond it a refusal is sent at once. */
const maxHeld = 20_000;

export class Refusals {
  /** The connections whose refusals go out at a tick, from `#at` on. */
  readonly #ticks: Connection[][] = Array.from({ length: leastTicks + spread }, () => []);
  readonly #frames = new Map<Connection, Frame[]>();
  #at = 0;
  #turn = 0;
  #held = 0;
  #timer: NodeJS.Timeout | undefined = undefined;

  /** Whether a refusal of this kind is sent later. */
  static holds(code: ErrorCode): boolean {
    return code === 'rate_limited' || code === 'overloaded';
  }

  send(connection: Connection, frames: Frames): void {
    if (this.#held >= maxHeld) return connection.sendFrames(frames);
    this.#held += frames.length;
    const waiting = this.#frames.get(connection);
    if (waiting !== undefined) {
      waiting.push(...frames);
      return;
    }
    this.#frames.set(connection, [...frames]);
    this.#turn = (this.#turn + 1) % spread;
    this.#ticks[(this.#at + leastTicks + this.#turn) % this.#ticks.length]?.push(connection);
    this.#timer ??= every(() => this.#tick(), tickMs);
  }

  /** Sends everything now. */
  flush(): void {
    while (this.#frames.size > 0) this.#tick();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    this.#at = (this.#at + 1) % this.#ticks.length;
    for (const connection of this.#ticks[this.#at]?.splice(0) ?? []) {
      const frames = this.#frames.get(connection) ?? [];
      this.#frames.delete(connection);
      this.#held -= frames.length;
      connection.sendAll(frames);
    }
    if (this.#frames.size === 0) this.stop();
  }
}
