/**
 * node --import tsx bench/rest.ts [--seconds 5] [--rounds 3] [--main OTHER/dist/main.js]     (needs `wrk`; `npm run build` first)
 * REST side by side. Pages of 20 messages are against Express and Fastify with the same query. Stored messages are against
 * their inserts, and against the HTTP API of Centrifugo. Then k6 sends 1,000 requests a second to Parley alone. `npm ci` in
 * bench/peers/rest installs Express and Fastify. Centrifugo and k6 are found in the PATH or in the folder of Go.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { homedir, loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import postgres from 'postgres';
import { freePort, Lab } from './lab.ts';
import { openPostgres, seed, type Database } from './postgres.ts';
import { startParley, token } from './servers.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values: args } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
    main: { type: 'string', default: join(root, 'dist/main.js') },
  },
});
const connections = 50;
/** 5,000 messages at once would be more than the slowest server stores in the time limit of `wrk`. */
const batchConnections = 8;
/** Messages go to one room after another, as bench/peers/insert.ts sends them. */
const rooms = Array.from({ length: 100 }, (_, n) => `naive-${n}`);
const text = 'x'.repeat(100);

interface Load {
  readonly method: 'GET' | 'POST';
  /** `ROOM` is replaced by the name of a room. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Messages that one request stores. */
  readonly messages?: number;
}

interface Subject {
  readonly name: string;
  readonly load: Load;
  readonly port: number;
}

interface Row {
  readonly name: string;
  readonly unit: string;
  readonly connections: number;
  readonly subjects: readonly Subject[];
}

const lab = await Lab.open();
const database = await openPostgres();
if (typeof database === 'string') throw new Error(database);
try {
  console.log(`load before: ${loadavg()[0]?.toFixed(2)}; ${database.settings}`);
  const all = await rowsOf(database);
  for (const row of all.rows) await compare(row);
  await atRate(all.parley);
  console.log(`load after: ${loadavg()[0]?.toFixed(2)}`);
} finally {
  await lab.close();
  await database.stop();
}

async function rowsOf(on: Database): Promise<{ rows: Row[]; parley: number }> {
  const build = { main: args.main, nodeFlags: [] };
  const { port: parley } = await startParley(lab, build, on.url, { PARLEY_API_TIERS: 'off' });
  const members = rooms.flatMap((room) => ['user-0', 'user-1'].map((user) => ({ room, user })));
  await seed(on, members);
  await makeTables(on);
  const express = await startFramework('express', on);
  const fastify = await startFramework('fastify', on);
  const memory = await startCentrifugo({});
  const stored = await startCentrifugo({
    CENTRIFUGO_BROKER_ENABLED: 'true',
    CENTRIFUGO_BROKER_TYPE: 'postgres',
    CENTRIFUGO_BROKER_POSTGRES_DSN: (await on.another()).url,
  });
  const json = { 'Content-Type': 'application/json' };
  const own = { Authorization: `Bearer ${token('user-0')}` };
  const message = JSON.stringify({ body: { text } });
  const single = { method: 'POST', path: '/rooms/ROOM/messages', headers: json, body: message } as const;
  const ofParley = { ...single, path: `/api/v1${single.path}`, headers: { ...json, ...own } };
  const publication = { channel: 'ROOM', data: { text } };
  const centrifugo = { method: 'POST', path: '/api/publish', headers: { ...json, 'X-API-Key': 'key' } } as const;
  const one = { ...centrifugo, body: JSON.stringify(publication) };
  const batch = {
    ...centrifugo,
    path: '/api/batch',
    body: JSON.stringify({
      commands: rooms.map((room) => ({ publish: { channel: room, data: { text } } })),
      parallel: true,
    }),
    messages: rooms.length,
  };
  const parleyBatch = {
    ...ofParley,
    path: '/api/v1/publish',
    body: JSON.stringify({ messages: rooms.map((room) => ({ room, body: { text } })) }),
    messages: rooms.length,
  };
  await fill(parley, parleyBatch);
  const pagesOf = (room: string): Subject[] => {
    const page = `/rooms/${room}/messages?limit=20`;
    return [
      { name: 'Parley', port: parley, load: { method: 'GET', path: `/api/v1${page}`, headers: own } },
      { name: 'Express', port: express, load: { method: 'GET', path: page, headers: {} } },
      { name: 'Fastify', port: fastify, load: { method: 'GET', path: page, headers: {} } },
    ];
  };
  const rows: Row[] = [
    { name: 'a page of 20 messages', unit: 'requests/s', connections, subjects: pagesOf('naive-0') },
    { name: 'pages of 20 messages, of 100 rooms in turn', unit: 'requests/s', connections, subjects: pagesOf('ROOM') },
    {
      name: 'stored messages, one a request',
      unit: 'messages/s',
      connections,
      subjects: [
        { name: 'Parley', port: parley, load: ofParley },
        { name: 'Express', port: express, load: single },
        { name: 'Fastify', port: fastify, load: single },
        ...(stored === undefined ? [] : [{ name: 'Centrifugo, Postgres', port: stored, load: one }]),
        ...(memory === undefined ? [] : [{ name: 'Centrifugo, memory', port: memory, load: one }]),
      ],
    },
    {
      name: 'stored messages, 100 a request',
      unit: 'messages/s',
      connections: batchConnections,
      subjects: [
        { name: 'Parley', port: parley, load: parleyBatch },
        ...(stored === undefined ? [] : [{ name: 'Centrifugo, Postgres', port: stored, load: batch }]),
        ...(memory === undefined ? [] : [{ name: 'Centrifugo, memory', port: memory, load: batch }]),
      ],
    },
  ];
  return { rows, parley };
}

