import type { postgres } from '../storage/sql.ts';
import type { Sight } from './sight.ts';
import type { Pair } from './watching.ts';
import { Batcher } from '../storage/batcher.ts';

/** Requests in one query, each of up to a page of pairs. */
const batch = { maxBatch: 50, maxWaiting: 20_000 };

/**
 * Which viewer sees the presence of which user: their own, and that of users with whom they share a room. For a viewer, a
 * user who has blocked the viewer is offline since the block. A viewer who has blocked the user sees no presence of the user.
 */
export class Visibility {
  readonly #sql: postgres.Sql;
  readonly #batcher: Batcher<readonly Pair[], Sight[]>;

  constructor(sql: postgres.Sql) {
    this.#sql = sql;
    this.#batcher = new Batcher((requests) => this.#read(requests), batch);
  }

  /** One answer for each pair, in order. */
  of(pairs: readonly Pair[]): Promise<Sight[]> {
    return this.#batcher.add(pairs);
  }

  async #read(requests: (readonly Pair[])[]): Promise<Sight[][]> {
    const pairs = requests.flat();
    const rows = await this.#sql<{ n: number; at: number | null; ms: number | null }[]>`
      select n, blocked_at as at, blocked_ms as ms from sights(
        ${pairs.map(({ viewer }) => viewer)}::text[], ${pairs.map(({ user }) => user)}::text[])`;
    const sights = new Map<number, Sight>(
      rows.map(({ n, at, ms }) => [n - 1, at === null || ms === null ? 'seen' : { blockedAt: at, agoMs: ms }]),
    );
    let at = 0;
    return requests.map((request) => request.map((): Sight => sights.get(at++) ?? 'none'));
  }
}
