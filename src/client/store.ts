/**
 * What a client keeps over a reload: messages that wait to be sent, and of the rooms that were open the newest messages
 * with the cursor up to which they are true.
 *
 * A store is a small ordered map from strings to JSON. Calls take effect in the order they are made: a `get` after a
 * `set` sees it, whether or not the `set` was awaited. Several clients, also in several tabs, may use one at the same
 * time. A call that cannot be carried out rejects; the client then goes on without, and tells in `client.storeError`.
 * The client bounds what it keeps: 500 waiting messages, 50 rooms of 100 messages, one list of 200 rooms a user.
 */
export interface Store {
  /** @returns undefined if there is nothing of that key */
  get(key: string): Promise<unknown>;
  /** All entries whose key begins so, ordered by key as JavaScript compares strings. */
  list(prefix: string): Promise<(readonly [key: string, value: unknown])[]>;
  /** @param value JSON; undefined removes the entry */
  set(key: string, value: unknown): Promise<void>;
}

/** As long as the program runs. */
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
      // As text: what the caller changes later is not changed here.
      else entries.set(key, JSON.stringify(value));
    },
  };
}
