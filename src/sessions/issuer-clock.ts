import type { Identity } from './tokens.ts';

/** Tokens have whole seconds as a rule: one of 12:00:05 was signed until 12:00:05.999. */
const secondMs = 1000;

/**
 * How far the issuer's clock is ahead of the database's, in milliseconds; negative: behind.
 *
 * A token is admitted after it was signed, so of several tokens the one that is furthest ahead shows the clock best. A
 * token that is older than the leeway was kept by its client and shows nothing.
 * @returns null if no token shows it
 */
export function issuerClock(tokens: Iterable<Identity>, leewayMs: number): number | null {
  let clock: number | null = null;
  for (const { issuedAt, admitted } of tokens) {
    if (issuedAt === 0 || admitted === undefined) continue;
    const ahead = issuedAt - admitted.at;
    if (Math.abs(ahead) > leewayMs + secondMs) continue;
    const shown = ahead <= 0 && ahead > -secondMs ? 0 : ahead;
    if (clock === null || shown > clock) clock = shown;
  }
  return clock;
}
