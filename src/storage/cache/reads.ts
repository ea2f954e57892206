/**
 * The way of a read, the same for both forms: the memory of this node, then a fill that all readers of the key share.
 *
 * A fill begins with a version of the local tier. A reader that joins a fill came after that version. If an invalidation of
 * the value lies between, the value may be older than the reader may see, so the reader reads once more. The next fill began
 * after the reader came, so that no reader reads a third time.
 */
import type { Clock } from '../../jobs/clock.ts';
import type { ReadResult } from '../cache.ts';
import { keyOf, namesOf, type IdOf, type KindName, type ValueOf } from './kinds.ts';
import type { LocalTier } from './local-tier.ts';

/** A read of one key whose value is not in the memory of this node. */
export interface Wanted {
  readonly kind: KindName;
  readonly key: string;
  /** The version of the local tier before the fill. */
  readonly version: number;
  /** Loads the value. @throws the error of the caller's load */
  readonly load: () => Promise<Loaded>;
}

export interface Loaded {
  readonly text: string;
  readonly names: readonly string[];
}

export interface Filled extends Loaded {
  readonly result: ReadResult;
}

export interface ReadsOptions {
  readonly tier: LocalTier;
  readonly clock: Clock;
  /** Whether the entries of the local tier may be served now. */
  readonly usable: () => boolean;
  /** Gets the value from the next tier, or loads it, and puts it into the tiers. */
  readonly fill: (wanted: Wanted) => Promise<Filled>;
  readonly count: (kind: KindName, result: ReadResult) => void;
}

interface Pending {
  readonly version: number;
  readonly filled: Promise<{ readonly filled: Filled; readonly isFenced: boolean }>;
}

export class Reads {
  readonly #options: ReadsOptions;
  readonly #pending = new Map<string, Pending>();
  #fills = 0;

  constructor(options: ReadsOptions) {
    this.#options = options;
  }

  get filling(): number {
    return this.#fills;
  }

  async read<K extends KindName>(kind: K, id: IdOf<K>, load: () => Promise<ValueOf<K>>): Promise<ValueOf<K>> {
    const { tier, clock, usable, count } = this.#options;
    const key = keyOf(kind, id);
    const { version } = tier;
    for (;;) {
      const held = usable() ? tier.get(key) : undefined;
      if (held !== undefined && held.freshUntil > clock.now()) {
        count(kind, 'local');
        return JSON.parse(held.text) as ValueOf<K>;
      }
      const joined = this.#pending.get(key);
      const pending = joined ?? this.#begin({ kind, key, version: tier.version, load: () => loaded(kind, id, load) });
      const { filled, isFenced } = await pending.filled;
      if (isFenced && pending.version < version) continue;
      count(kind, joined === undefined ? filled.result : 'joined');
      return JSON.parse(filled.text) as ValueOf<K>;
    }
  }

  /** Later readers of these keys wait for no fill that began before. */
  detach(names: readonly string[]): void {
    for (const name of names) this.#pending.delete(name);
  }

  detachAll(): void {
    this.#pending.clear();
  }

  #begin(wanted: Wanted): Pending {
    const { tier, fill } = this.#options;
    this.#fills++;
    const filled = fill(wanted)
      .then((value) => ({ filled: value, isFenced: tier.isFenced(value.names, wanted.version) }))
      .finally(() => {
        if (this.#pending.get(wanted.key) === pending) this.#pending.delete(wanted.key);
        if (--this.#fills === 0) tier.forgetNotes();
      });
    const pending: Pending = { version: wanted.version, filled };
    this.#pending.set(wanted.key, pending);
    return pending;
  }
}

async function loaded<K extends KindName>(kind: K, id: IdOf<K>, load: () => Promise<ValueOf<K>>): Promise<Loaded> {
  const value = await load();
  const text: string | undefined = JSON.stringify(value);
  if (text === undefined) throw new TypeError(`A load of ${kind} gave undefined, which is no value of the cache.`);
  return { text, names: namesOf(kind, id, value) };
}
