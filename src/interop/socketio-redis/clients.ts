import { openSubscriber } from '../../storage/redis-subscriber.ts';
import type { RedisLink } from '../../storage/redis.ts';
import type { Metrics } from '../../telemetry/metrics.ts';

type Listener = (...args: unknown[]) => void;

/** The two Redis clients of the adapter. No call waits or rejects, also while Redis is unavailable. */
export interface RedisClients {
  readonly pub: { publish(channel: string, message: Buffer | string): void; on(): void; off(): void };
  readonly sub: {
    psubscribe(pattern: string): void;
    subscribe(channels: readonly string[]): void;
    punsubscribe(): void;
    unsubscribe(): void;
    on(event: string, listener: Listener): void;
    off(): void;
  };
  subscribed(waitMs: number): Promise<void>;
  close(): void;
}

export function openClients(link: RedisLink, key: string, { metrics }: { metrics: Metrics }): RedisClients {
  const subscriber = openSubscriber(link, 'door');
  return {
    pub: {
      publish(channel, message) {
        // the requester's own timeout ends its wait
        link.commands.publish(channel, message).catch(() => metrics.interop.unsent.inc());
      },
      on() {},
      off() {},
    },
    sub: {
      psubscribe: (pattern) => subscriber.subscribePattern(pattern),
      // this node makes no requests, so it needs no response channel, which would bring the answers of all servers
      subscribe: (channels) =>
        subscriber.subscribe(channels.filter((channel) => channel.startsWith(`${key}-request#`))),
      punsubscribe() {},
      unsubscribe() {},
      on(event, listener) {
        if (event === 'messageBuffer') subscriber.onMessage(listener);
        if (event === 'pmessageBuffer') subscriber.onPatternMessage(listener);
      },
      off() {},
    },
    subscribed: (waitMs) => subscriber.subscribed(waitMs),
    close: () => subscriber.close(),
  };
}
