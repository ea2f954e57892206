import { setTimeout as delay } from 'node:timers/promises';
import type { postgres } from './sql.ts';
import { StartupError } from '../startup-error.ts';
import { createClient } from './client.ts';
import { PeriodicTask } from '../jobs/periodic-task.ts';

/** Keys of advisory locks. The first half is "parl" in ASCII, so that locks of other programs do not collide. */
const lockSpace = 0x7061726c;
export const migrationLock = [lockSpace, 1] as const;
const nodeLock = [lockSpace, 2] as const;
/** Held by the transaction of one node that expands the outbox. */
export const notifierLock = [lockSpace, 3] as const;

export interface HeldLock {
  release(): Promise<void>;
}

export interface NodeLockOptions {
  readonly url: string;
  /** Nodes that share Redis share the lock; a node without Redis holds the lock alone. */
  readonly shared: boolean;
  /** Another process took the database while the connection was down. This process must stop writing, so it ends. */
  readonly onLost: (error: StartupError) => void;
  /** Longest wait for the lock of a process that was just killed. */
  readonly waitMs?: number;
}

const retryMs = 250;
const checkMs = 15_000;

/**
 * Without Redis only one process may use a database: the connections of two processes would not receive each other's events.
 *
 * States: **held** → (the connection ends: server restart, network) **lost** → held, when the lock is free again or
 * never got taken; or `onLost`, when another process has it. While Postgres is unavailable the state stays lost: no process
 * can write then. The lock lives as long as its connection, which is therefore one outside the pool that never idles out.
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
    // A proxy may drop silent connections; the check below detects it.
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
        // Postgres is unavailable. This loop retries, and `onclose` must not start a second loop.
        await delay(retryMs);
      }
    }
  }

  const check = new PeriodicTask({
    // A failure closes the connection, and `onclose` goes on. A lock on a server that became a standby has no effect: its
    // session ends itself, and the lock is taken on the new primary.
    run: async () => {
      if (held) await sql`select pg_terminate_backend(pg_backend_pid()) where pg_is_in_recovery()`;
    },
    everyMs: checkMs,
    failed: () => {},
    keepsAlive: false,
  });
  check.startLater();

  async function release(): Promise<void> {
    released = true;
    const checked = check.stop();
    await sql.end({ timeout: 1 });
    await Promise.all([checked, regaining]);
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
      ? 'A Parley process without REDIS_URL is using this database; stop that process, or give it the same REDIS_URL'
      : 'Another Parley process is using this database; set REDIS_URL to run several processes',
  );
}
