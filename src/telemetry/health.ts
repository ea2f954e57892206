/**
 * Readiness: each part registers a check; `/ready` is true while all vital checks pass.
 *
 * `/ready` is public, so its cost is bounded. An answer is kept for a second, and concurrent requests share one round. A
 * check that does not answer is not started again. The reasons are public too: they name no host and no user. The log has
 * the details of a failed check.
 */
import { systemClock, type Clock } from '../jobs/clock.ts';
import { NoAnswer, within } from '../jobs/within.ts';
import type { Log } from './log.ts';

export interface Check {
  readonly name: string;
  /** Resolves if the part works. The text of a `NotReady` is public; other errors go to the log alone. */
  readonly run: () => Promise<void>;
  /** False: the node serves without this part, with less comfort. The report shows the failure, and the node stays ready. */
  readonly vital?: false;
}

/** A reason that may be public. */
export class NotReady extends Error {
  override readonly name = 'NotReady';
}

export interface Report {
  ready: boolean;
  checks: Record<string, { ok: boolean; ms: number; reason?: string; vital?: false }>;
}

const keptMs = 1000;

interface Registered extends Check {
  /** The run that has not ended, also after its time limit. */
  running: Promise<string | undefined> | undefined;
  failing: boolean;
}

export class Health {
  readonly #checks: Registered[] = [];
  readonly #log: Log | undefined;
  readonly #clock: Clock;
  #stopping = false;
  #round: Promise<Report> | undefined;
  #last: { report: Report; at: number } | undefined;

  constructor(log?: Log, clock: Clock = systemClock) {
    this.#log = log;
    this.#clock = clock;
  }

  add(check: Check): void {
    this.#checks.push({ ...check, running: undefined, failing: false });
    this.#last = undefined;
  }

  /** From now on not ready: load balancers send no new connections. */
  stop(): void {
    this.#stopping = true;
  }

  /** Answers within the limit, also while a check hangs. */
  async report(timeoutMs = 800): Promise<Report> {
    const now = this.#clock.now();
    if (this.#last === undefined || now - this.#last.at >= keptMs) {
      this.#round ??= this.#run(timeoutMs).finally(() => {
        this.#round = undefined;
      });
      const report = await this.#round;
      this.#last = { report, at: now };
    }
    return this.#stopping ? stopping(this.#last.report) : this.#last.report;
  }

  async #run(timeoutMs: number): Promise<Report> {
    const checks: Report['checks'] = {};
    await Promise.all(
      this.#checks.map(async (check) => {
        const from = this.#clock.now();
        check.running ??= this.#attempt(check).finally(() => {
          check.running = undefined;
        });
        const reason = await within(timeoutMs, check.running, this.#clock).catch((error: unknown) => {
          if (error instanceof NoAnswer) return error.message;
          throw error;
        });
        const ms = Math.round(this.#clock.now() - from);
        const more = check.vital === undefined ? {} : { vital: check.vital };
        checks[check.name] = reason === undefined ? { ok: true, ms, ...more } : { ok: false, ms, reason, ...more };
      }),
    );
    return { ready: Object.values(checks).every((check) => check.ok || check.vital === false), checks };
  }

  /** @returns the public reason; undefined: the part works. */
  async #attempt(check: Registered): Promise<string | undefined> {
    try {
      await check.run();
      check.failing = false;
      return undefined;
    } catch (error) {
      if (!check.failing)
        this.#log?.warn(
          { err: error, check: check.name },
          'A readiness check failed. `/ready` reports the check until it passes again.',
        );
      check.failing = true;
      return error instanceof NotReady ? error.message : 'failed; the log of this node has the reason';
    }
  }
}

function stopping({ checks }: Report): Report {
  return { ready: false, checks: { ...checks, running: { ok: false, ms: 0, reason: 'stopping' } } };
}
