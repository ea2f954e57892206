import { asParleyError, within } from './failure.ts';

/** Where tokens come from. A function is asked on each connect, so that it can give a fresh one. */
export type TokenSource = string | (() => string | Promise<string>);

/** `setTimeout` takes no longer delay; a token that lives longer is looked at again then. */
const longestTimerMs = 2 ** 31 - 1;
const refreshRetryMs = 10_000;

/** Whose token it is, as far as one can read it: the `sub` of a JWT. It is the server that verifies it. */
export function subjectOf(token: string): string | undefined {
  try {
    const json = atob((token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/'));
    const { sub } = JSON.parse(json) as { sub?: unknown };
    return typeof sub === 'string' ? sub : undefined;
  } catch {
    return undefined;
  }
}

/** Gives the token for each connect, and renews the one of the live connection before it expires. */
export class TokenKeeper {
  readonly #source: TokenSource;
  readonly #timeoutMs: number;
  readonly #refresh: (token: string) => Promise<number>;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #last = '';

  /**
   * @param timeoutMs what the source may take
   * @param refresh tells the server the new token; answers when that one expires
   */
  constructor(source: TokenSource, timeoutMs: number, refresh: (token: string) => Promise<number>) {
    this.#source = source;
    this.#timeoutMs = timeoutMs;
    this.#refresh = refresh;
  }

  get renewable(): boolean {
    return typeof this.#source === 'function';
  }

  /** The one given last. */
  get last(): string {
    return this.#last;
  }

  /** @throws what the source throws; `unavailable` if it takes too long */
  async take(): Promise<string> {
    const source = this.#source;
    return (this.#last = typeof source === 'string' ? source : await within(this.#timeoutMs, source()));
  }

  /** @param atLeast ms to wait; a clock that runs ahead makes all tokens look expired */
  refreshBefore(expires: number, atLeast = 0): void {
    this.stop();
    if (!this.renewable) return;
    const left = expires - Date.now();
    // A minute ahead, or a fifth of the time for short-lived ones: enough for a slow answer and one more try.
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
      // The application has nothing newer: the connection ends with `token_expired` and a new one asks again.
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
