import { setTimeout as delay } from 'node:timers/promises';
import type { postgres } from './sql.ts';
import { StartupError } from '../startup-error.ts';
import { createClient } from './client.ts';
import { every } from '../jobs/periodic.ts';

/** Keys of advisory locks: the first half is "parl" in ASCII, so that other users of the database stay clear of it. */
const lockSpace = 0x7061726c;
export const migrationLock = [lockSpace, 1] as const;
const nodeLock = [lockSpace, 2] as const;

export interface HeldLock {
  release(): Promise<void>;
}

export interface NodeLockOptions {
  readonly url: string;
  /** Nodes that share Redis share the lock; one without Redis wants it alone. */
  readonly shared: boolean;
  /** Another process took the database while the connection was down. This one must stop writing: it ends. */
  readonly onLost: (error: StartupError) => void;
  /** How long a predecessor that was just killed may take to let go. */
  readonly waitMs?: number;
}

const retryMs = 250;
const checkMs = 15_000;

/**
 * Without Redis only one process may use a database: two would fan out past each other's connections.
 *
 * States: **held** → (the connection ends: server restart, network) **lost** → held, when the lock is free again or
 * never got taken; or `onLost`, when another process has it. While the server is away the state stays lost: nobody can
 * write then. The lock lives as long as its connection, which is therefore one outside the pool that never idles out.
 */
export async function holdNodeLock(options: NodeLockOptions): Promise<HeldLock> {
  const waitMs = options.waitMs ?? 5_000;
  let held = false;
  let released = false;
  let regaining: Promise<void> = Promise.resolve();
  const sql = createClient(options.url, {
    max: 1,
    max_lifetime: null,
    idle_timeout: 0,
    // A proxy between may drop silent connections; then the check below finds out.
    connect_timeout: 10,
    onclose: () => {
      if (!held || released) return;
      held = false;
      regaining = regain();
    },
  });

  /** Until the deadline; false when another process has it then. */
  async function acquire(): Promise<boolean> {
    for (const deadline = Date.now() + waitMs; ;) {
      if (await tryLock(sql, options.shared)) return (held = true);
      if (Date.now() >= deadline) return false;
      await delay(retryMs);
    }
  }

  async function regain(): Promise<void> {
    while (!released) {
      try {
        if (!(await acquire())) options.onLost(inUse(options.shared));
        return;
      } catch {
        // The server is away. Trying again is all that can be done, and `onclose` must not start a second loop.
        await delay(retryMs);
      }
    }
  }

  const check = every(() => {
    // A failure closes the connection, and `onclose` takes it from there. A lock on a server that became a standby
    // guards nothing: its session ends itself, and the lock is taken on the new primary.
    if (held) sql`select pg_terminate_backend(pg_backend_pid()) where pg_is_in_recovery()`.catch(() => {});
  }, checkMs).unref();

  async function release(): Promise<void> {
    released = true;
    clearInterval(check);
    await sql.end({ timeout: 1 });
    await regaining;
  }

  try {
    if (await acquire()) return { release };
  } catch (error) {
    await release();
    throw error;
  }
  await release();
  throw inUse(options.shared);
}

async function tryLock(sql: postgres.Sql, shared: boolean): Promise<boolean> {
  const [space, key] = nodeLock;
  const [row] = shared
    ? await sql<{ locked: boolean }[]>`select pg_try_advisory_lock_shared(${space}, ${key}) as locked`
    : await sql<{ locked: boolean }[]>`select pg_try_advisory_lock(${space}, ${key}) as locked`;
  return row?.locked === true;
}

function inUse(shared: boolean): StartupError {
  return new StartupError(
    shared
      ? 'A Parley process without REDIS_URL is using this database; stop it, or give it the same REDIS_URL'
      : 'Another Parley process is using this database; set REDIS_URL to run more than one',
  );
}
