/**
 * node --import tsx bench/fresh.ts [--messages 20000] [--rounds 3]
 * The rate of append_messages on a database without statistics, with batches of 100 into one room. The migrations up to 0007
 * and all migrations take turns, each time on a new database. Before 0008 Postgres searched an id by an index with all messages of the
 * room, and kept that plan until the first analyze. Then the rates of both after an analyze.
 */
import { randomUUID } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type postgres from 'postgres';
import { openServer } from '../src/storage/database.ts';
import { migrate } from '../src/storage/migrate.ts';
import { openPostgres } from './postgres.ts';

const { values: args } = parseArgs({
  options: { messages: { type: 'string', default: '20000' }, rounds: { type: 'string', default: '3' } },
});
const batches = Number(args.messages) / 100;
const migrations = join(import.meta.dirname, '../migrations');
const middle = (of: readonly number[]): number => of.toSorted((a, b) => a - b)[of.length >> 1] ?? 0;

const folder = mkdtempSync(join(tmpdir(), 'parley-bench-'));
for (const file of readdirSync(migrations)) if (file < '0008') cpSync(join(migrations, file), join(folder, file));
const rates = {
  before: [] as number[],
  after: [] as number[],
  'before, analyzed': [] as number[],
  'after, analyzed': [] as number[],
};
try {
  for (let round = 0; round < Number(args.rounds); round++) {
    for (const [name, from] of [
      ['before', folder],
      ['after', migrations],
    ] as const) {
      const service = await openPostgres();
      if (typeof service === 'string') throw new Error(service);
      const database = await openServer({ url: service.url, poolSize: 1, statementTimeoutMs: 0 });
      const { sql } = database;
      try {
        await migrate(sql, from);
        await sql`alter table messages set (autovacuum_enabled = off)`; // autovacuum would run within a minute
        await sql`select create_room('r', 'group', 'r', 'u', null, 10)`;
        rates[name].push(await rateOf(sql));
        await sql`analyze`;
        rates[`${name}, analyzed`].push(await rateOf(sql));
      } finally {
        await database.close();
        await service.stop();
      }
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
for (const [name, of] of Object.entries(rates))
  console.log(`${name}: ${Math.round(middle(of))} messages/s (${of.map((rate) => Math.round(rate)).join(', ')})`);
console.log(
  `after is ${(middle(rates.after) / middle(rates.before)).toFixed(1)} × before; analyzed: ${(middle(rates['after, analyzed']) / middle(rates['before, analyzed'])).toFixed(2)} ×`,
);

async function rateOf(sql: postgres.Sql): Promise<number> {
  const from = performance.now();
  for (let n = 0; n < batches; n++) {
    const batch = JSON.stringify(Array.from({ length: 100 }, () => ['r', randomUUID(), 'u', { text: 'hello' }]));
    await sql`select * from append_messages('{r}'::text[], ${batch}::text::jsonb, '{}'::bigint[])`;
  }
  return (batches * 100 * 1000) / (performance.now() - from);
}
