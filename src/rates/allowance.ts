import { systemClock, type Clock, type ClockTimer } from '../jobs/clock.ts';
import { ParleyError } from '../protocol/errors.ts';
import { partsOf, type Hits, type Rate, type Rates } from './rates.ts';
import { every } from '../jobs/periodic.ts';

interface Account {
  /** Without the name that begins it: one text less in memory for each recent user. */
  readonly key: string;
  readonly rate: Rate;
  /** Admitted here and not yet reported, and reported but not yet answered. */
  unreported: number;
  underway: number;
  /** Reported hits of the window, as pairs of part of time and count, oldest first. */
  reported: number[];
  /** Hits left over all nodes at the last answer; undefined: no answer has come. */
  remaining: number | undefined;
  blockedUntil: number;
  usedAt: number;
  report: Promise<void> | undefined;
}

export interface AllowanceOptions {
  /** Must not reject. */
  readonly rates: Rates;
  /** Begins the keys. */
  readonly name: string;
  /** The rate of the tier that a token names. Undefined: these hits have no limit. */
  readonly rateOf: (tier: string | null) => Rate | undefined;
  /** Accounts held at once; beyond it a hit costs a round trip. */
  readonly maxAccounts?: number;
  readonly clock?: Clock;
}

const reportMs = 200;
const share = 10;
const sweepMs = 10_000;
/** Accounts that report at once for `verify`. */
const verifiedAtOnce = 500;

/**
 * Hits of users over all nodes, without a round trip a hit: a node admits by itself and reports afterwards, every 200 ms.
 * When a tenth of the limit is unreported, the node waits for the answer of its report. The node reserves no hits, so a user
 * never loses unused ones.
 *
 * Over-admission: each node may have admitted a tenth of the limit (at least 1) without a report. So n nodes admit at most
 * `limit + n × ceil(limit / 10)` in a window. One node alone admits exactly `limit`.
 *
 * Loss: each report repeats this node's earlier hits of the window, and the rates restore the ones that they have lost.
 * Accounts with more than a tenth of the limit report every 10 s, and at once after `verify`.
 */
export class Allowance {
  readonly #options: AllowanceOptions;
  readonly #maxAccounts: number;
  /** By limit and key: a user with tokens of two tiers has two accounts, which share the count. */
  readonly #accounts = new Map<number, Map<string, Account>>();
  #size = 0;
  readonly #dirty = new Set<Account>();
  readonly #sweeper: NodeJS.Timeout;
  readonly #clock: Clock;
  #timer: ClockTimer | undefined = undefined;

  constructor(options: AllowanceOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#maxAccounts = options.maxAccounts ?? 100_000;
    this.#sweeper = every(() => this.#sweep(), sweepMs).unref();
  }

  /** Counts one hit. @returns undefined: at once. @throws {ParleyError} `rate_limited`, or rejects with it. */
  spend(key: string, tier: string | null = null): Promise<void> | undefined {
    const rate = this.#options.rateOf(tier);
    if (rate === undefined) return undefined;
    const now = this.#clock.now();
    const account = this.#account(key, rate, now);
    if (account === undefined) return this.#direct(key, rate);
    account.usedAt = now;
    if (account.blockedUntil > now) throw limited(account.blockedUntil - now);
    return this.#admit(account) ? undefined : this.#afterReport(account);
  }

  get size(): number {
    return this.#size;
  }

  /** The rates may have lost reported hits. */
  verify(): void {
    void this.#verify().catch(() => {}); // the rates do not reject
  }

  /** Reports the unreported hits, and ends. */
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
      reported: [],
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
    this.#reportSoon();
    return true;
  }

  async #afterReport(account: Account): Promise<void> {
    // others wait for the same answer, and may use it up first
    for (;;) {
      await this.#report(account);
      const wait = account.blockedUntil - this.#clock.now();
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
      this.#earlierOf(account),
    );
    if (account.underway > 0) addReported(account, account.underway, partAt(this.#clock.now(), account));
    account.underway = 0;
    account.remaining = remaining;
    account.blockedUntil = allowed ? 0 : this.#clock.now() + Math.max(1, resetMs);
  }

  #earlierOf(account: Account): Hits[] {
    return earlierOf(account, partAt(this.#clock.now(), account));
  }

  #keyOf(key: string): string {
    return `${this.#options.name}:${key}`;
  }

  async #direct(key: string, rate: Rate): Promise<void> {
    const { allowed, resetMs } = await this.#options.rates.take(this.#keyOf(key), 1, rate);
    if (!allowed) throw limited(resetMs);
  }

  async #reportAll(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    await Promise.all([...this.#dirty].map((account) => this.#report(account)));
    if (this.#dirty.size > 0) this.#reportSoon();
  }

  /** A timer while something is to report, and none for a node without users. */
  #reportSoon(): void {
    if (this.#timer !== undefined) return;
    this.#timer = this.#clock.after(reportMs, () => void this.#reportAll());
    this.#timer.unref();
  }

  async #verify(): Promise<void> {
    const accounts = [...this.#accounts.values()].flatMap((ofLimit) => [...ofLimit.values()]);
    const heavy = accounts.filter((account) => {
      return (
        this.#earlierOf(account).reduce((sum, { count }) => sum + count, 0) > Math.ceil(account.rate.limit / share)
      );
    });
    for (let at = 0; at < heavy.length; at += verifiedAtOnce) {
      await Promise.all(heavy.slice(at, at + verifiedAtOnce).map((account) => this.#report(account)));
    }
  }

  #sweep(): void {
    this.verify();
    const now = this.#clock.now();
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

function partAt(now: number, { rate }: Account): number {
  return Math.floor(now / Math.floor(rate.windowMs / partsOf(rate)));
}

function earlierOf(account: Account, current: number): Hits[] {
  const { reported, rate } = account;
  while (reported.length > 0 && (reported[0] as number) < current - partsOf(rate)) reported.splice(0, 2);
  const hits: Hits[] = [];
  for (let i = 0; i < reported.length; i += 2) {
    hits.push({ age: current - (reported[i] as number), count: reported[i + 1] as number });
  }
  return hits;
}

function addReported(account: Account, count: number, current: number): void {
  const { reported } = account;
  if (reported.at(-2) === current) reported[reported.length - 1] = (reported.at(-1) as number) + count;
  // push would make room for 16 more numbers, for each user who has just connected
  else if (reported.length === 0) account.reported = [current, count];
  else reported.push(current, count);
}

function limited(waitMs: number): ParleyError {
  return new ParleyError('rate_limited', undefined, { retryAfter: Math.max(1, Math.ceil(waitMs)) });
}
