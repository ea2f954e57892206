/**
 * npm run bench [-- --quick] [--only fanout,echo,idle,durable] [--json FILE] [--profile FOLDER]
 *   [--main FILE]
 * One table of Parley next to socket.io, bare uWebSockets.js and one-insert-a-message. bench/README.md explains it.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { buildClient, buildPeers } from './client.ts';
import type { Context, Scale } from './context.ts';
import { Lab } from './lab.ts';
import { openPostgres, type Database } from './postgres.ts';
import { describeMachine, table } from './report.ts';
import type { RowResult } from './rounds.ts';
import { durable } from './rows/durable.ts';
import { echo, echoCeiling } from './rows/echo.ts';
import { fanout, fanoutCeiling } from './rows/fanout.ts';
import { idle } from './rows/idle.ts';

const rows: Record<string, ((context: Context) => Promise<RowResult>)[]> = {
  fanout: [fanout, fanoutCeiling],
  echo: [echo, echoCeiling],
  idle: [idle],
  durable: [durable],
};

const scales = {
  full: { quick: false, rounds: 5, warmup: 0.5, seconds: 1.5, idleConnections: 15_000 },
  quick: { quick: true, rounds: 2, warmup: 0.25, seconds: 0.5, idleConnections: 3000 },
} as const satisfies Record<string, Scale>;

/** Whatever hangs: a run ends. */
const longestMs = { full: 420_000, quick: 180_000 };

const { values: args } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    json: { type: 'string' },
    profile: { type: 'string' },
    main: { type: 'string', default: join(import.meta.dirname, '../dist/main.js') },
  },
});
const wanted = args.only?.split(',') ?? Object.keys(rows);
const unknown = wanted.filter((name) => !(name in rows));
if (unknown.length > 0) {
  console.error(`There is no row ${unknown.join(', ')}; there are ${Object.keys(rows).join(', ')}.`);
  process.exit(2);
}
if (process.platform !== 'linux') {
  console.error('The load client uses epoll and /proc: Linux only. A container will do.');
  process.exit(2);
}
const missing = buildClient();
if (missing !== undefined) {
  console.error(
    `Cannot measure: ${missing}. A client in Node would be slower than the servers, so there is no substitute.`,
  );
  process.exit(2);
}
buildPeers();

const lab = await Lab.open();
let database: Database | string = 'not started';
let closing: Promise<void> | undefined;

function close(): Promise<void> {
  closing ??= (async () => {
    await lab.close();
    if (typeof database !== 'string') await database.stop();
  })();
  return closing;
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => void close().finally(() => process.exit(130)));
}
const alarm = setTimeout(
  () => {
    console.error('The run took too long and was stopped.');
    void close().finally(() => process.exit(1));
  },
  longestMs[args.quick ? 'quick' : 'full'],
);

const say = (text: string): void => console.error(`${(performance.now() / 1000).toFixed(0).padStart(4)} s  ${text}`);

try {
  say('starting Postgres');
  database = await openPostgres();
  const machine = describeMachine(database);
  if (typeof database === 'string') say(`${database}; Parley runs on its embedded one, some rows are left out`);
  if (args.profile !== undefined) mkdirSync(args.profile, { recursive: true });
  const context: Context = {
    lab,
    scale: scales[args.quick ? 'quick' : 'full'],
    database,
    say,
    peers: args.profile === undefined,
    parley: {
      main: resolve(args.main),
      nodeFlags: args.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${resolve(args.profile)}`],
    },
  };
  const results: RowResult[] = [];
  for (const name of wanted) {
    for (const measure of rows[name] ?? []) {
      say(name);
      results.push(await lab.within(() => measure(context)));
    }
  }
  console.log(table(machine, results));
  if (args.json !== undefined) {
    const text = JSON.stringify({ machine, scale: context.scale, seconds: performance.now() / 1000, results }, null, 2);
    writeFileSync(args.json, `${text}\n`);
  }
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  clearTimeout(alarm);
  await close();
}
