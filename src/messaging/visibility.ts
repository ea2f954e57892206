import type { postgres } from '../storage/sql.ts';
import { Batcher } from './batcher.ts';

export interface ViewerAndUser {
  readonly viewer: string;
  readonly user: string;
}

/** Questions in one query, each of up to a page of pairs. */
const batch = { maxBatch: 50, maxWaiting: 20_000 };

/** Who may see whether somebody is there: themselves, and those with whom they share a room. */
export class Visibility {
  readonly #sql: postgres.Sql;
  readonly #batcher: Batcher<readonly ViewerAndUser[], boolean[]>;

  constructor(sql: postgres.Sql) {
    this.#sql = sql;
    this.#batcher = new Batcher((questions) => this.#ask(questions), batch);
  }

  /** One answer for each pair, in order. */
  of(pairs: readonly ViewerAndUser[]): Promise<boolean[]> {
    return this.#batcher.add(pairs);
  }

  async #ask(questions: (readonly ViewerAndUser[])[]): Promise<boolean[][]> {
    const pairs = questions.flat();
    const rows = await this.#sql<{ n: number }[]>`
      select n from sharing_a_room(
        ${pairs.map(({ viewer }) => viewer)}::text[], ${pairs.map(({ user }) => user)}::text[]) as n`;
    const visible = new Set(rows.map(({ n }) => n - 1));
    let at = 0;
    return questions.map((question) => question.map(() => visible.has(at++)));
  }
}
