import type { Redis } from 'ioredis';
import type { Log } from '../telemetry/log.ts';
import { cutIfSilent, redisCheckMs, type RedisLink } from './redis.ts';
import { every } from '../telemetry/periodic.ts';

/** A connection for the subscriptions of one part, where messages come as bytes; made again whenever it is lost. */
export interface RedisSubscriber {
  /** May be called while Redis is away: it takes effect when it is there. */
  subscribe(channels: readonly string[]): void;
  /** Redis' glob patterns. */
  subscribePattern(pattern: string): void;
  onMessage(listener: (channel: Buffer, message: Buffer) => void): void;
  onPatternMessage(listener: (pattern: string, channel: Buffer, message: Buffer) => void): void;
  /** Resolves once every subscription has been confirmed, or has not been for as long as one may wait. */
  subscribed(waitMs: number): Promise<void>;
  close(): void;
}

/** For a part that hears much: its messages do not wait behind those of others, and theirs not behind its. */
export function openSubscriber(link: RedisLink, log: Log): RedisSubscriber {
  // what it is subscribed to is kept here, since ioredis makes again only what had been confirmed once
  const client: Redis = link.subscriber.duplicate({ autoResubscribe: false });
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
    } catch (error) {
      // lost again, which a client may not have noticed yet: the next `ready` comes here
      const refused = error instanceof Error && error.name === 'ReplyError';
      // nothing will be heard, and the operator must know
      if (refused) log.error({ err: error }, 'Redis refuses a subscription');
    }
  };
  client.on('ready', () => void subscribe());
  client.on('error', () => {}); // the link tells of it
  client.connect().catch(() => {}); // tried again by itself
  const checks = every(() => void cutIfSilent(client), redisCheckMs);

  return {
    subscribe(names) {
      for (const name of names) channels.add(name);
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
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        timer = setTimeout(resolve, waitMs);
      });
      clearTimeout(timer);
    },
    close() {
      clearInterval(checks);
      client.disconnect();
    },
  };
}
