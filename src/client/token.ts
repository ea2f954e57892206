import { asParleyError, within } from './failure.ts';

/** The source of tokens. A function is called on each connect, so that it can return a fresh one. */
export type TokenSource = string | (() => string | Promise<string>);

/** `setTimeout` takes no longer delay; for a longer one it runs repeatedly. */
const longestTimerMs = 2 ** 31 - 1;
const refreshRetryMs = 10_000;

/** The user of a token, if the token is readable: the `sub` of a JWT. Only the server verifies it. */
export function subjectOf(token: string): string | undefined {
  try {
    const json = atob((token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/'));
    const { sub } = JSON.parse(json) as { sub?: unknown };
    return typeof sub === 'string' ? sub : undefined;
  } catch {
    return undefined;
  }
}

/** Provides the token for each connect, and renews the token of the live connection before it expires. */
export class TokenHolder {
  readonly #source: TokenSource;
  readonly #timeoutMs: number;
  readonly #refresh: (token: string) => Promise<number>;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #last = '';

  /**
   * @param timeoutMs the time limit for the source
   * @param refresh sends the new token to the server; resolves with its expiry
   */
  constructor(source: TokenSource, timeoutMs: number, refresh: (token: string) => Promise<number>) {
    this.#source = source;
    this.#timeoutMs = timeoutMs;
    this.#refresh = refresh;
  }

  get renewable(): boolean {
    return typeof this.#source === 'function';
  }

  /** The token that was used last. */
  get last(): string {
    return this.#last;
  }

  /** @throws the error of the source; `unavailable` if it takes too long */
  async take(): Promise<string> {
    const source = this.#source;
    return (this.#last = typeof source === 'string' ? source : await within(this.#timeoutMs, source()));
  }

  /** @param atLeast the shortest delay in ms; a clock that runs ahead makes all tokens look like expired ones */
  refreshBefore(expires: number, atLeast = 0): void {
    this.stop();
    if (!this.renewable) return;
    const left = expires - Date.now();
    // A minute early, or a fifth of the time for short-lived tokens: enough for a slow answer and one more attempt.
    const delay = Math.max(atLeast, left - Math.min(60_000, left / 5));
    this.#timer = setTimeout(
      () => (delay > longestTimerMs ? this.refreshBefore(expires) : void this.#renew(expires)),
      Math.min(delay, longestTimerMs),
    );
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async #renew(expires: number): Promise<void> {
    const before = this.#last;
    const timer = this.#timer;
    try {
      const token = await this.take();
      // The application has no newer token: the connection ends with `token_expired` and a new one requests another.
      if (token === before) return;
      const next = await this.#refresh(token);
      if (this.#timer === timer) this.refreshBefore(next, refreshRetryMs);
    } catch (thrown) {
      const worthwhile = asParleyError(thrown).retryable && Date.now() + refreshRetryMs < expires;
      if (this.#timer === timer && worthwhile)
        this.#timer = setTimeout(() => void this.#renew(expires), refreshRetryMs);
    }
  }
}
