/**
 * node --import tsx bench/data.ts [--rows 10000000] [--times 200] [--database URL] [--only TEXT] [--plans FILE]
 *
 * Makes a data set (test/support/data-set.ts) in a separate Postgres: 10 million messages take some 12 minutes, and 10 GB of
 * the temporary folder. Then the modules of the server run every command that reads, one at a time on one connection, with
 * their JSON. The figures are p50 and p95 of so many runs with different parameters. Then each command runs once more under
 * auto_explain. Its plans show the blocks that were read, and tables that were read whole.
 *
 * With `--database` the data set is made there, or found there and used again, and stays. The URL must be that of a superuser,
 * for auto_explain. Exits with 1 if a p95 passes 10 ms or a large table is read whole.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { exportRooms } from '../src/transfer/export.ts';
import { createClient } from '../src/storage/client.ts';
import { planning } from '../src/storage/database.ts';
import { migrate } from '../src/storage/migrate.ts';
import { findDataSet, makeDataSet } from '../test/support/data-set.ts';
import { readsOf } from '../test/support/reads.ts';
import { openPostgres } from './postgres.ts';

const { values: args } = parseArgs({
  options: {
    rows: { type: 'string', default: '10000000' },
    times: { type: 'string', default: '200' },
    database: { type: 'string' },
    only: { type: 'string' },
    plans: { type: 'string' },
  },
});
const times = Number(args.times);
const targetMs = 10;
const largeTables =
  /Seq Scan on (messages|message_search|members|rooms|users|mentions|reactions|threads|thread_follows)\b/;

const service = args.database === undefined ? await openPostgres() : undefined;
if (typeof service === 'string') throw new Error(service);
const url = service?.url ?? args.database ?? '';
const notices: string[] = [];
let backend = 0;
/** Sessions with the settings of the server. The statements that make the data set use the planner's own. */
const connect = (max: number, settings: object = planning) =>
  createClient(url, {
    max,
    connection: { ...settings, statement_timeout: 0 },
    onnotice: ({ message }) => void notices.push(message ?? ''),
  });
const sql = connect(1);
try {
  await migrate(sql);
  const set = (await findDataSet(sql)) ?? (await make());
  await sizes();
  const [session] = await sql<{ pid: number }[]>`select pg_backend_pid() as pid`;
  backend = session?.pid ?? 0;
  console.log(`\n300 million additions take ${spin()} ms here and now.`);
  const misses: string[] = [];
  const plans: string[] = [];
  const reads = (await readsOf(sql, set)).filter(({ command, of }) => `${command}: ${of}`.includes(args.only ?? ''));
  console.log(
    `\n| command | of | p50, ms | p95, ms | on a processor: p50 | p95 | blocks |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |`,
  );
  for (const { command, of, run } of reads) {
    const [took, worked]: [number[], number[]] = [[], []];
    for (let n = 0; n < times; n++) {
      const [from, before] = [performance.now(), processorMs()];
      await run();
      took.push(performance.now() - from);
      worked.push(processorMs() - before);
    }
    const figures = [percentile(took, 0.5), percentile(took, 0.95), percentile(worked, 0.5), percentile(worked, 0.95)];
    const p95 = figures[1] ?? 0;
    const { texts, blocks } = await explained(run);
    const whole = texts.find((text) => largeTables.test(text));
    const name = `${command}: ${of}`;
    if (whole !== undefined) misses.push(`${name}: ${largeTables.exec(whole)?.[0]}`);
    if (p95 > targetMs) misses.push(`${name}: p95 ${p95.toFixed(1)} ms`);
    plans.push(`## ${name}\n\n${texts.join('\n\n')}\n`);
    console.log(`| ${command} | ${of} | ${figures.map((ms) => ms.toFixed(2)).join(' | ')} | ${blocks} |`);
  }
  await exportPages(set.samples[2]?.id ?? '');
  if (args.plans !== undefined) writeFileSync(args.plans, plans.join('\n'));
  console.log(
    misses.length === 0 ? '\nAll within 10 ms, no large table read whole.' : `\nOver the limit:\n${misses.join('\n')}`,
  );
  process.exitCode = misses.length === 0 ? 0 : 1;
} finally {
  await sql.end();
  await service?.stop();
}

