/**
 * npm run bench [-- --quick] [--only fanout,echo] [--peers uws,nats] [--seconds 0.3] [--json FILE] [--charts FOLDER]
 *   [--profile FOLDER] [--main FILE]
 * One table of Parley next to its peers, all driven by the same load client in one run. bench/README.md explains it.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { buildClient, buildPeers } from './client.ts';
import type { Context, Scale } from './context.ts';
import { document } from './document.ts';
import { Lab } from './lab.ts';
import { openPostgres, type Database } from './postgres.ts';
import { describeMachine, table, type Results } from './report.ts';
import type { RowResult } from './rounds.ts';
import { connect } from './rows/connect.ts';
import { durable } from './rows/durable.ts';
import { echo, echoCeiling } from './rows/echo.ts';
import {
  fanout,
  fanoutCeiling,
  fanoutLarge,
  fanoutLargeCeiling,
  fanoutSmall,
  fanoutSmallCeiling,
} from './rows/fanout.ts';
import { idle } from './rows/idle.ts';
import { rooms, roomsCeiling } from './rows/rooms.ts';
import { subjects } from './subjects/all.ts';
import type { LeftOut } from './subjects/subject.ts';

const rows: Record<string, ((context: Context) => Promise<RowResult>)[]> = {
  fanout: [fanout, fanoutCeiling],
  fanout10: [fanoutSmall, fanoutSmallCeiling],
  fanout10000: [fanoutLarge, fanoutLargeCeiling],
  rooms: [rooms, roomsCeiling],
  echo: [echo, echoCeiling],
  connect: [connect],
  idle: [idle],
  durable: [durable],
};

const scales = {
  full: {
    quick: false,
    rounds: 5,
    warmup: 0.4,
    seconds: 1.2,
    side: { rounds: 3, warmup: 0.3, seconds: 0.9 },
    idleConnections: 15_000,
    connects: 4000,
    atOnce: { quietMs: 2000, longestMs: 12_000 },
    settled: { quietMs: 40_000, longestMs: 100_000 },
  },
  quick: {
    quick: true,
    rounds: 2,
    warmup: 0.25,
    seconds: 0.5,
    side: { rounds: 1, warmup: 0.25, seconds: 0.5 },
    idleConnections: 3000,
    connects: 1000,
    atOnce: { quietMs: 1000, longestMs: 4000 },
    settled: { quietMs: 5000, longestMs: 15_000 },
  },
} as const satisfies Record<string, Scale>;

/** The longest time of a run, also if a part hangs. */
const longestMs = { full: 1_200_000, quick: 600_000 };

const { values: args } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    peers: { type: 'string' },
    seconds: { type: 'string' },
    json: { type: 'string' },
    charts: { type: 'string' },
    profile: { type: 'string' },
    main: { type: 'string', default: join(import.meta.dirname, '../dist/main.js') },
  },
});

function picked(text: string | undefined, all: readonly string[], what: string): readonly string[] {
  const names = text?.split(',') ?? all;
  const unknown = names.filter((name) => !all.includes(name));
  if (unknown.length > 0) {
    console.error(`There is no ${what} ${unknown.join(', ')}; there are ${all.join(', ')}.`);
    process.exit(2);
  }
  return names;
}

const wanted = picked(args.only, Object.keys(rows), 'row');
const peers = picked(
  args.profile === undefined ? args.peers : 'parley',
  [...subjects.map(({ name }) => name), 'insert'],
  'peer',
);
const seconds = args.seconds === undefined ? undefined : Number(args.seconds);
if (seconds !== undefined && !(seconds >= 0.1 && seconds <= 60)) {
  console.error('--seconds has to be between 0.1 and 60.');
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

function scaleOf(scale: Scale): Scale {
  return seconds === undefined ? scale : { ...scale, seconds, side: { ...scale.side, seconds } };
}

/** The subjects that can take part and are selected. Parley always takes part. */
function choose(context: Context): Context {
  const present = context.subjects.filter((subject) => {
    if (subject.name !== 'parley' && !peers.includes(subject.name)) return false;
    const why = subject.missing(context);
    if (why !== undefined) context.leaveOut({ subject: subject.title, why });
    return why === undefined;
  });
  return { ...context, subjects: present };
}

async function measure(context: Context): Promise<Pick<Results, 'results' | 'failed'>> {
  const results: RowResult[] = [];
  const failed: Results['failed'] = [];
  for (const row of wanted) {
    for (const work of rows[row] ?? []) {
      say(row);
      try {
        results.push(await lab.within(() => work(context)));
      } catch (error) {
        if (closing !== undefined) throw error;
        console.error(error);
        failed.push({ row, error: error instanceof Error ? error.message : String(error) });
      }
    }
  }
  return { results, failed };
}

try {
  say('starting Postgres');
  database = await openPostgres();
  if (typeof database === 'string') say(`${database}; Parley runs embedded, and some rows are left out`);
  if (args.profile !== undefined) mkdirSync(args.profile, { recursive: true });
  const leftOut: LeftOut[] = [];
  const context = choose({
    lab,
    scale: scaleOf(scales[args.quick ? 'quick' : 'full']),
    database,
    say,
    subjects,
    inserts: peers.includes('insert'),
    leaveOut: (absent) => void leftOut.push(absent),
    parley: {
      main: resolve(args.main),
      nodeFlags: args.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${resolve(args.profile)}`],
    },
  });
  const versions = Object.assign({}, ...context.subjects.map((subject) => subject.versions?.() ?? {}));
  const machine = describeMachine(database, versions as Record<string, string>);
  const measured = await measure(context);
  const all: Results = { machine, scale: context.scale, seconds: performance.now() / 1000, leftOut, ...measured };
  console.log(table(all));
  if (args.json !== undefined) {
    mkdirSync(dirname(resolve(args.json)), { recursive: true });
    writeFileSync(args.json, `${JSON.stringify(all, null, 2)}\n`);
  }
  if (args.charts !== undefined) await document(all, resolve(args.charts));
  if (measured.failed.length > 0) process.exitCode = 1;
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  clearTimeout(alarm);
  await close();
}
