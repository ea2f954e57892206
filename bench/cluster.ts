/**
 * node --import tsx bench/cluster.ts [--connections 15000] [--seconds 5] [--only connections,crossing,nodes] [--json FILE]
 * (build first; Linux, a C compiler, Postgres and Redis; three nodes on one machine, by loopback)
 *
 *   connections  three nodes with as many connections each, authenticated, in three rooms: the connect rate, the memory, the
 *                cost of idle connections, and one message to all of them
 *   crossing     a room over three nodes: delivery on the sender's node and on the others, in the same run
 *   nodes        the same load on one, two and three nodes: the cost of each process
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { readMetrics, total } from '../test/support/metrics.ts';
import { buildClient, LoadClient, type LoadResult } from './client.ts';
import { range } from './context.ts';
import { cpuSeconds, Lab, rssBytes } from './lab.ts';
import { openPostgres, seed, type Database, type Membership } from './postgres.ts';
import { startRedis } from './redis.ts';
import { startParley, token, type Server } from './servers.ts';

const { values: args } = parseArgs({
  options: {
    connections: { type: 'string', default: '15000' },
    seconds: { type: 'string', default: '5' },
    only: { type: 'string', default: 'connections,crossing,nodes' },
    json: { type: 'string' },
  },
});
const seconds = Number(args.seconds);
const perNode = Number(args.connections);
const build = { main: join(import.meta.dirname, '../dist/main.js'), nodeFlags: [] };
const text = 'x'.repeat(100);
const stamped = `42{ack}["message:send",{"room":"{room}","id":"{uuid}","body":{"t":{now},"text":"${text}"}}]`;
const results: Record<string, unknown> = {};
/**
 * All clients of a load, senders and receivers, count the same window, because it begins for all at once. Deliveries of the
 * slow first messages come before the window. Otherwise it would have more deliveries than its messages make.
 */
const window = { warmup: 2, seconds };
const listening = { ...window, senders: 0 };
const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
const rate = (n: number): string => Math.round(n).toLocaleString('en');
const perSecond = (all: readonly LoadResult[], what: 'sent' | 'deliveries'): number =>
  sum(all.map((result) => result[what] / result.seconds));

const missing = buildClient();
if (missing !== undefined) throw new Error(missing);
const lab = await Lab.open();
const database = await openPostgres();
try {
  if (typeof database === 'string') throw new Error(database);
  const parts = { connections, crossing, nodes };
  for (const name of args.only.split(',') as (keyof typeof parts)[]) {
    console.log(`\n${name}`);
    results[name] = await lab.within(() => parts[name](database));
  }
  if (args.json !== undefined) await writeFile(args.json, `${JSON.stringify(results, null, 2)}\n`);
} finally {
  await lab.close();
  if (typeof database !== 'string') await database.stop();
}

interface Cluster {
  readonly servers: readonly Server[];
  readonly redis: { readonly pid: number };
}

async function startCluster(on: Database, count: number, name: string): Promise<Cluster> {
  const redis = await startRedis(lab);
  const env = { REDIS_URL: redis.url, PARLEY_REDIS_PREFIX: `bench-${name}:` };
  const servers: Server[] = [];
  for (let i = 0; i < count; i++) servers.push(await startParley(lab, build, on.url, { ...env, PARLEY_NODE: `n${i}` }));
  return { servers, redis };
}

/** A client of one node for these users. `rooms`: the room that each of them sends to. */
async function clientOf(server: Server, name: string, users: readonly string[], rooms: readonly string[]) {
  return LoadClient.connect(lab, {
    port: server.port,
    serverPid: server.child.pid,
    dialect: 'sio',
    connections: users.length,
    upPrefix: '42["ready"',
    countPrefix: '42["message"',
    tokens: await lab.file(`${name}-tokens`, users.map(token)),
    rooms: await lab.file(`${name}-rooms`, rooms),
    command: stamped,
  });
}

