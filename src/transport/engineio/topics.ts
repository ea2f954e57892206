import { worthCompressing, type Frame } from './packet.ts';
import type { Wire } from './transport-socket.ts';

/** The part of uWS's app that topics need. */
export interface NativeTopics {
  publish(topic: string, frame: Frame, isBinary: boolean, compress: boolean): boolean;
  numSubscribers(topic: string): number;
}

/** Topics over all wires. uWS keeps the topics of WebSockets, in C++. Long-polling sessions are few, and are kept here. */
export class Topics {
  readonly #native: NativeTopics;
  readonly #polling = new Map<string, Set<Wire>>();
  readonly #listeners: ((topic: string, occupied: boolean) => void)[] = [];

  constructor(native: NativeTopics) {
    this.#native = native;
  }

  /** @param listener called when a topic gets its first subscriber or loses its last one */
  onChange(listener: (topic: string, occupied: boolean) => void): void {
    this.#listeners.push(listener);
  }

  /** One frame, written once, to every subscriber but `except`. */
  publish(topic: string, frame: Frame, except?: Wire): void {
    const isBinary = typeof frame !== 'string';
    const polling = this.#polling.get(topic);
    if (polling !== undefined) for (const wire of polling) if (wire !== except) wire.send(frame, isBinary, false);
    // `publish` of a polling wire reaches every WebSocket; `publish` of a WebSocket reaches all others
    if (except === undefined) this.#native.publish(topic, frame, isBinary, worthCompressing(frame));
    else except.publish(topic, frame, isBinary, worthCompressing(frame));
  }

  /** Publishes to WebSockets alone, for `publish` of a polling wire. */
  publishNative(topic: string, frame: Frame, isBinary: boolean): boolean {
    return this.#native.publish(topic, frame, isBinary, worthCompressing(frame));
  }

  subscribers(topic: string): number {
    return this.#native.numSubscribers(topic) + (this.#polling.get(topic)?.size ?? 0);
  }

  add(topic: string, wire: Wire): void {
    let wires = this.#polling.get(topic);
    if (wires === undefined) {
      wires = new Set();
      this.#polling.set(topic, wires);
    }
    wires.add(wire);
    if (wires.size === 1 && this.#native.numSubscribers(topic) === 0) this.#changed(topic, true);
  }

  remove(topic: string, wire: Wire): void {
    const wires = this.#polling.get(topic);
    if (wires === undefined || !wires.delete(wire) || wires.size > 0) return;
    this.#polling.delete(topic);
    if (this.#native.numSubscribers(topic) === 0) this.#changed(topic, false);
  }

  /** Called by uWS for each change of the WebSockets of a topic, also when they close. */
  nativeChanged(topic: ArrayBuffer, now: number, before: number): void {
    if (now !== 0 && before !== 0) return;
    const name = Buffer.from(topic).toString('latin1');
    if (!this.#polling.has(name)) this.#changed(name, now > 0);
  }

  #changed(topic: string, occupied: boolean): void {
    for (const listener of this.#listeners) listener(topic, occupied);
  }
}
