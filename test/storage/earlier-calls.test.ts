/** Nodes of the release before call the functions of this one while a rolling upgrade goes on. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type postgres from 'postgres';
import { migrate } from '../../src/storage/migrate.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createEarlierDatabase } from '../support/earlier.ts';
import { earlierCalls, type EarlierCall } from './earlier-calls.ts';

let earlier: TestDatabase;
let present: TestDatabase;
beforeAll(async () => {
  [earlier, present] = await Promise.all([createEarlierDatabase('0028'), createTestDatabase({ empty: true })]);
  await migrate(present.sql);
});
afterAll(() => Promise.all([earlier.drop(), present.drop()]));

interface Shape {
  signature: string;
  kind: string | null;
  many: boolean | null;
  result: string | null;
}

/** Arguments and results of the functions that those nodes call, as the database has them. */
async function shapes(sql: postgres.Sql): Promise<readonly Shape[]> {
  const signatures = [...new Set(earlierCalls.flatMap((call) => call.signatures))];
  return sql<Shape[]>`
    select s.signature, p.prokind as kind, p.proretset as many, pg_get_function_result(p.oid) as result
    from unnest(${signatures}::text[]) with ordinality as s (signature, n)
    left join pg_proc p on p.oid = to_regprocedure(s.signature) order by s.n`;
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

/** Without times, which differ between two databases. */
function steady(value: unknown): unknown {
  if (typeof value === 'number') return value > 1e12 ? 'time' : value;
  if (typeof value === 'string') return value.replaceAll(/\d{13}/g, 'time');
  if (Array.isArray(value)) return value.map(steady);
  if (isObject(value)) return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, steady(one)]));
  return value;
}

async function answerOf(sql: postgres.Sql, { query, values }: EarlierCall): Promise<unknown> {
  const rows = await sql.unsafe(query, [...values]);
  return { columns: rows.columns.map(({ name, type }) => `${name} ${type}`), rows: rows.map((row) => steady(row)) };
}

it('has each function that nodes of migration 0028 call, with the same arguments and result', async () => {
  const before = await shapes(earlier.sql);
  expect(before.filter(({ result }) => result === null)).toEqual([]);
  expect(await shapes(present.sql)).toEqual(before);
});

it('answers the calls of nodes of migration 0028 as their own schema does', async () => {
  for (const call of earlierCalls) {
    const expected = await answerOf(earlier.sql, call);
    expect(await answerOf(present.sql, call), call.query).toEqual(expected);
  }
});
