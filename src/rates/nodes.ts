/**
 * How many nodes count rates in this Redis. A node that loses Redis admits its share of each limit, so that the nodes together
 * admit no more than with Redis.
 */
import { PeriodicTask } from '../jobs/periodic-task.ts';
import type { RedisLink } from '../storage/redis.ts';

/** A node that has just started is in the share of the others after so long. */
const everyMs = 2000;
/** A node that was silent for so long is gone. */
const goneMs = 35_000;

/** The clock is Redis' own, so nodes need not agree on theirs. */
const script = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
`;

interface Commands {
  parleyRateNodes(key: string, node: string, goneMs: number): Promise<number>;
}

export class RateNodes {
  readonly #task: PeriodicTask;
  #count = 1;

  constructor(link: RedisLink, prefix: string, node: string) {
    link.commands.defineCommand('parleyRateNodes', { numberOfKeys: 1, lua: script });
    const commands = link.commands as unknown as Commands;
    this.#task = new PeriodicTask({
      run: async () => {
        if (link.writable)
          this.#count = Math.max(1, await commands.parleyRateNodes(`${prefix}rates-nodes`, node, goneMs));
      },
      everyMs,
      // the count of before stays, and the link itself logs the loss of Redis
      failed: () => {},
      keepsAlive: false,
    });
    this.#task.start();
    this.#task.wake();
  }

  /** The count when Redis answered last, with this node. At least 1. */
  get count(): number {
    return this.#count;
  }

  stop(): Promise<void> {
    return this.#task.stop();
  }
}
