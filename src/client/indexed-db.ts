import { ParleyError } from '../protocol/errors.ts';
import type { Store } from './store.ts';

/** What is used of IndexedDB; Node's types have none. */
interface Request<T = unknown> {
  readonly result: T;
  readonly error: unknown;
  onsuccess: (() => void) | null;
  onerror: (() => void) | null;
}
interface Entries {
  get(key: string): Request;
  getAll(range: object): Request<unknown[]>;
  getAllKeys(range: object): Request<string[]>;
  put(value: unknown, key: string): Request;
  delete(key: string): Request;
}
interface Transaction {
  objectStore(name: string): Entries;
  readonly error: unknown;
  commit(): void;
  oncomplete: (() => void) | null;
  onabort: (() => void) | null;
}
interface Database {
  createObjectStore(name: string): void;
  transaction(name: string, mode: 'readonly' | 'readwrite'): Transaction;
  close(): void;
  onclose: (() => void) | null;
  onversionchange: (() => void) | null;
}
interface Browser {
  readonly indexedDB?: { open(name: string): Request<Database> & { onupgradeneeded: (() => void) | null } };
  readonly IDBKeyRange: { bound(from: string, to: string): object };
}

const browser = globalThis as unknown as Browser;
const table = 'entries';

/**
 * Over reloads and restarts of the browser; shared by all tabs of the page's origin. Users do not see each other's.
 *
 * @param name of the database, for pages that keep several apart
 */
export function indexedDbStore(name = 'parley'): Store {
  let opened: Promise<Database> | undefined;
  const open = (): Promise<Database> =>
    (opened ??= new Promise<Database>((resolve, reject: (error: ParleyError) => void) => {
      const request = browser.indexedDB?.open(name);
      if (request === undefined) return reject(new ParleyError('invalid', 'There is no IndexedDB here.'));
      request.onupgradeneeded = () => request.result.createObjectStore(table);
      request.onerror = () => {
        opened = undefined;
        reject(failure(request.error));
      };
      request.onsuccess = () => {
        const database = request.result;
        // Deleted by the user, or by another tab: the next call makes it anew.
        database.onclose = database.onversionchange = () => {
          opened = undefined;
          database.close();
        };
        resolve(database);
      };
    }));

  /** One transaction: they take effect in the order they are begun. */
  const run = async <T>(mode: 'readonly' | 'readwrite', act: (entries: Entries) => () => T): Promise<T> => {
    const database = await open();
    return new Promise((resolve, reject: (error: ParleyError) => void) => {
      const transaction = database.transaction(table, mode);
      const result = act(transaction.objectStore(table));
      // At once, not when the answers are in: a page that is being closed does not see them any more.
      transaction.commit();
      transaction.oncomplete = () => resolve(result());
      transaction.onabort = () => reject(failure(transaction.error));
    });
  };

  return {
    get: (key) =>
      run('readonly', (entries) => {
        const request = entries.get(key);
        return () => request.result;
      }),
    list: (prefix) =>
      run('readonly', (entries) => {
        const range = browser.IDBKeyRange.bound(prefix, `${prefix}\uffff`);
        const [keys, values] = [entries.getAllKeys(range), entries.getAll(range)];
        return () => keys.result.map((key, at) => [key, values.result[at]] as const);
      }),
    set: (key, value) =>
      run('readwrite', (entries) => {
        if (value === undefined) entries.delete(key);
        else entries.put(value, key);
        return () => undefined;
      }),
  };
}

function failure(cause: unknown): ParleyError {
  return new ParleyError('internal', cause instanceof Error ? cause.message : 'The browser gave no reason.', { cause });
}
