import { inTime } from '../jobs/within.ts';
import type { RedisLink } from './redis.ts';

/** A connection for the subscriptions of one part, where messages come as bytes; made again after each loss. */
export interface RedisSubscriber {
  /** A call while Redis is unavailable takes effect when Redis is back. */
  subscribe(channels: readonly string[]): void;
  /** Redis' glob patterns. */
  subscribePattern(pattern: string): void;
  onMessage(listener: (channel: Buffer, message: Buffer) => void): void;
  onPatternMessage(listener: (pattern: string, channel: Buffer, message: Buffer) => void): void;
  /** Resolves when every subscription is confirmed, or after `waitMs`. */
  subscribed(waitMs: number): Promise<void>;
  close(): void;
}

/** For a part with much traffic: its messages do not delay the messages of other parts, and the reverse. */
export function openSubscriber(link: RedisLink, name: 'door'): RedisSubscriber {
  // ioredis repeats only subscriptions that were confirmed once, so this function keeps all of them
  const connection = link.openSubscriber(name);
  const { client } = connection;
  const channels = new Set<string>();
  const patterns = new Set<string>();
  const waiting: (() => void)[] = [];
  let confirmed = false;
  let attempt = 0;

  const subscribe = async (): Promise<void> => {
    const mine = ++attempt;
    confirmed = false;
    if (client.status !== 'ready') return;
    try {
      if (patterns.size > 0) await client.psubscribe(...patterns);
      if (channels.size > 0) await client.subscribe(...channels);
      if (mine !== attempt) return;
      confirmed = true;
      for (const resolve of waiting.splice(0)) resolve();
    } catch {
      // The connection is lost, or Redis refuses the subscription: the connection has noticed, says so, and is made
      // again. The next `ready` comes here.
    }
  };
  client.on('ready', () => void subscribe());

  return {
    subscribe(names) {
      for (const channel of names) channels.add(channel);
      void subscribe();
    },
    subscribePattern(pattern) {
      patterns.add(pattern);
      void subscribe();
    },
    onMessage(listener) {
      client.on('messageBuffer', listener);
    },
    onPatternMessage(listener) {
      client.on('pmessageBuffer', (pattern: string | Buffer, channel: Buffer, message: Buffer) =>
        listener(String(pattern), channel, message),
      );
    },
    async subscribed(waitMs) {
      if (confirmed) return;
      await inTime(waitMs, new Promise<void>((resolve) => waiting.push(resolve)));
    },
    close() {
      connection.close();
    },
  };
}
