/**
 * Invalidations between the nodes, over Redis Pub/Sub. All nodes subscribe to one channel, and each node to one of its own,
 * for its beats, for acknowledgements of its invalidations, and for reports.
 *
 * `raise` resolves when every node that may serve values from its memory has acknowledged the message, or has lost its lease.
 */
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { pause, systemClock, type Clock } from '../../jobs/clock.ts';
import { PeriodicTask } from '../../jobs/periodic-task.ts';
import { inTime } from '../../jobs/within.ts';
import type { CacheMetrics } from '../../telemetry/cache-metrics.ts';
import type { Log } from '../../telemetry/log.ts';
import type { NodeStats, Reach } from '../cache.ts';
import type { RedisLink } from '../redis.ts';
import { answered } from './answered.ts';
import { longestLifeMs } from './kinds.ts';
import { NodeLease } from './node-lease.ts';
import { cacheCommands, type CacheCommands, type Raised } from './scripts.ts';
import { Wait } from './wait.ts';

/** How long a node may serve values after the beginning of a beat. All nodes need the same value, so this is no setting. */
export const leaseMs = 1000;
/** The clocks of two machines run at almost the same rate. */
const drift = 1.1;
/** The longest time of one command. The link ends the commands of a silent Redis earlier; this limit is for a slow one. */
export const commandMs = 1000;
/** A load that takes longer is not kept, because its fence may be gone. */
export const longestLoadMs = 30_000;
const reportMs = 1000;

export interface BusOptions {
  readonly link: RedisLink;
  /** Begins every key and channel of the cache of this installation. */
  readonly prefix: string;
  /** For people; the bus has an id of its own. */
  readonly node: string;
  readonly metrics: CacheMetrics;
  readonly log: Log;
  /** Applies an invalidation to the memory of this node. */
  readonly apply: (names: readonly string[]) => void;
  readonly drain: (cause: 'lost' | 'joined' | 'gap' | 'cleared') => void;
  readonly report: () => NodeStats;
  readonly clock?: Clock;
  readonly leaseMs?: number;
}

const id = z.string().min(1).max(64);
/** The messages to all nodes. The message of a node that has joined has no names. */
const broadcast = z.union([
  z.object({ from: id, n: z.int(), names: z.array(z.string()) }),
  z.object({ from: id, n: z.int(), clear: z.literal(true) }),
  z.object({ from: id, report: z.int() }),
]);
const direct = z.union([
  z.object({ beat: z.int() }),
  z.object({ from: id, acks: z.array(z.int()) }),
  z.object({ from: id, report: z.int(), stats: z.custom<NodeStats>((value) => typeof value === 'object') }),
]);

export class Bus {
  readonly lease: NodeLease;
  readonly commands: CacheCommands;
  readonly #options: BusOptions;
  readonly #id = randomBytes(9).toString('base64url');
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #channel: string;
  readonly #own: string;
  readonly #task: PeriodicTask;
  readonly #waits = new Map<number, Wait>();
  readonly #reports = new Map<number, (from: string, stats: NodeStats) => void>();
  readonly #acks = new Map<string, number[]>();
  readonly #endings: (() => void)[] = [];
  #number = 0;
  /** Invalidations of this node that Redis may not have: the next step clears everything. */
  #undelivered = 0;
  /** Counts losses of Redis, so that a step that began before does nothing more. */
  #losses = 0;

