import { ParleyError } from '../../protocol/errors.ts';
import type { Rate, Rates } from './rates.ts';
import { every } from '../../telemetry/periodic.ts';

interface Account {
  /** Without the name that begins it: a text less for each user who was here lately. */
  readonly key: string;
  readonly rate: Rate;
  /** Admitted here and not yet reported, and reported but not yet answered. */
  unreported: number;
  underway: number;
  /** What was left over all nodes at the last answer; undefined: none has come. */
  remaining: number | undefined;
  blockedUntil: number;
  usedAt: number;
  report: Promise<void> | undefined;
}

export interface AllowanceOptions {
  /** Of a form that does not reject. */
  readonly rates: Rates;
  /** Begins the keys. */
  readonly name: string;
  /** Accounts held at once; beyond it a hit costs a round trip. */
  readonly maxAccounts?: number;
}

const reportMs = 200;
const share = 10;
const sweepMs = 10_000;

/**
 * Hits of users over all nodes, without a round trip a hit: a node admits by itself and reports afterwards, every 200 ms
 * and whenever a tenth of the limit is unreported; then it waits for the answer. Nothing is reserved, so nothing that a
 * user did not use is lost to them.
 *
 * Over-admission: each node may have admitted a tenth of the limit (at least 1) that the others do not know of, so n nodes
 * admit at most `limit + n × ceil(limit / 10)` in a window. One node alone admits exactly `limit`.
 */
export class Allowance {
  readonly #options: AllowanceOptions;
  readonly #maxAccounts: number;
  /** By limit and key: a user with tokens of two tiers has two, that share what is counted. */
  readonly #accounts = new Map<number, Map<string, Account>>();
  #size = 0;
  readonly #dirty = new Set<Account>();
  readonly #sweeper: NodeJS.Timeout;
  #timer: NodeJS.Timeout | undefined = undefined;

  constructor(options: AllowanceOptions) {
    this.#options = options;
    this.#maxAccounts = options.maxAccounts ?? 100_000;
    this.#sweeper = every(() => this.#sweep(), sweepMs).unref();
  }

  /** Counts one hit. @returns undefined: at once. @throws {ParleyError} `rate_limited`, or rejects with it. */
  spend(key: string, rate: Rate): Promise<void> | undefined {
    const now = performance.now();
    const account = this.#account(key, rate, now);
    if (account === undefined) return this.#direct(key, rate);
    account.usedAt = now;
    if (account.blockedUntil > now) throw limited(account.blockedUntil - now);
    return this.#admit(account) ? undefined : this.#afterReport(account);
  }

  get size(): number {
    return this.#size;
  }

  /** Reports what has not been, and ends. */
  async stop(): Promise<void> {
    clearInterval(this.#sweeper);
    await this.#reportAll();
  }

  #account(key: string, rate: Rate, now: number): Account | undefined {
    let accounts = this.#accounts.get(rate.limit);
    const known = accounts?.get(key);
    if (known !== undefined) return known;
    if (this.#size >= this.#maxAccounts) return undefined;
    if (accounts === undefined) this.#accounts.set(rate.limit, (accounts = new Map()));
    const account: Account = {
      key,
      rate,
      unreported: 0,
      underway: 0,
      remaining: undefined,
      blockedUntil: 0,
      usedAt: now,
      report: undefined,
    };
    accounts.set(key, account);
    this.#size++;
    return account;
  }

  #admit(account: Account): boolean {
    const slice = Math.ceil(account.rate.limit / share);
    if (account.unreported + account.underway >= Math.min(slice, account.remaining ?? slice)) return false;
    account.unreported++;
    this.#dirty.add(account);
    this.#timer ??= setTimeout(() => void this.#reportAll(), reportMs).unref();
    return true;
  }

  async #afterReport(account: Account): Promise<void> {
    // others wait for the same answer, and may use it up first
    for (;;) {
      await this.#report(account);
      const wait = account.blockedUntil - performance.now();
      if (wait > 0) throw limited(wait);
      if (this.#admit(account)) return;
    }
  }

  #report(account: Account): Promise<void> {
    account.report ??= this.#send(account).finally(() => (account.report = undefined));
    return account.report;
  }

  async #send(account: Account): Promise<void> {
    account.underway = account.unreported;
    account.unreported = 0;
    this.#dirty.delete(account);
    const { allowed, remaining, resetMs } = await this.#options.rates.record(
      this.#keyOf(account.key),
      account.underway,
      account.rate,
    );
    account.underway = 0;
    account.remaining = remaining;
    account.blockedUntil = allowed ? 0 : performance.now() + Math.max(1, resetMs);
  }

  #keyOf(key: string): string {
    return `${this.#options.name}:${key}`;
  }

  async #direct(key: string, rate: Rate): Promise<void> {
    const { allowed, resetMs } = await this.#options.rates.take(this.#keyOf(key), 1, rate);
    if (!allowed) throw limited(resetMs);
  }

  async #reportAll(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await Promise.all([...this.#dirty].map((account) => this.#report(account)));
    if (this.#dirty.size > 0) this.#timer ??= setTimeout(() => void this.#reportAll(), reportMs).unref();
  }

  #sweep(): void {
    const now = performance.now();
    for (const accounts of this.#accounts.values()) {
      for (const [key, account] of accounts) {
        const idle = account.unreported === 0 && account.report === undefined;
        if (!idle || account.usedAt >= now - account.rate.windowMs) continue;
        accounts.delete(key);
        this.#size--;
      }
    }
  }
}

function limited(waitMs: number): ParleyError {
  return new ParleyError('rate_limited', undefined, { retryAfter: Math.max(1, Math.ceil(waitMs)) });
}
