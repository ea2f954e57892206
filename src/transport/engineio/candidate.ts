import { packet, type Frame } from './packet.ts';
import type { PollingEntry } from './long-polling.ts';
import type { Session, Wire } from './transport-socket.ts';

/**
 * A WebSocket that may take over a long-polling session.
 *
 * open → (`2probe`) probed → (`5`) upgraded: from here on it is the session's wire. Any other frame, or the timeout, closes
 * the WebSocket, and the session stays with polling. A session has one candidate at a time, and none after its upgrade.
 */
export class Candidate<S extends Session> {
  readonly #entry: PollingEntry<S>;
  readonly #timeoutMs: number;
  #wire: Wire | undefined = undefined;
  #probed = false;
  #upgraded = false;
  #timer: NodeJS.Timeout | undefined = undefined;

  constructor(entry: PollingEntry<S>, timeoutMs: number) {
    this.#entry = entry;
    this.#timeoutMs = timeoutMs;
  }

  /** The session whose wire it is; undefined before the upgrade. */
  get taken(): S | undefined {
    return this.#upgraded ? this.#entry.session : undefined;
  }

  open(wire: Wire): void {
    this.#wire = wire;
    if (this.#entry.upgrade !== 'none') return this.#refuse();
    this.#entry.upgrade = 'probing';
    this.#entry.ended = () => this.#refuse();
    // a bare timer: the end of the WebSocket and the upgrade cancel it
    this.#timer = setTimeout(() => this.#refuse(), this.#timeoutMs);
  }

  /** Reads a frame before the upgrade. */
  message(frame: Frame): void {
    if (this.#wire === undefined) return;
    if (frame === `${packet.ping}probe` && !this.#probed) {
      this.#probed = true;
      this.#wire.send(`${packet.pong}probe`, false, false);
      this.#entry.wire.probe(true);
    } else if (frame === packet.upgrade && this.#probed && this.#entry.session.live) {
      clearTimeout(this.#timer);
      this.#upgraded = true;
      this.#entry.ended = undefined;
      this.#entry.upgrade = 'done';
      this.#entry.session.attach(this.#wire);
      this.#entry.wire.moveTo(this.#wire);
    } else {
      this.#refuse();
    }
  }

  /** @returns the session that ends with this WebSocket; undefined if there was no upgrade. */
  closed(): PollingEntry<S> | undefined {
    clearTimeout(this.#timer);
    if (this.#upgraded) return this.#entry;
    // a refused candidate changed no state of the session
    if (this.#wire !== undefined) this.#giveUp();
    return undefined;
  }

  #refuse(): void {
    const wire = this.#wire;
    if (this.#timer !== undefined) this.#giveUp();
    this.#wire = undefined;
    wire?.end(1000, '');
  }

  #giveUp(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#entry.ended = undefined;
    this.#entry.upgrade = 'none';
    this.#entry.wire.probe(false);
  }
}
