import { StartupError } from '../../startup-error.ts';

/** @throws {StartupError} where Redis may evict jobs. */
export function requireNoEviction(policy: string | undefined, allowed: boolean): void {
  if (policy === undefined || policy === 'noeviction' || allowed) return;
  throw new StartupError(
    `Redis may evict jobs of notifications (maxmemory-policy ${policy}). Set maxmemory-policy noeviction, or PARLEY_LANE_EVICTION=allow.`,
  );
}