async function connections(on: Database): Promise<object> {
  const users = range(3, (node) => range(perNode, (i) => `u${node}-${i}`));
  const roomCount = Math.max(2, Math.round((3 * perNode) / 50));
  const memberships: Membership[] = users.flat().flatMap((user, i) => [
    { room: 'all', user },
    { room: `c-${i % roomCount}`, user },
    { room: `c-${(i + (roomCount >> 1)) % roomCount}`, user },
  ]);
  const { servers, redis } = await prepared(on, 3, 'connections', memberships);
  const pids = servers.map(({ child }) => child.pid);
  // the first connections compile code and load modules, which is no cost of a connection
  for (const [node, server] of servers.entries()) {
    const first = users[node]?.slice(0, 300) ?? [];
    await (await clientOf(server, `first-${node}`, first, first)).stop();
  }
  await sleep(3000);
  const before = await Promise.all(pids.map(rssBytes));
  const from = performance.now();
  const clients = await Promise.all(
    servers.map((server, node) =>
      clientOf(
        server,
        `all-${node}`,
        users[node] ?? [],
        range(perNode, () => 'all'),
      ),
    ),
  );
  const took = (performance.now() - from) / 1000;
  await sleep(5000);
  const after = await Promise.all(pids.map(rssBytes));
  const each = after.map((bytes, i) => (bytes - (before[i] ?? 0)) / perNode);
  console.log(
    `  ${rate(3 * perNode)} connections up in ${took.toFixed(1)} s: ${rate((3 * perNode) / took)}/s over three nodes`,
  );
  console.log(`  memory of a connection in 3 rooms: ${each.map((bytes) => `${rate(bytes)} B`).join(', ')}`);
  const idle = await cpuOver(10, { nodes: pids, redis: [redis.pid] });
  console.log(
    `  idle: cores of each node ${idle.nodes.map((c) => c.toFixed(3)).join(', ')}; Redis ${idle.redis[0]?.toFixed(3)}`,
  );
  const [sender, ...others] = clients as [LoadClient, LoadClient, LoadClient];
  const all = await Promise.all([
    sender.load({ ...window, senders: 1, outstanding: 2, receivers: perNode }),
    ...others.map((client) => client.load(listening)),
  ]);
  const deliveries = perSecond(all, 'deliveries');
  console.log(
    `  one room of all ${rate(3 * perNode)}: ${perSecond(all, 'sent').toFixed(1)} messages/s, ${rate(deliveries)} deliveries/s; ${spreads(all)}`,
  );
  return {
    connections: 3 * perNode,
    seconds: took,
    bytesEach: each,
    idleCores: idle,
    roomSize: 3 * perNode,
    deliveries,
    all,
  };
}

async function crossing(on: Database): Promise<object> {
  const size = 100;
  const users = range(3, (node) => range(size, (i) => `x${node}-${i}`));
  const { servers } = await prepared(
    on,
    3,
    'crossing',
    users.flat().map((user) => ({ room: 'crossing', user })),
  );
  const clients = (await Promise.all(
    servers.map((server, node) =>
      clientOf(
        server,
        `x-${node}`,
        users[node] ?? [],
        range(size, () => 'crossing'),
      ),
    ),
  )) as [LoadClient, LoadClient, LoadClient];
  const [sender, ...others] = clients;
  const run = async (name: string, load: { senders: number; outstanding?: number; rate?: number }) => {
    const all = await Promise.all([
      sender.load({ ...window, ...load, receivers: size }),
      ...others.map((client) => client.load(listening)),
    ]);
    console.log(
      `  a room of ${3 * size}, ${name}: ${rate(perSecond(all, 'sent'))} messages/s, ${rate(perSecond(all, 'deliveries'))} deliveries/s; ${spreads(all)}`,
    );
    return all;
  };
  return {
    roomSize: 3 * size,
    light: await run('100 messages/s', { senders: 1, rate: 100 }),
    full: await run('as fast as acks and local deliveries allow', { senders: 10, outstanding: 4 }),
  };
}

