/**
 * The seam for values that are read often, change seldom, and may be older than Postgres for a stated time. The table of
 * kinds (cache/kinds.ts) has each kind, its key, its time to live and its tags.
 *
 * A write never decides by a cached value. The statement that writes checks rights and state itself.
 *
 * Order: a writer commits first and calls `invalidate` afterwards. A load reads the primary, where a finished commit is
 * visible. A load reads no other value of the cache, because a load holds a place that the inner load may wait for.
 *
 * Guarantees. "Older" means: loaded before the commit that an invalidation names.
 * 1. On the node that calls `invalidate`, no read that begins after the call gets an older value.
 * 2. After `invalidate` has resolved with `everywhere`, no read that begins later gets an older value, on any node that has
 *    Redis. Messages between nodes may be late, doubled, reordered or lost.
 * 3. A node without Redis serves no value that it loaded more than `leaseMs` (1 s) ago. That node cannot know of the invalidations of
 *    other nodes. An invalidation on that node resolves with `here`. The nodes that have Redis may serve older values until
 *    that node has Redis again, or until the time to live ends. A crash between a commit and its invalidation is alike.
 * 4. A load that is slower than an invalidation never puts its older value back. The value goes only to readers that came
 *    before the invalidation, and into no tier.
 *
 * The fence behind them: every entry carries a version that was read before its load began, from a counter of the tier. An
 * invalidation raises the counter and notes it for the key or tag. An entry with a lower version is not served and not
 * stored. In Redis the comparison and the write are one script.
 *
 * A reader may see a value up to its time to live old where nothing invalidates it. For the grace of its kind, a reader may see
 * an older value while another node loads it, or when the load fails. An invalidated value is never served in its grace.
 *
 * Atomicity: one call of `invalidate` is applied whole on each node and in Redis.
 * Loads: one load at a time for a key, over all nodes that have Redis. The others wait for that load, or get the value in
 * its grace at once. A node runs at most `maxLoads` loads at once, and `maxWaitingLoads` wait for a place.
 * Failures and retries: no fault of Redis reaches a reader; the node counts it, and loads by itself. The error of a load
 * reaches its readers, unless a value in its grace is there. Nobody retries a load. A read beyond `maxWaitingLoads`, or
 * without a place for 5 s, gets `overloaded`.
 * Values are JSON. Each reader gets its own copy.
 */
import type { IdOf, KindName, Tag, Target, ValueOf } from './cache/kinds.ts';

/** How far an invalidation has come. `here`: Redis did not take it; see guarantee 3. */
export type Reach = 'everywhere' | 'here';

export interface Cache {
  /**
   * The value of the key. @param load reads the value from its source; `null` is a value too, `undefined` is none
   * @throws the error of `load`, or `overloaded`
   */
  read<K extends KindName>(kind: K, id: IdOf<K>, load: () => Promise<ValueOf<K>>): Promise<ValueOf<K>>;

  /**
   * After a commit: the values of these keys and tags are older now. This node serves none of them from the call on, before
   * the promise resolves. The promise never rejects, and resolves within `leaseMs` and the time limit of one Redis command.
   */
  invalidate(targets: readonly Target[]): Promise<Reach>;

  /** As `invalidate` of everything: after a change of the epoch, or by an operator. */
  clear(tag?: Tag): Promise<Reach>;

  /**
   * Loads values before their readers come, a few at a time. A failed load is counted and left out.
   * @returns how many are there now
   */
  warm<K extends KindName>(
    kind: K,
    ids: readonly IdOf<K>[],
    load: (id: IdOf<K>) => Promise<ValueOf<K>>,
  ): Promise<number>;

  /** The state of the nodes. Nodes that do not answer within a second are named. */
  stats(): Promise<CacheStats>;

  /** No read and no invalidation may come afterwards. */
  close(): Promise<void>;
}

/** The memory of one node, and its counts since its start. */
export interface NodeStats {
  readonly node: string;
  readonly entries: number;
  readonly bytes: number;
  readonly loading: number;
  /** Whether values are shared with other nodes now. */
  readonly shared: boolean;
  /** Reads by kind and result. */
  readonly reads: Readonly<Partial<Record<KindName, Readonly<Partial<Record<ReadResult, number>>>>>>;
}

/** Where a value came from: the memory of this node, Redis, a load; `stale`: a value in its grace. `joined`: the load of another reader. */
export type ReadResult = 'local' | 'shared' | 'stale' | 'loaded' | 'joined';

export interface CacheStats {
  readonly nodes: readonly NodeStats[];
  readonly silent: readonly string[];
  /** Absent without Redis. */
  readonly shared: { readonly entries: number; readonly bytes: number } | undefined;
}
