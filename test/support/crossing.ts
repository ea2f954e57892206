/** Two statements that meet in the middle, behind a row that the test holds. */
import type postgres from 'postgres';
import { until } from './until.ts';

/** The test holds a row, and the two runs meet it. */
export type Crossing = [
  held: (tx: postgres.TransactionSql) => Promise<unknown>,
  first: () => Promise<unknown>,
  second: () => Promise<unknown>,
];

/** A statement that skips held rows and retries neither waits nor ends: it has met the row by then. */
const pollMs = 500;

/** Runs both while the test holds its row, each up to where it waits or to its end. @throws what either of them throws */
export async function crossed(sql: postgres.Sql, ...[held, first, second]: Crossing): Promise<void> {
  const done: Promise<unknown>[] = [];
  await sql.begin(async (tx) => {
    await held(tx);
    for (const work of [first, second]) {
      let ended = false;
      const before = await waiting(sql);
      const run = work().finally(() => (ended = true));
      run.catch(() => {}); // it is awaited below
      done.push(run);
      const from = performance.now();
      await until(
        'it waits, has ended, or retries',
        async () => ended || (await waiting(sql)) > before || performance.now() - from > pollMs,
      );
    }
  });
  await Promise.all(done);
}

async function waiting(sql: postgres.Sql): Promise<number> {
  const [row] = await sql<[{ count: number }]>`
    select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
  return row.count;
}
