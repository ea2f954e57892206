/** Readiness: each part registers a check; `/ready` is true while all of them pass. */
export interface Check {
  readonly name: string;
  /** Resolves if the part works; rejects with the reason, which is shown to the operator. */
  readonly run: () => Promise<void>;
}

export interface Report {
  ready: boolean;
  checks: Record<string, { ok: boolean; ms: number; reason?: string }>;
}

export class Health {
  readonly #checks: Check[] = [];
  #stopping = false;

  add(check: Check): void {
    this.#checks.push(check);
  }

  /** From now on not ready: balancers send nobody new. */
  stop(): void {
    this.#stopping = true;
  }

  async report(timeoutMs = 2000): Promise<Report> {
    const checks: Report['checks'] = {};
    if (this.#stopping) checks['running'] = { ok: false, ms: 0, reason: 'stopping' };
    await Promise.all(
      this.#checks.map(async ({ name, run }) => {
        const from = performance.now();
        const reason = await within(timeoutMs, run());
        const ms = Math.round(performance.now() - from);
        checks[name] = reason === undefined ? { ok: true, ms } : { ok: false, ms, reason };
      }),
    );
    return { ready: Object.values(checks).every((check) => check.ok), checks };
  }
}

async function within(ms: number, work: Promise<void>): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`no answer in ${ms} ms`), ms);
  });
  const done = work.then(
    () => undefined,
    (error: unknown) => (error instanceof Error ? error.message || error.name : String(error)),
  );
  const reason = await Promise.race([done, late]);
  clearTimeout(timer);
  return reason;
}