async function nodes(on: Database): Promise<object> {
  const [roomCount, size, messages] = [30, 100, 600];
  const users = range(roomCount * size, (i) => `m-${i}`);
  const roomOf = (i: number): string => `many-${i % roomCount}`;
  const memberships = users.map((user, i) => ({ room: roomOf(i), user }));
  const table: object[] = [];
  for (const count of [1, 2, 3]) {
    const row = await lab.within(async () => {
      const { servers, redis } = await prepared(on, count, `nodes-${count}`, count === 1 ? memberships : []);
      // every room has members on every node
      const parts = range(count, (node) =>
        range(users.length, (i) => i).filter((i) => Math.floor(i / roomCount) % count === node),
      );
      const clients = await Promise.all(
        servers.map((server, node) => {
          const mine = parts[node] ?? [];
          return clientOf(
            server,
            `n-${count}-${node}`,
            mine.map((i) => users[i] ?? ''),
            mine.map(roomOf),
          );
        }),
      );
      const pids = servers.map(({ child }) => child.pid);
      const spent = sleep(window.warmup * 1000).then(() => cpuOver(seconds, { nodes: pids, redis: [redis.pid] }));
      const all = await Promise.all(
        clients.map((client) => client.load({ ...window, senders: 300 / count, rate: messages / count })),
      );
      const { nodes: cores, redis: redisCores } = await spent;
      const rest =
        (all[0]?.machineCpu ?? 0) / seconds - sum(cores) - sum(redisCores) - sum(all.map((r) => r.clientCpu)) / seconds;
      const deliveries = perSecond(all, 'deliveries');
      const repaired = sum(
        await Promise.all(
          servers.map(async ({ port }) =>
            total(await readMetrics(`http://127.0.0.1:${port}`), 'parley_fanout_repaired_total'),
          ),
        ),
      );
      console.log(
        `  ${count} node${count > 1 ? 's' : ''}, ${roomCount} rooms of ${size}: ${rate(perSecond(all, 'sent'))} messages/s, ${rate(deliveries)} deliveries/s; ` +
          `cores: nodes ${cores.map((c) => c.toFixed(2)).join(' + ')} = ${sum(cores).toFixed(2)}, Redis ${sum(redisCores).toFixed(2)}, ` +
          `Postgres and others ${rest.toFixed(2)}; ${repaired} events read from Postgres; ${spreads(all)}`,
      );
      return { count, cores, redisCores, rest, repaired, deliveries, all };
    });
    table.push(row);
  }
  return table;
}

/** The first start makes the tables. The measured nodes start afterwards, and find their rooms. */
async function prepared(
  on: Database,
  count: number,
  name: string,
  memberships: readonly Membership[],
): Promise<Cluster> {
  if (memberships.length > 0) {
    const first = await startParley(lab, build, on.url);
    await first.child.stop();
    await seed(on, memberships);
  }
  return startCluster(on, count, name);
}

async function cpuOver<K extends string>(
  time: number,
  groups: Record<K, readonly number[]>,
): Promise<Record<K, number[]>> {
  const usage = (): Promise<number[][]> =>
    Promise.all(Object.values<readonly number[]>(groups).map((pids) => Promise.all(pids.map(cpuSeconds))));
  const before = await usage();
  await sleep(time * 1000);
  const after = await usage();
  const names = Object.keys(groups) as K[];
  return Object.fromEntries(
    names.map((name, g) => [name, (after[g] ?? []).map((cpu, i) => (cpu - (before[g]?.[i] ?? 0)) / time)]),
  ) as Record<K, number[]>;
}

function spreads(all: readonly LoadResult[]): string {
  const parts = all.map(({ deliveryMs }) => `${deliveryMs.p50.toFixed(1)}/${deliveryMs.p99.toFixed(1)}`);
  return `delivery p50/p99 by node ${parts.join(', ')} ms`;
}