async function makeTables(on: Database): Promise<void> {
  const sql = postgres(on.url, { max: 1, onnotice: () => undefined });
  await sql`create schema if not exists naive`;
  await sql`create table naive.rooms (id text collate "C" primary key, last_seq bigint not null default 0) with (fillfactor = 70)`;
  await sql`create table naive.messages (
    room_id text collate "C" not null, seq bigint not null, id uuid not null, sender_id text not null, body jsonb,
    created_at timestamptz not null default clock_timestamp(), primary key (room_id, seq), unique (room_id, id))`;
  await sql`insert into naive.rooms (id) select unnest(${rooms}::text[])`;
  await sql.end({ timeout: 1 });
}

async function startFramework(name: string, on: Database): Promise<number> {
  const folder = join(root, 'bench/peers/rest');
  if (!existsSync(join(folder, 'node_modules'))) throw new Error('Run `npm ci` in bench/peers/rest first.');
  const port = await freePort();
  await lab.start(process.execPath, [join(folder, 'server.js'), name, String(port), on.url]).line(20_000);
  return port;
}

/** @returns undefined: this machine has no Centrifugo. History is kept, as Parley keeps its messages. */
async function startCentrifugo(env: Record<string, string>): Promise<number | undefined> {
  const program = findProgram('centrifugo');
  if (program === undefined) {
    console.log('Centrifugo is left out: `go install github.com/centrifugal/centrifugo/v6@latest` installs it.');
    return undefined;
  }
  const port = await freePort();
  lab.start(program, [], {
    cwd: lab.folder,
    env: {
      CENTRIFUGO_HTTP_SERVER_ADDRESS: '127.0.0.1',
      CENTRIFUGO_HTTP_SERVER_PORT: String(port),
      CENTRIFUGO_HTTP_API_KEY: 'key',
      CENTRIFUGO_HEALTH_ENABLED: 'true',
      CENTRIFUGO_LOG_LEVEL: 'error',
      CENTRIFUGO_CHANNEL_WITHOUT_NAMESPACE_HISTORY_SIZE: '1000000',
      CENTRIFUGO_CHANNEL_WITHOUT_NAMESPACE_HISTORY_TTL: '1h',
      ...env,
    },
  });
  for (const until = Date.now() + 20_000; Date.now() < until; await sleep(100)) {
    const answer = await fetch(`http://127.0.0.1:${port}/health`).catch(() => undefined);
    if (answer?.ok === true) return port;
  }
  throw new Error('Centrifugo was not ready within 20 s');
}

