/**
 * Histories of reads and writes on several nodes of a cache, and the check of the guarantees of src/storage/cache.ts.
 *
 * The source of the values is a map of counters, whose value at any moment is known exactly. Each write adds one to a counter
 * and invalidates. A load reads the counter at one moment of its time, as a statement has its snapshot.
 */
import { EventEmitter } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Profile } from '../../../src/protocol/profile.ts';
import type { Cache, Reach } from '../../../src/storage/cache.ts';
import type { FoundChannels, KindName, Tag, Target } from '../../../src/storage/cache/kinds.ts';
import type { RedisLink } from '../../../src/storage/redis.ts';

export interface HistoryNode {
  readonly cache: Cache;
  /** Whether the node has Redis. Guarantee 2 holds for it then, and guarantee 3 otherwise. */
  readonly hasRedis: () => boolean;
}

export type Step =
  | {
      readonly is: 'read';
      readonly node: number;
      readonly key: number;
      readonly beforeMs: number;
      readonly afterMs: number;
    }
  | { readonly is: 'write'; readonly node: number; readonly key: number; readonly by: 'key' | 'tag' };

/** How a kind of cached value carries a number, so that a history can compare values. */
interface Counter {
  readonly key: (key: string) => Target;
  readonly tag: (key: string) => Tag;
  readonly read: (cache: Cache, key: string, load: () => Promise<number>) => Promise<number>;
}

const counters: Readonly<Record<KindName, Counter>> = {
  user: {
    key: (key) => ({ kind: 'user', id: [key] }),
    tag: (key) => `user:${key}`,
    read: async (cache, id, load) =>
      Number((await cache.read('user', [id], async () => ({ id, name: String(await load()) })))?.name),
  },
  profile: {
    key: (key) => ({ kind: 'profile', id: [key] }),
    tag: (key) => `user:${key}`,
    read: async (cache, id, load) => {
      const loaded = async (): Promise<Profile> => ({ id, name: String(await load()), avatar: null });
      return Number((await cache.read('profile', [id], loaded)).name);
    },
  },
  roomOwner: {
    key: (key) => ({ kind: 'roomOwner', id: [key] }),
    tag: (key) => `room:${key}`,
    read: async (cache, key, load) => Number(await cache.read('roomOwner', [key], async () => String(await load()))),
  },
  channelSearch: {
    key: (key) => ({ kind: 'channelSearch', id: [key, ''] }),
    tag: (key) => `room:${key}`,
    read: async (cache, key, load) => {
      const loaded = async (): Promise<FoundChannels> => ({ ids: [key], after: String(await load()), more: false });
      return Number((await cache.read('channelSearch', [key, ''], loaded)).after);
    },
  },
};

export class History {
  readonly #nodes: readonly HistoryNode[];
  readonly #counter: Counter;
  readonly #aloneTtlMs: number;
  readonly #keys: readonly string[];
  readonly #stored = new Map<string, { readonly value: number; readonly at: number }[]>();
  readonly #everywhere = new Map<string, number>();
  readonly #own: readonly Map<string, number>[];
  readonly violations: string[] = [];
  reads = 0;
  loads = 0;
  readonly reaches: Record<Reach, number> = { everywhere: 0, here: 0 };

  constructor(nodes: readonly HistoryNode[], kind: KindName, keys: number, aloneTtlMs: number) {
    this.#nodes = nodes;
    this.#counter = counters[kind];
    this.#aloneTtlMs = aloneTtlMs;
    this.#keys = Array.from({ length: keys }, (_, i) => `u${i}-${crypto.randomUUID()}`);
    this.#own = nodes.map(() => new Map<string, number>());
  }

  async run(step: Step): Promise<void> {
    if (step.is === 'write') await this.#write(step.node, this.#keys[step.key] ?? '', step.by);
    else await this.#read(step.node, this.#keys[step.key] ?? '', step);
  }

