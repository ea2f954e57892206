import type { Envelope, Fanout, Observer, Receiver } from './fanout.ts';

/** The form for one node: published envelopes are received at once, in the same turn of the event loop. */
export class MemoryFanout implements Fanout {
  readonly others = undefined;
  #receive: Receiver;
  readonly #observers: Observer[] = [];

  constructor(receive: Receiver = () => {}) {
    this.#receive = receive;
  }

  listen(receiver: Receiver): void {
    this.#receive = receiver;
  }

  observe(observer: Observer): void {
    this.#observers.push(observer);
  }

  publish(envelopes: readonly Envelope[]): void {
    if (envelopes.length === 0) return;
    this.#receive(envelopes);
    for (const observer of this.#observers) observer.published(envelopes);
  }

  occupied(): Promise<void> {
    return Promise.resolve();
  }

  vacated(): void {}

  close(): Promise<void> {
    return Promise.resolve();
  }
}
