/**
 * Waits until the node with a session has named the session's token in a revocation. Postgres gets one statement at a time
 * for all waiting commands: with one loop for each command, one user caused 20,000 transactions a second.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { postgres } from '../storage/sql.ts';

interface Wait {
  readonly id: number;
  readonly since: number;
  readonly resolve: (named: boolean) => void;
  readonly reject: (error: unknown) => void;
}

/** How long the node with the session may take: each node reads revocations every second. */
const namingMs = 3000;
const firstPauseMs = 20;
const longestPauseMs = 250;

export class TokenNaming {
  readonly #sql: postgres.Sql;
  readonly #waits = new Set<Wait>();
  #watching = false;

  constructor(sql: postgres.Sql) {
    this.#sql = sql;
  }

  /** @returns false if no node has the session; its revocation is deleted then. Rejects when Postgres fails. */
  wait(id: number): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#waits.add({ id, since: performance.now(), resolve, reject });
      if (!this.#watching) void this.#watch();
    });
  }

  async #watch(): Promise<void> {
    this.#watching = true;
    while (this.#waits.size > 0) {
      const waits = [...this.#waits];
      try {
        await this.#poll(waits);
      } catch (error) {
        for (const wait of waits) if (this.#waits.delete(wait)) wait.reject(error);
      }
      if (this.#waits.size > 0) await delay(this.#pauseMs());
    }
    this.#watching = false;
  }

  async #poll(waits: readonly Wait[]): Promise<void> {
    const from = performance.now();
    const named = await this.#sql<{ id: number }[]>`
      select id from revocations where id = any (${waits.map(({ id }) => id)}::int8[]) and token is not null`;
    this.#settle(waits, named, true);
    const late = waits.filter((wait) => this.#waits.has(wait) && from - wait.since >= namingMs);
    if (late.length === 0) return;
    const deleted = await this.#sql<{ id: number }[]>`
      delete from revocations where id = any (${late.map(({ id }) => id)}::int8[]) and token is null returning id`;
    this.#settle(late, deleted, false);
    // a row that was not deleted got its token meanwhile
    this.#settle(late, late, true);
  }

  #settle(waits: readonly Wait[], found: readonly { readonly id: number }[], named: boolean): void {
    const ids = new Set(found.map(({ id }) => id));
    for (const wait of waits) if (ids.has(wait.id) && this.#waits.delete(wait)) wait.resolve(named);
  }

  /** Short while the youngest wait is young: most tokens are named within milliseconds. */
  #pauseMs(): number {
    const youngest = Math.max(...[...this.#waits].map(({ since }) => since));
    return Math.min(longestPauseMs, Math.max(firstPauseMs, (performance.now() - youngest) / 2));
  }
}
