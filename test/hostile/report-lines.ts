/** Lines that the reports of both fuzzers have. */

/** The outcomes with their counts, the most frequent first. */
export function outcomeLines(outcomes: ReadonlyMap<string, number>): string[] {
  return [...outcomes]
    .toSorted((a, b) => b[1] - a[1])
    .map(([outcome, count]) => `${String(count).padStart(9)}  ${outcome}`);
}

export function mebibytes(size: number): string {
  return `${(size / 2 ** 20).toFixed(1)} MiB`;
}