function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(':'), join(homedir(), 'go/bin')];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** Forty messages in each room. */
async function fill(port: number, { method, path, headers, body = '' }: Load): Promise<void> {
  for (let n = 0; n < 40; n++) {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers, body });
    if (!answer.ok) throw new Error(await answer.text());
  }
}

async function compare({ name, unit, connections: at, subjects }: Row): Promise<void> {
  console.log(`\n${name}, ${at} connections`);
  const measured = new Map<string, number[]>(subjects.map((subject) => [subject.name, []]));
  for (let round = 0; round < Number(args.rounds); round++)
    for (const subject of subjects) measured.get(subject.name)?.push(await measure(subject, at));
  const [first] = measured.values();
  for (const [subject, rates] of measured) {
    const ratios = rates.map((rate, n) => (first?.[n] ?? 0) / rate);
    const range = `${Math.min(...ratios).toFixed(1)} to ${Math.max(...ratios).toFixed(1)}`;
    console.log(
      `  ${subject.padEnd(22)} ${median(rates).toFixed(0).padStart(8)} ${unit}; Parley is ${median(ratios).toFixed(1)} × (${range})`,
    );
  }
}

async function measure({ name, port, load }: Subject, at: number): Promise<number> {
  const script = await lab.file('load.lua', [
    `local names = { ${rooms.map((room) => JSON.stringify(room)).join(', ')} }`,
    'local at = 0',
    `local path, body = ${quoted(load.path)}, ${quoted(load.body ?? '')}`,
    `local headers = { ${Object.entries(load.headers)
      .map(([header, value]) => `[ ${quoted(header)} ] = ${quoted(value)}`)
      .join(', ')} }`,
    'request = function()',
    '  at = at % #names + 1',
    "  return wrk.format('" + load.method + "', path:gsub('ROOM', names[at]), headers, (body:gsub('ROOM', names[at])))",
    'end',
  ]);
  const wrk = (seconds: string): string =>
    execFileSync(
      'wrk',
      ['-t1', `-c${at}`, `-d${seconds}s`, '--timeout', '30s', '-s', script, `http://127.0.0.1:${port}`],
      { encoding: 'utf8' },
    );
  wrk('1');
  // a batch of a slow server takes seconds
  const report = wrk(String(Number(args.seconds) * (load.messages === undefined ? 1 : 3)));
  if (/Non-2xx|Socket errors/.test(report)) throw new Error(`${name}: ${report}`);
  return Number(/Requests\/sec:\s+([\d.]+)/.exec(report)?.[1]) * (load.messages ?? 1);
}

function quoted(value: string): string {
  return `[==[${value}]==]`;
}

function median(all: readonly number[]): number {
  return all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)] ?? 0;
}

async function atRate(port: number): Promise<void> {
  const k6 = findProgram('k6');
  if (k6 === undefined) return console.log('\nk6 is left out: `sh k6/install.sh` installs it.');
  const summary = join(lab.folder, 'k6.json');
  const env = { URL: `http://127.0.0.1:${port}`, TOKEN: token('user-0'), ROOM: 'naive-0', SECONDS: '20' };
  const settings = Object.entries(env).flatMap(([name, value]) => ['-e', `${name}=${value}`]);
  execFileSync(
    k6,
    ['run', '--quiet', '--summary-export', summary, ...settings, join(root, 'bench/client/rest-rate.js')],
    {
      stdio: 'ignore',
    },
  );
  const { metrics } = JSON.parse(readFileSync(summary, 'utf8')) as {
    metrics: Record<string, Readonly<Record<string, number>>>;
  };
  const times = metrics['http_req_duration'];
  console.log(
    `\nParley at 1,000 requests/s by k6: ${metrics['http_reqs']?.['rate']?.toFixed(0)} requests/s, ` +
      `p50 ${times?.['p(50)']?.toFixed(1)}, p95 ${times?.['p(95)']?.toFixed(1)}, p99 ${times?.['p(99)']?.toFixed(1)} ms, ` +
      `failed ${((metrics['http_req_failed']?.['value'] ?? 1) * 100).toFixed(3)} %, ` +
      `not sent ${metrics['dropped_iterations']?.['count'] ?? 0}`,
  );
}
