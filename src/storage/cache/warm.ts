/** Loads values before their readers come. Readers that come meanwhile have the places first: only a few are loaded at once. */
import type { CacheMetrics } from '../../telemetry/cache-metrics.ts';

const atOnce = 8;

/** @returns how many reads succeeded */
export async function warmed<T>(
  items: readonly T[],
  read: (item: T) => Promise<unknown>,
  metrics: Pick<CacheMetrics, 'warmFailures'>,
): Promise<number> {
  const rest = items.values();
  let done = 0;
  const worker = async (): Promise<void> => {
    for (const item of rest) {
      try {
        await read(item);
        done++;
      } catch {
        // the first reader of the key gets the error
        metrics.warmFailures.inc();
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return done;
}