  constructor(options: BusOptions) {
    this.#options = options;
    const { link, prefix, clock = systemClock } = options;
    this.#clock = clock;
    this.#leaseMs = options.leaseMs ?? leaseMs;
    this.commands = cacheCommands(link);
    this.lease = new NodeLease({ leaseMs: this.#leaseMs, clock, drain: options.drain });
    this.#channel = `${prefix}all`;
    this.#own = this.#channelOf(this.#id);
    this.#task = new PeriodicTask({
      run: () => this.#step(),
      everyMs: this.#leaseMs / 4,
      retry: { baseMs: this.#leaseMs / 10, capMs: this.#leaseMs / 4 },
      leastMs: 5,
      // the link logs the loss of Redis, and the metrics count each failure
      failed: () => options.metrics.failed(this.lease.isShared ? 'beat' : 'join'),
    });
  }

  /** Resolves when the node shares values, or cannot for now. */
  async open(): Promise<void> {
    const { link } = this.#options;
    const onMessage = (channel: string, message: string): void => this.#received(channel, message);
    link.subscriber.on('message', onMessage);
    this.#endings.push(
      () => link.subscriber.off('message', onMessage),
      link.onWritable((writable) => (writable ? this.#task.wake() : this.#lost())),
      // an eviction may have removed a fence
      link.onLoss(() => this.#distrust()),
    );
    this.#task.start();
    await this.#task.ran().catch(() => {});
  }

  async close(): Promise<void> {
    await this.#task.stop();
    for (const end of this.#endings.splice(0)) end();
    const { link, prefix } = this.#options;
    this.#lost();
    if (!link.up) return;
    link.subscriber.unsubscribe(this.#channel, this.#own).catch(() => {
      // the subscriptions end with the connection
    });
    await this.#command('beat', this.commands.parleyCacheLeave(prefix, this.#id));
  }

  /** Sends an invalidation, and waits for the other nodes. The promise never rejects. */
  async raise(names: readonly string[] | 'everything'): Promise<Reach> {
    const { link, prefix } = this.#options;
    if (!link.writable) {
      this.#undelivered++;
      return 'here';
    }
    const n = ++this.#number;
    const from = this.#id;
    const wait = new Wait(from);
    this.#waits.set(n, wait);
    // sent in this turn: later reads of this node come after it on the same connection
    const sending =
      names === 'everything'
        ? this.commands.parleyCacheClear(prefix, this.#channel, JSON.stringify({ from, n, clear: true }))
        : this.commands.parleyCacheInvalidate(
            prefix,
            this.#channel,
            JSON.stringify({ from, n, names }),
            ...names.flatMap(fenceOf),
          );
    const raised = await this.#command('invalidate', sending);
    if (raised === undefined) {
      this.#waits.delete(n);
      this.#distrust();
      return 'here';
    }
    await this.#others(wait, raised);
    this.#waits.delete(n);
    return 'everywhere';
  }

  /** The nodes that share values now, and what they report. */
  async report(): Promise<{ nodes: NodeStats[]; silent: string[]; entries: number; bytes: number } | undefined> {
    const sizes = await this.#command('read', this.commands.parleyCacheSizes(this.#options.prefix));
    if (sizes === undefined) return undefined;
    const [entries, bytes, names] = sizes;
    const missing = new Set(names.filter((name) => name !== this.#id));
    const nodes = [this.#options.report()];
    const n = ++this.#number;
    await new Promise<void>((resolve) => {
      const timer = this.#clock.after(reportMs, resolve);
      const settle = (): void => {
        timer.cancel();
        resolve();
      };
      this.#reports.set(n, (from, stats) => {
        if (missing.delete(from)) nodes.push(stats);
        if (missing.size === 0) settle();
      });
      if (missing.size === 0) return settle();
      const question = `\n${JSON.stringify({ from: this.#id, report: n })}`;
      void this.#command('answer', this.commands.publish(this.#channel, question));
    });
    this.#reports.delete(n);
    return { nodes, silent: [...missing], entries, bytes };
  }

  /** The answer of a command; undefined if it failed, which is counted. */
  async command<T>(step: 'read' | 'store' | 'lease', sending: Promise<T>): Promise<T | undefined> {
    return this.#command(step, sending);
  }

  async #command<T>(
    step: 'read' | 'store' | 'lease' | 'invalidate' | 'beat' | 'answer',
    sending: Promise<T>,
  ): Promise<T | undefined> {
    try {
      return await answered(commandMs, sending, this.#clock);
    } catch {
      this.#options.metrics.failed(step);
      return undefined;
    }
  }

  #channelOf(node: string): string {
    return `${this.#options.prefix}to:${node}`;
  }

  /** Joins, or sends a beat. */
  async #step(): Promise<void> {
    const { link, prefix } = this.#options;
    if (!link.writable) return;
    const lifeMs = Math.ceil(this.#leaseMs * drift);
    if (!this.lease.isShared) {
      const losses = this.#losses;
      const returns = losses > 0;
      await answered(commandMs, link.subscriber.subscribe(this.#channel, this.#own), this.#clock);
      await this.#deliver();
      const payload = JSON.stringify({ from: this.#id, n: ++this.#number, names: [] });
      const rejoin = returns ? 1 : 0;
      const joining = this.commands.parleyCacheJoin(prefix, this.#channel, payload, this.#id, lifeMs, rejoin);
      const version = await answered(commandMs, joining, this.#clock);
      if (losses !== this.#losses || !link.writable) return;
      this.lease.joined(version, returns ? version : 0);
    }
    const payload = JSON.stringify({ beat: this.lease.beat() });
    await answered(commandMs, this.commands.parleyCacheBeat(prefix, this.#own, payload, this.#id, lifeMs), this.#clock);
  }

  /** Redis may lack invalidations of this node: everything that it holds is void. */
  async #deliver(): Promise<void> {
    const undelivered = this.#undelivered;
    if (undelivered === 0) return;
    const payload = JSON.stringify({ from: this.#id, n: ++this.#number, clear: true });
    await answered(
      commandMs,
      this.commands.parleyCacheClear(this.#options.prefix, this.#channel, payload),
      this.#clock,
    );
    this.#undelivered -= undelivered;
  }

  #lost(): void {
    this.#losses++;
    this.lease.left();
  }

  #distrust(): void {
    this.#undelivered++;
    this.#lost();
    this.#task.wake();
  }

  /** Waits until every node of the answer has acknowledged, or has lost its lease. */
  async #others(wait: Wait, [, sinceMs, nodes]: Raised): Promise<void> {
    const longestMs = this.#leaseMs * drift;
    wait.for(nodes);
    // a Redis that has just lost its data may not know all nodes
    if (sinceMs > longestMs) await inTime(longestMs, wait.done, this.#clock);
    else await pause(longestMs, this.#clock);
  }

  #received(channel: string, message: string): void {
    if (channel !== this.#channel && channel !== this.#own) return;
    const end = message.indexOf('\n');
    const version = Number(message.slice(0, end));
    let content: unknown;
    try {
      content = JSON.parse(message.slice(end + 1));
    } catch {
      content = undefined;
    }
    if (channel === this.#own) this.#receivedDirect(version, content);
    else this.#receivedBroadcast(version, content);
  }

  #receivedBroadcast(version: number, content: unknown): void {
    const parsed = broadcast.safeParse(content);
    // a version is seen all the same: a later release may send what this one cannot read
    if (version > 0) this.lease.messageCame(version);
    if (!parsed.success) {
      this.#options.drain('gap');
      return;
    }
    const { data } = parsed;
    if ('report' in data) {
      const stats = this.#options.report();
      this.#send(data.from, { from: this.#id, report: data.report, stats });
      return;
    }
    if ('clear' in data) this.#options.drain('cleared');
    else if (data.names.length > 0) this.#options.apply(data.names);
    if (data.from !== this.#id) this.#acknowledge(data.from, data.n);
  }

  #receivedDirect(version: number, content: unknown): void {
    const parsed = direct.safeParse(content);
    if (!parsed.success) return;
    const { data } = parsed;
    if ('beat' in data) this.lease.beatCame(data.beat, version);
    else if ('acks' in data) for (const n of data.acks) this.#waits.get(n)?.acked(data.from);
    else this.#reports.get(data.report)?.(data.from, data.stats);
  }

  /** One message for all invalidations of a node that came in one turn. */
  #acknowledge(to: string, n: number): void {
    if (this.#acks.size === 0) {
      setImmediate(() => {
        for (const [node, acks] of this.#acks) this.#send(node, { from: this.#id, acks });
        this.#acks.clear();
      });
    }
    const acks = this.#acks.get(to);
    if (acks === undefined) this.#acks.set(to, [n]);
    else acks.push(n);
  }

  #send(node: string, content: object): void {
    if (!this.#options.link.up) return;
    void this.#command('answer', this.commands.publish(this.#channelOf(node), `\n${JSON.stringify(content)}`));
  }
}

function fenceOf(name: string): (string | number)[] {
  const isKey = /^\w+\//.test(name);
  return [name, longestLifeMs(name) + 2 * longestLoadMs, isKey ? 1 : 0];
}
