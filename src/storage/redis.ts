/**
 * The connections to Redis, and whether it is there. Nothing here waits for Redis: it may be away for as long as it
 * likes, and what is kept in it is what its users can do without or build again.
 *
 * up ⇄ away: up once both connections are ready; away as soon as one is lost or does not answer for two seconds (a
 * network that swallows packets tells nobody). Commands fail at once while it is away, instead of piling up.
 */
import { Redis } from 'ioredis';
import { StartupError } from '../startup-error.ts';
import type { Log } from '../telemetry/log.ts';
import { every } from '../telemetry/periodic.ts';

export interface RedisLink {
  /** For every command but subscriptions. A command rejects at once while Redis is away. */
  readonly commands: Redis;
  /** For subscriptions alone. Make yours again at each `up`: the driver does so too, but may lose some on the way. */
  readonly subscriber: Redis;
  readonly up: boolean;
  /** Called at each change of `up`. @returns a function that ends it. */
  onChange(listener: (up: boolean) => void): () => void;
  close(): Promise<void>;
}

export interface RedisLinkOptions {
  readonly url: string;
  readonly log: Log;
  /** How long to wait for it at the start; afterwards the link begins as away. */
  readonly waitMs?: number;
}

export const redisCheckMs = 1000;
const answerMs = 2000;

/** @throws {StartupError} if it answers that it will not have us: a wrong password, a server that is no Redis. */
export async function openRedis(options: RedisLinkOptions): Promise<RedisLink> {
  const { log } = options;
  const shared = {
    connectTimeout: 5000,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (times: number) => Math.min(1000, 50 * 2 ** Math.min(times, 5)) * (0.5 + Math.random() / 2),
    lazyConnect: true,
  };
  const commands = new Redis(options.url, shared);
  const subscriber = new Subscriber(options.url, shared);
  const both = [commands, subscriber];
  const listeners = new Set<(up: boolean) => void>();
  let up = false;
  let closing = false;
  let refused: Error | undefined;

  const look = (): void => {
    const now = !closing && both.every(({ status }) => status === 'ready');
    if (now === up) return;
    up = now;
    if (up) log.info('Redis is there');
    else if (!closing) log.warn('Redis is away: events cross nodes by way of Postgres until it is back');
    for (const listener of listeners) listener(up);
  };
  for (const client of both) {
    client.on('ready', look);
    client.on('close', look);
    // told once by the change of state; a refusal decides the start
    client.on('error', (error: Error) => {
      if (/WRONGPASS|NOAUTH|NOPERM|invalid password|Protocol error/i.test(error.message)) refused = error;
    });
    client.connect().catch(() => {});
  }
  const checks = both.map((client) => every(() => void cutIfSilent(client), redisCheckMs));

  const link: RedisLink = {
    commands,
    subscriber,
    get up() {
      return up;
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close() {
      closing = true;
      checks.forEach(clearInterval);
      up = false;
      for (const client of both) client.disconnect();
      return Promise.resolve();
    },
  };

  for (const deadline = performance.now() + (options.waitMs ?? 5000); !up && performance.now() < deadline;) {
    if (refused !== undefined) {
      await link.close();
      throw new StartupError(`Redis refuses us: ${refused.message} (REDIS_URL)`, { cause: refused });
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  if (!up) log.warn('Redis does not answer: events cross nodes by way of Postgres until it does');
  return link;
}

/**
 * The driver makes its subscriptions again by itself and lets go of the promise: cut in that moment, it would end the
 * process as an unhandled rejection (seen four times in two runs of test/cluster/chaos). A subscription that is cut in
 * that moment is forgotten by it too: who subscribes does so again at each `up`. They still get their rejections.
 */
class Subscriber extends Redis {
  override sendCommand(...sent: Parameters<Redis['sendCommand']>): unknown {
    sent[0].promise.catch(() => {});
    return super.sendCommand(...sent);
  }
}

/** A connection that is silent is cut, and so made again. */
export async function cutIfSilent(client: Redis): Promise<void> {
  if (client.status !== 'ready') return;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer')), answerMs);
  });
  try {
    await Promise.race([client.ping(), late]);
  } catch {
    if (client.status === 'ready') client.disconnect(true);
  } finally {
    clearTimeout(timer);
  }
}
