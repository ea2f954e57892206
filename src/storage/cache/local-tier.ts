/**
 * The entries in the memory of one node, bounded in bytes, and their fence.
 *
 * The version is a counter of this node. A fill takes the counter before its load and gives it to `put`. An invalidation
 * raises the counter, notes it for the key or tag, and deletes the entries at once. `put` refuses a fill whose names have a
 * higher note. Notes matter only to fills that are under way, so they are dropped when there is none. When there are too many
 * notes, every fill that is under way is fenced instead.
 */
import { LRUCache } from 'lru-cache';

export interface LocalEntry {
  readonly text: string;
  readonly names: readonly string[];
  /** By the clock of this process. */
  readonly freshUntil: number;
}

export interface LocalTierOptions {
  readonly maxBytes: number;
  readonly maxEntryBytes: number;
  readonly evicted: () => void;
  readonly maxNotes?: number;
}

/** The maps and lists around an entry. */
const overheadBytes = 200;

export class LocalTier {
  readonly #options: LocalTierOptions;
  readonly #entries: LRUCache<string, LocalEntry>;
  readonly #keysByTag = new Map<string, Set<string>>();
  readonly #notes = new Map<string, number>();
  #version = 0;
  #floor = 0;

  constructor(options: LocalTierOptions) {
    this.#options = options;
    this.#entries = new LRUCache({
      maxSize: options.maxBytes,
      sizeCalculation: ({ text, names }, key) => sizeOf(key, text, names),
      // an entry is removed by its size; `freshUntil` says whether its value may be served
      dispose: (entry, key, reason) => {
        this.#unlink(key, entry);
        if (reason === 'evict') options.evicted();
      },
    });
  }

  /** The version to read before a load. */
  get version(): number {
    return this.#version;
  }

  get entries(): number {
    return this.#entries.size;
  }

  get bytes(): number {
    return this.#entries.calculatedSize;
  }

  get(key: string): LocalEntry | undefined {
    return this.#entries.get(key);
  }

  /** @param version that before the load. @returns false if the value is older than an invalidation, and is not kept */
  put(key: string, entry: LocalEntry, version: number): boolean {
    if (this.isFenced(entry.names, version)) return false;
    // a value for which there is no place must not leave its predecessor
    this.#entries.delete(key);
    if (sizeOf(key, entry.text, entry.names) > this.#options.maxEntryBytes) return true;
    this.#entries.set(key, entry);
    for (const tag of tagsOf(key, entry)) {
      const keys = this.#keysByTag.get(tag);
      if (keys === undefined) this.#keysByTag.set(tag, new Set([key]));
      else keys.add(key);
    }
    return true;
  }

  isFenced(names: readonly string[], version: number): boolean {
    return version < this.#floor || names.some((name) => (this.#notes.get(name) ?? 0) > version);
  }

  invalidate(names: readonly string[]): void {
    this.#version++;
    for (const name of names) {
      this.#notes.set(name, this.#version);
      this.#entries.delete(name);
      for (const key of this.#keysByTag.get(name) ?? []) this.#entries.delete(key);
    }
    if (this.#notes.size <= (this.#options.maxNotes ?? 10_000)) return;
    this.#floor = this.#version;
    this.#notes.clear();
  }

  /** Removes everything, and fences every fill that is under way. */
  drain(): void {
    this.#floor = ++this.#version;
    this.#entries.clear();
    this.#keysByTag.clear();
    this.#notes.clear();
  }

  /** No fill is under way. */
  forgetNotes(): void {
    this.#notes.clear();
  }

  #unlink(key: string, entry: LocalEntry): void {
    for (const tag of tagsOf(key, entry)) {
      const keys = this.#keysByTag.get(tag);
      keys?.delete(key);
      if (keys?.size === 0) this.#keysByTag.delete(tag);
    }
  }
}

function tagsOf(key: string, { names }: LocalEntry): readonly string[] {
  return names.filter((name) => name !== key);
}

/** The engine keeps a text of ASCII in one byte a character, and most other texts in two. */
function sizeOf(key: string, text: string, names: readonly string[]): number {
  const namesLength = names.reduce((sum, name) => sum + name.length, 0);
  const textBytes = Buffer.byteLength(text) === text.length ? text.length : 2 * text.length;
  return overheadBytes + key.length + namesLength + textBytes;
}
