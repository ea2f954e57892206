/**
 * node --import tsx bench/cache.ts [--seconds 20] [--users 200] [--nodes 2] [--main OTHER/dist/main.js]     (`npm run build` first)
 * A back end with an API key sends the chat mix of k6/chat.js over REST for its users. A message comes with ten pages of
 * history. Read marks, edits, reactions, visits to other rooms, profiles and searches are rarer. The requests go to all nodes
 * by turns. At the end the report has the reads of the cache by kind, from the metrics of the nodes, and their hit rate. Then
 * it reads profiles that are in the memory of each node, one at a time, for the times of cached answers.
 */
import { execFileSync } from 'node:child_process';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { parseMetrics } from '../test/support/metrics.ts';
import { Lab } from './lab.ts';
import { openPostgres, seed } from './postgres.ts';
import { startRedis } from './redis.ts';
import { startParley } from './servers.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values: args } = parseArgs({
  options: {
    seconds: { type: 'string', default: '20' },
    users: { type: 'string', default: '200' },
    nodes: { type: 'string', default: '2' },
    main: { type: 'string', default: join(root, 'dist/main.js') },
  },
});
const roomSize = 20;
const visitRooms = 5;
const users = Array.from({ length: Number(args.users) }, (_, n) => `user-${n}`);
const rooms = Math.ceil(users.length / roomSize);
/** Users that send at the same time. */
const atOnce = 16;

interface Request {
  readonly method: string;
  readonly path: string;
  readonly body?: object;
  /** Absent: the key acts as the owner of the room. */
  readonly user?: string;
}

interface Person {
  readonly id: string;
  readonly room: string;
  /** The last message that the user sent. */
  said: number | undefined;
}

const any = (below: number): number => Math.floor(Math.random() * below);
const roomOf = (n: number): string => `room-${Math.floor(n / roomSize)}`;
const visited = (): string => `visit-${any(visitRooms)}`;

/** The steps of a user for one message, each as often as in the chat of k6. */
async function turn(person: Person, send: (request: Request) => Promise<Record<string, unknown>>): Promise<void> {
  const { id: user, room } = person;
  const messages = `/rooms/${room}/messages`;
  for (let reads = 0; reads < 10; reads++) await send({ method: 'GET', path: `${messages}?limit=20`, user });
  const sent = await send({ method: 'POST', path: messages, body: { body: { text: 'hello' } }, user });
  person.said = Number(sent['seq']);
  const { said: seq } = person;
  if (Math.random() < 0.5) await send({ method: 'PUT', path: `/rooms/${room}/read`, body: { seq }, user });
  if (Math.random() < 0.1) await send({ method: 'PATCH', path: `${messages}/${seq}`, body: { body: 'edited' }, user });
  if (Math.random() < 0.2) await send({ method: 'PUT', path: `${messages}/${seq}/reactions/%F0%9F%91%8D`, user });
  if (Math.random() < 0.2) await send({ method: 'GET', path: `/users/${users[any(users.length)]}` });
  if (Math.random() < 0.2) await send({ method: 'GET', path: `/rooms/${room}` });
  if (Math.random() < 0.05) await send({ method: 'GET', path: `/search/rooms?query=room%20${any(rooms)}`, user });
  if (Math.random() < 0.05) await visit(user, send);
  if (Math.random() < 0.005) {
    await send({ method: 'PATCH', path: `/users/${user}`, body: { name: `User ${any(1000)}` } });
  }
}

async function visit(user: string, send: (request: Request) => Promise<unknown>): Promise<void> {
  const room = visited();
  await send({ method: 'POST', path: `/rooms/${room}/join`, user });
  await send({ method: 'GET', path: `/rooms/${room}/messages?limit=20`, user });
  await send({ method: 'POST', path: `/rooms/${room}/leave`, user });
}

const lab = await Lab.open();
const database = await openPostgres();
if (typeof database === 'string') throw new Error(database);
try {
  const redis = await startRedis(lab);
  const build = { main: args.main, nodeFlags: [] };
  const settings = { REDIS_URL: redis.url, PARLEY_API_TIERS: 'off' };
  const ports: number[] = [];
  for (let n = 0; n < Number(args.nodes); n++) {
    ports.push((await startParley(lab, build, database.url, settings)).port);
    if (n > 0) continue;
    const ownRooms = users.map((user, i) => ({ room: roomOf(i), user }));
    const visitedRooms = Array.from({ length: visitRooms }, (_, i) => ({ room: `visit-${i}`, user: 'host' }));
    await seed(database, [...ownRooms, ...visitedRooms]);
  }
  const key = makeKey(database.url, redis.url);
  console.log(`load before: ${loadavg()[0]?.toFixed(2)}; ${database.settings}; ${ports.length} nodes`);
  const send = sender(ports, key);
  await drive(send);
  await report(ports);
  await readAlone(ports, send);
  console.log(`load after: ${loadavg()[0]?.toFixed(2)}`);
} finally {
  await lab.close();
  await database.stop();
}

