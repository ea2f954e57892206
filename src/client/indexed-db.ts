import { ParleyError } from '../protocol/errors.ts';
import { asParleyError } from './failure.ts';
import type { Store } from './store.ts';

/** What is used of IndexedDB; Node's types have none. */
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
 * Over reloads and restarts of the browser; shared by all tabs of the page's origin. Users do not see each other's.
 *
 * @param name of the database, for pages that keep several apart
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
        // Deleted by the user, or by another tab: the next call makes it anew.
        const closed = (): void => {
          opened = undefined;
          database.close();
        };
        database.addEventListener('close', closed);
        database.addEventListener('versionchange', closed);
        resolve(database);
      });
    }));

  /** One transaction: they take effect in the order they are begun. */
  const run = async <T>(mode: 'readonly' | 'readwrite', act: (entries: Entries) => () => T): Promise<T> => {
    const database = await open();
    return new Promise((resolve, reject: (error: ParleyError) => void) => {
      const transaction = database.transaction(table, mode);
      const result = act(transaction.objectStore(table));
      // At once, not when the answers are in: a page that is being closed does not see them any more.
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
