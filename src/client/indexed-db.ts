import { ParleyError } from '../protocol/errors.ts';
import { asParleyError } from './failure.ts';
import type { Store } from './store.ts';

/** The part of IndexedDB that the store uses; Node's types have none. */
interface Target {
  addEventListener(type: string, listener: () => void): void;
}
interface Request<T = unknown> extends Target {
  readonly result: T;
  readonly error: unknown;
}
interface Entries {
  get(key: string): Request;
  getAll(range: object): Request<unknown[]>;
  getAllKeys(range: object): Request<string[]>;
  put(value: unknown, key: string): Request;
  delete(key: string): Request;
}
interface Transaction extends Target {
  objectStore(name: string): Entries;
  readonly error: unknown;
  commit(): void;
}
interface Database extends Target {
  createObjectStore(name: string): void;
  transaction(name: string, mode: 'readonly' | 'readwrite'): Transaction;
  close(): void;
}
interface Browser {
  readonly indexedDB?: { open(name: string): Request<Database> };
  readonly IDBKeyRange: { bound(from: string, to: string): object };
}

const browser = globalThis as unknown as Browser;
const table = 'entries';

/**
 * A store that survives reloads and restarts of the browser. All tabs of the page's origin share it. Users do not see
 * each other's entries.
 *
 * @param name of the database, for pages with several stores
 */
export function indexedDbStore(name = 'parley'): Store {
  let opened: Promise<Database> | undefined;
  const open = (): Promise<Database> =>
    (opened ??= new Promise<Database>((resolve, reject: (error: ParleyError) => void) => {
      const request = browser.indexedDB?.open(name);
      if (request === undefined) return reject(new ParleyError('invalid', 'No IndexedDB here.'));
      request.addEventListener('upgradeneeded', () => request.result.createObjectStore(table));
      request.addEventListener('error', () => {
        opened = undefined;
        reject(asParleyError(request.error));
      });
      request.addEventListener('success', () => {
        const database = request.result;
        // The user or another tab deleted the database: the next call creates it again.
        const closed = (): void => {
          opened = undefined;
          database.close();
        };
        database.addEventListener('close', closed);
        database.addEventListener('versionchange', closed);
        resolve(database);
      });
    }));

  /** Transactions take effect in the order of the calls. */
  const run = async <T>(mode: 'readonly' | 'readwrite', act: (entries: Entries) => () => T): Promise<T> => {
    const database = await open();
    return new Promise((resolve, reject: (error: ParleyError) => void) => {
      const transaction = database.transaction(table, mode);
      const result = act(transaction.objectStore(table));
      // Commits at once: a closing page does not receive the answers any more.
      transaction.commit();
      transaction.addEventListener('complete', () => resolve(result()));
      transaction.addEventListener('abort', () => reject(asParleyError(transaction.error)));
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
