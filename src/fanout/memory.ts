import type { Envelope, Fanout, Receiver } from './fanout.ts';

/** The form for one node: published envelopes are received at once, in the same turn of the event loop. */
export class MemoryFanout implements Fanout {
  readonly others = undefined;
  #receive: Receiver;

  constructor(receive: Receiver = () => {}) {
    this.#receive = receive;
  }

  listen(receiver: Receiver): void {
    this.#receive = receiver;
  }

  publish(envelopes: readonly Envelope[]): void {
    if (envelopes.length > 0) this.#receive(envelopes);
  }

  occupied(): Promise<void> {
    return Promise.resolve();
  }

  vacated(): void {}

  close(): Promise<void> {
    return Promise.resolve();
  }
}
