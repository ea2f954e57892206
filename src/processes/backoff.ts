/** How long a dead worker's place stays empty. A worker that was well for a minute died of something new. */
export const restartBackoff = { baseMs: 200, capMs: 30_000, healthyMs: 60_000 } as const;

/**
 * Half fixed, half at random: several workers that fail of one cause, a database that went away, do not all come at once.
 *
 * @param failures restarts since the place was last well
 */
export function restartDelay(failures: number, random: () => number = Math.random): number {
  const bound = Math.min(restartBackoff.capMs, restartBackoff.baseMs * 2 ** Math.min(failures, 30));
  return Math.round(bound * (0.5 + random() / 2));
}