function makeKey(databaseUrl: string, redisUrl: string): string {
  const scopes = 'rooms,members,users,publish,messages:read';
  const text = execFileSync(process.execPath, [args.main, 'keys', 'create', '--name', 'bench', '--scopes', scopes], {
    env: { ...process.env, DATABASE_URL: databaseUrl, REDIS_URL: redisUrl },
    encoding: 'utf8',
  });
  const found = /pk_\w+/.exec(text)?.[0];
  if (found === undefined) throw new Error(`No key in: ${text}`);
  return found;
}

interface Sender {
  readonly times: number[];
  /** The times of the answers that are a cached value. */
  readonly cached: number[];
  readonly failures: Map<number, number>;
  readonly send: (request: Request) => Promise<Record<string, unknown>>;
}

function sender(ports: readonly number[], key: string): Sender {
  const times: number[] = [];
  const cached: number[] = [];
  const failures = new Map<number, number>();
  let next = 0;
  const send = async ({ method, path, body, user }: Request): Promise<Record<string, unknown>> => {
    const from = performance.now();
    const response = await fetch(`http://127.0.0.1:${ports[next++ % ports.length]}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(user === undefined ? {} : { 'parley-user': user }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const ms = performance.now() - from;
    times.push(ms);
    if (isCached({ method, path })) cached.push(ms);
    if (!response.ok) failures.set(response.status, (failures.get(response.status) ?? 0) + 1);
    return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
  };
  return { times, cached, failures, send };
}

function isCached({ method, path }: Pick<Request, 'method' | 'path'>): boolean {
  return method === 'GET' && path.startsWith('/users/');
}

function shares(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): string => `${(sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(1)} ms`;
  return `${times.length} requests; p50 ${at(0.5)}, p95 ${at(0.95)}, p99 ${at(0.99)}`;
}

async function drive({ times, failures, send }: Sender): Promise<void> {
  const until = performance.now() + Number(args.seconds) * 1000;
  const people = users.map((id, n): Person => ({ id, room: roomOf(n), said: undefined }));
  const worker = async (): Promise<void> => {
    while (performance.now() < until) await turn(people[any(people.length)] as Person, send);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  console.log(`all            ${shares(times)}; failed: ${JSON.stringify([...failures])}`);
}

/**
 * Profiles that each node has in its memory, one request at a time. Loads of the database are counted, and printed. Between
 * them `/health`, which does no work, shows how much of the time is that of the machine and of the client.
 */
async function readAlone(ports: readonly number[], { cached, send }: Sender): Promise<void> {
  const bare: number[] = [];
  const round = async (): Promise<void> => {
    for (const user of users) {
      await send({ method: 'GET', path: `/users/${user}` });
      const from = performance.now();
      await (await fetch(`http://127.0.0.1:${ports[bare.length % ports.length]}/health`)).text();
      bare.push(performance.now() - from);
    }
    // the nodes take turns: without one more request, each node of two would get the same users in every round
    await send({ method: 'GET', path: `/users/${users[0]}` });
  };
  for (const _ of ports) await round();
  const loads = async (): Promise<number> => (await readCounts(ports)).get('profile')?.get('loaded') ?? 0;
  const before = await loads();
  cached.length = 0;
  bare.length = 0;
  for (let n = 0; n < 5; n++) await round();
  console.log(`cached, alone  ${shares(cached)}; loads: ${(await loads()) - before}`);
  console.log(`/health       ${shares(bare)}`);
}

/** Where the reads of each kind got their values, over all nodes. */
async function readCounts(ports: readonly number[]): Promise<Map<string, Map<string, number>>> {
  const counts = new Map<string, Map<string, number>>();
  for (const port of ports) {
    const values = parseMetrics(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text());
    for (const [series, value] of values) {
      const [, kind = '', result = ''] = /^parley_cache_reads_total\{kind="(\w+)",result="(\w+)"\}$/.exec(series) ?? [];
      if (kind === '') continue;
      const ofKind = counts.get(kind) ?? new Map<string, number>();
      counts.set(kind, ofKind.set(result, (ofKind.get(result) ?? 0) + value));
    }
  }
  return counts;
}

/** A reader that joined a load counts as a miss. */
async function report(ports: readonly number[]): Promise<void> {
  const counts = await readCounts(ports);
  const all = new Map<string, number>();
  for (const results of counts.values()) for (const [name, n] of results) all.set(name, (all.get(name) ?? 0) + n);
  for (const [kind, results] of [...counts, ['all', all] as const]) {
    const total = [...results.values()].reduce((sum, n) => sum + n, 0);
    const hits = ['local', 'shared', 'stale'].reduce((sum, name) => sum + (results.get(name) ?? 0), 0);
    const rate = total === 0 ? '-' : `${((100 * hits) / total).toFixed(2)} %`;
    console.log(
      `${kind.padEnd(14)} ${String(total).padStart(8)} reads  hits ${rate.padStart(8)}  ${JSON.stringify([...results])}`,
    );
  }
}
