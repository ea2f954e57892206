/**
 * Checks that a subscriber receives the messages that the same process publishes. Each connection subscribes to a channel of
 * this process alone, before its first probe is answered.
 *
 * Redis answers in order. A message that was published before a PING comes before the answer to the PING, if both
 * connections end at one server. A replica gets the message a moment later, hence the grace.
 */
import type { Redis } from 'ioredis';

export interface RedisEchoParts {
  /** The number of the last message that Redis has taken. */
  readonly published: () => number;
  /** Called for the first message since `reset`. */
  readonly received: () => void;
  /** Called when published messages do not arrive in time. */
  readonly unreachable: () => void;
}

const graceMs = 1000;

export class RedisEcho {
  readonly #channel: string;
  readonly #channelBytes: Buffer;
  readonly #parts: RedisEchoParts;
  #subscribed = false;
  #last = 0;
  #works = false;
  #missingSince: number | undefined = undefined;

  constructor(channel: string, parts: RedisEchoParts) {
    this.#channel = channel;
    this.#channelBytes = Buffer.from(channel);
    this.#parts = parts;
  }

  get works(): boolean {
    return this.#works;
  }

  listen(client: Redis): void {
    client.on('close', () => {
      this.#subscribed = false;
      this.#missingSince = undefined;
    });
    client.on('messageBuffer', (channel: Buffer, message: Buffer) => {
      if (!channel.equals(this.#channelBytes)) return;
      this.#last = Number(message.toString());
      this.#missingSince = undefined;
      if (this.#works) return;
      this.#works = true;
      this.#parts.received();
    });
  }

  reset(): void {
    this.#works = false;
  }

  async probe(client: Redis): Promise<void> {
    if (!this.#subscribed) {
      await client.subscribe(this.#channel);
      this.#subscribed = true;
      return;
    }
    const published = this.#parts.published();
    await client.ping();
    if (this.#last >= published) return;
    const now = performance.now();
    this.#missingSince ??= now;
    if (now - this.#missingSince < graceMs) return;
    this.#missingSince = undefined;
    this.#parts.unreachable();
  }
}
