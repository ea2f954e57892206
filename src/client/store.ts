/**
 * A client's data over a reload: unsent messages, and the newest messages of open rooms with the cursor up to which
 * they are complete.
 *
 * A store is a small ordered map from strings to JSON. Calls take effect in the order in which they are made: a `get`
 * after a `set` sees it, whether or not the `set` was awaited. Several clients, also in several tabs, may use one at
 * the same time. A call that cannot be carried out rejects. The client then continues without the store, and shows the
 * error in `client.storeError`. The client bounds its data: 500 unsent messages, 50 rooms of 100 messages, one list of
 * 200 rooms a user.
 */
export interface Store {
  /** @returns undefined if there is no entry of that key */
  get(key: string): Promise<unknown>;
  /** All entries whose key begins with the prefix, ordered by key as JavaScript compares strings. */
  list(prefix: string): Promise<(readonly [key: string, value: unknown])[]>;
  /** @param value JSON; undefined removes the entry */
  set(key: string, value: unknown): Promise<void>;
}

/** A store in memory: its entries are lost when the program ends. */
export function memoryStore(): Store {
  const entries = new Map<string, string>();
  return {
    get: async (key) => {
      const json = entries.get(key);
      return json === undefined ? undefined : (JSON.parse(json) as unknown);
    },
    list: async (prefix) =>
      Array.from(entries)
        .filter(([key]) => key.startsWith(prefix))
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, json]) => [key, JSON.parse(json) as unknown] as const),
    set: async (key, value) => {
      if (value === undefined) entries.delete(key);
      // As text, because the caller may change the object later.
      else entries.set(key, JSON.stringify(value));
    },
  };
}
