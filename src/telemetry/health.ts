/** Readiness: each part registers a check; `/ready` is true while all that are vital pass. */
export interface Check {
  readonly name: string;
  /** Resolves if the part works; rejects with the reason, which is shown to the operator. */
  readonly run: () => Promise<void>;
  /** False: the node serves without this part, only less well, so it is told and stays ready. */
  readonly vital?: false;
}

export interface Report {
  ready: boolean;
  checks: Record<string, { ok: boolean; ms: number; reason?: string; vital?: false }>;
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
      this.#checks.map(async ({ name, run, vital }) => {
        const from = performance.now();
        const reason = await within(timeoutMs, run());
        const ms = Math.round(performance.now() - from);
        const more = vital === undefined ? {} : { vital };
        checks[name] = reason === undefined ? { ok: true, ms, ...more } : { ok: false, ms, reason, ...more };
      }),
    );
    return { ready: Object.values(checks).every((check) => check.ok || check.vital === false), checks };
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