  /** Every node has every write. */
  async settled(): Promise<boolean> {
    for (const key of this.#keys) {
      for (const node of this.#nodes.keys()) {
        if ((await this.#value(node, key, { beforeMs: 0, afterMs: 0 })) !== this.#valueAt(key, Infinity)) return false;
      }
    }
    return true;
  }

  async #write(node: number, key: string, by: 'key' | 'tag'): Promise<void> {
    const value = this.#valueAt(key, Infinity) + 1;
    const versions = this.#stored.get(key) ?? [];
    versions.push({ value, at: performance.now() });
    this.#stored.set(key, versions);
    raise(this.#own[node], key, value);
    const reach = await this.#nodes[node]?.cache.invalidate([
      by === 'key' ? this.#counter.key(key) : this.#counter.tag(key),
    ]);
    if (reach !== undefined) this.reaches[reach]++;
    if (reach === 'everywhere') raise(this.#everywhere, key, value);
  }

  async #read(node: number, key: string, times: { beforeMs: number; afterMs: number }): Promise<void> {
    const startedAt = performance.now();
    const own = this.#own[node]?.get(key) ?? 0;
    const bound =
      this.#nodes[node]?.hasRedis() === true
        ? { least: this.#everywhere.get(key) ?? 0, rule: 'a write that was invalidated everywhere' }
        : { least: this.#valueAt(key, startedAt - this.#aloneTtlMs), rule: 'its time without Redis' };
    const value = await this.#value(node, key, times);
    this.reads++;
    if (value < own) this.violations.push(`node ${node} gave ${value} of ${key}, older than its own write ${own}`);
    if (value < bound.least)
      this.violations.push(`node ${node} gave ${value} of ${key}, older than ${bound.least}: ${bound.rule}`);
  }

  async #value(
    node: number,
    key: string,
    { beforeMs, afterMs }: { beforeMs: number; afterMs: number },
  ): Promise<number> {
    const { cache } = this.#nodes[node] as HistoryNode;
    return this.#counter.read(cache, key, async () => {
      this.loads++;
      if (beforeMs > 0) await delay(beforeMs);
      const value = this.#valueAt(key, Infinity);
      if (afterMs > 0) await delay(afterMs);
      return value;
    });
  }

  #valueAt(key: string, at: number): number {
    return this.#stored.get(key)?.findLast((version) => version.at <= at)?.value ?? 0;
  }
}

function raise(known: Map<string, number> | undefined, key: string, value: number): void {
  known?.set(key, Math.max(value, known.get(key) ?? 0));
}

export type Fault = { readonly is: 'none' | 'lost' } | { readonly is: 'late' | 'doubled'; readonly ms: number };

/** The link with a subscriber whose messages meet these faults, one after the other. Messages that are late overtake others. */
export function withFaults(link: RedisLink, faults: readonly Fault[]): RedisLink {
  const messages = new EventEmitter();
  let next = 0;
  link.subscriber.on('message', (channel: string, message: string) => {
    const fault = faults[next++ % faults.length] ?? { is: 'none' };
    const deliver = (): boolean => messages.emit('message', channel, message);
    if (fault.is === 'late' || fault.is === 'doubled') setTimeout(deliver, fault.ms);
    if (fault.is === 'none' || fault.is === 'doubled') deliver();
  });
  const subscriber = {
    on: messages.on.bind(messages),
    off: messages.off.bind(messages),
    subscribe: (...channels: string[]) => link.subscriber.subscribe(...channels),
    unsubscribe: (...channels: string[]) => link.subscriber.unsubscribe(...channels),
  } as unknown as Redis;
  return {
    commands: link.commands,
    subscriber,
    get up() {
      return link.up;
    },
    get writable() {
      return link.writable;
    },
    get problem() {
      return link.problem;
    },
    get evictionPolicy() {
      return link.evictionPolicy;
    },
    onChange: (listener) => link.onChange(listener),
    onWritable: (listener) => link.onWritable(listener),
    onLoss: (listener) => link.onLoss(listener),
    openSubscriber: (name) => link.openSubscriber(name),
    states: () => link.states(),
    close: () => link.close(),
  };
}
