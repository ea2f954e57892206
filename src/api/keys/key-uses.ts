import { every } from '../../jobs/periodic.ts';
import type { Log } from '../../telemetry/log.ts';

const flushMs = 60_000;

/** When each key was last used. One statement a minute writes the keys that were used since the last one. */
export class KeyUses {
  readonly #write: (uses: ReadonlyMap<string, number>) => Promise<void>;
  readonly #log: Log;
  readonly #timer: NodeJS.Timeout;
  #uses = new Map<string, number>();

  constructor(write: (uses: ReadonlyMap<string, number>) => Promise<void>, log: Log) {
    this.#write = write;
    this.#log = log;
    this.#timer = every(() => this.flush(), flushMs);
  }

  note(id: string, at: number): void {
    this.#uses.set(id, at);
  }

  async flush(): Promise<void> {
    if (this.#uses.size === 0) return;
    const uses = this.#uses;
    this.#uses = new Map();
    try {
      await this.#write(uses);
    } catch (error) {
      // a later use of the same key stays
      for (const [id, at] of uses) if (!this.#uses.has(id)) this.#uses.set(id, at);
      this.#log.warn(
        { err: error },
        'Could not write to Postgres when API keys were last used; retrying in a minute. `parley keys list` shows an older time until then.',
      );
    }
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
  }
}
