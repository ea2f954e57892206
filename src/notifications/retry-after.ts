/** A receiver cannot put a delivery off for longer. */
const longestMs = 86_400_000;

/** @param text the header `Retry-After`: seconds, or a date of HTTP @returns undefined for another text */
export function retryAfterMs(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined;
  const seconds = Number(text);
  const ms = text.trim() !== '' && Number.isInteger(seconds) ? seconds * 1000 : Date.parse(text) - now;
  return Number.isNaN(ms) || ms < 0 ? undefined : Math.min(ms, longestMs);
}
