/** How long a dead worker's place stays empty. A worker that served for a minute begins with the shortest pause again. */
export const restartBackoff = { baseMs: 200, capMs: 30_000, healthyMs: 60_000 } as const;

/**
 * Half fixed, half random: several workers that end for one reason, such as an outage of Postgres, do not start at the same moment.
 *
 * @param failures restarts since a worker of the place last served for a minute
 */
export function restartDelay(failures: number, random: () => number = Math.random): number {
  const bound = Math.min(restartBackoff.capMs, restartBackoff.baseMs * 2 ** Math.min(failures, 30));
  return Math.round(bound * (0.5 + random() / 2));
}