async function make() {
  const from = performance.now();
  const say = (text: string): void => console.log(`${((performance.now() - from) / 1000).toFixed(0)} s: ${text}`);
  const pool = connect(2, {});
  try {
    const set = await makeDataSet(pool, { messages: Number(args.rows), atOnce: 2, say });
    await pool`vacuum analyze`;
    say('vacuumed and analyzed');
    return set;
  } finally {
    await pool.end();
  }
}

function percentile(of: readonly number[], share: number): number {
  return of.toSorted((a, b) => a - b)[Math.ceil(of.length * share) - 1] ?? 0;
}

/**
 * The processor time of this process and its Postgres session, in milliseconds. On a shared machine, processor time is nearer
 * to the time of a command on a quiet machine than the elapsed time.
 */
function processorMs(): number {
  const own = process.cpuUsage();
  let session = 0;
  try {
    session = Number(readFileSync(`/proc/${backend}/schedstat`, 'utf8').split(' ')[0]) / 1e6;
  } catch {
    // the database is on another machine
  }
  return session + (own.user + own.system) / 1000;
}

/** The speed of the machine at the moment, for comparisons. */
function spin(): number {
  const from = performance.now();
  let sum = 0;
  for (let n = 0; n < 300_000_000; n++) sum = (sum + n * 7) | 0;
  const ms = Math.round(performance.now() - from);
  return sum === 0 ? 0 : ms;
}

async function sizes(): Promise<void> {
  const rows = await sql<{ table: string; rows: number; heap: string; index: string | null; size: string }[]>`
    select c.relname as table, greatest(c.reltuples, 0)::bigint as rows, pg_size_pretty(pg_table_size(c.oid)) as heap,
      i.relname as index, pg_size_pretty(pg_relation_size(i.oid)) as size
    from pg_class c left join pg_index x on x.indrelid = c.oid left join pg_class i on i.oid = x.indexrelid
    where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace and pg_total_relation_size(c.oid) > 4 * 1024 * 1024
      and c.relname not like 'data_set%'
    order by pg_total_relation_size(c.oid) desc, pg_relation_size(i.oid) desc`;
  console.log('\n| table | rows | size | index | size |\n| --- | ---: | ---: | --- | ---: |');
  let last = '';
  for (const { table, rows: count, heap, index, size } of rows) {
    const head = table === last ? '| | | ' : `| ${table} | ${count.toLocaleString('en')} | ${heap} `;
    console.log(`${head}| ${index ?? ''} | ${size} |`);
    last = table;
  }
}

/** The statements of one run, also those inside of functions, and the blocks that they read. */
async function explained(run: () => Promise<unknown>): Promise<{ texts: string[]; blocks: number }> {
  await sql`load 'auto_explain'`;
  await sql`
    select set_config(name, value, false) from (values
      ('auto_explain.log_analyze', 'on'), ('auto_explain.log_buffers', 'on'), ('auto_explain.log_nested_statements', 'on'),
      ('auto_explain.log_min_duration', '0'), ('client_min_messages', 'log')) as s (name, value)`;
  notices.length = 0;
  await run();
  const texts = notices.filter((text) => text.includes('plan:'));
  await sql`select set_config('auto_explain.log_min_duration', '-1', false), set_config('client_min_messages', 'notice', false)`;
  // the blocks of a statement include those of its nested statements
  const blocks = texts.map((text) => {
    const [, hit = '0'] = /Buffers: shared(?: hit=(\d+))?/.exec(text) ?? [];
    const [, read = '0'] = /Buffers: shared(?: hit=\d+)? read=(\d+)/.exec(text) ?? [];
    return Number(hit) + Number(read);
  });
  return { texts, blocks: Math.max(0, ...blocks) };
}

/** Pages of 500 messages with their mentions, reactions and marks. */
async function exportPages(room: string): Promise<void> {
  const took: number[] = [];
  let from = performance.now();
  for (let n = 0; n < 5; n++) {
    await exportRooms(sql, { room, since: undefined }, (text) => {
      if (text.includes('"type":"message"')) took.push(performance.now() - from);
      from = performance.now();
      return Promise.resolve();
    });
  }
  const figures = [percentile(took, 0.5), percentile(took, 0.95)].map((ms) => ms.toFixed(2)).join(' | ');
  console.log(`| export | a page of 500 messages | ${figures} | | | |`);
}
