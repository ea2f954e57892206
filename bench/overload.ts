/**
 * node --import tsx bench/overload.ts [--seconds 8] [--pin] [--only postgres,embedded]      (build first; Linux)
 * Stored messages of 200 senders in 100 rooms, with real Postgres and embedded, in four parts. The first is the best rate (8
 * under way each). The second is the same while a second client sends the surplus to a server that only answers. The third
 * is three times the best rate on a schedule that waits for no ack. The last is a light load. The latency of accepted
 * messages is that of the server, from the command to its ack.
 *
 * The client of three times the load takes three times as much of the shared machine. With --pin the server has one core in all
 * parts and the client another, so that the parts can be compared. Postgres gets the rest.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { readMetrics, type MetricValues } from '../test/support/metrics.ts';
import { buildClient, LoadClient, nullServer, type Load, type LoadResult } from './client.ts';
import { parleyWith, range, tokensFile, type Grounds } from './context.ts';
import { frames, rawFrame } from './frames.ts';
import { freePort, Lab } from './lab.ts';
import { openPostgres } from './postgres.ts';

const { values: args } = parseArgs({
  options: {
    seconds: { type: 'string', default: '8' },
    pin: { type: 'boolean', default: false },
    only: { type: 'string', default: 'postgres,embedded' },
  },
});
const seconds = Number(args.seconds);
const senders = 200;
const missing = buildClient();
if (missing !== undefined) throw new Error(missing);

const lab = await Lab.open();
const database = await openPostgres();
try {
  const context: Grounds = {
    lab,
    database,
    parley: { main: join(import.meta.dirname, '../dist/main.js'), nodeFlags: [] },
  };
  for (const embedded of typeof database === 'string' ? [true] : [false, true]) {
    if (!args.only.split(',').includes(embedded ? 'embedded' : 'postgres')) continue;
    console.log(embedded ? 'embedded' : 'Postgres');
    await lab.within(() => measure(context, embedded));
  }
} finally {
  await lab.close();
  if (typeof database !== 'string') await database.stop();
}

async function measure(context: Grounds, embedded: boolean): Promise<void> {
  const users = range(senders, (i) => `sender-${i}`);
  const rooms = users.map((_, i) => `pair-${i >> 1}`);
  const memberships = users.map((user, i) => ({ room: rooms[i] as string, user }));
  const server = await parleyWith(context, memberships, embedded);
  const url = `http://127.0.0.1:${server.port}`;
  const client = await LoadClient.connect(lab, {
    port: server.port,
    serverPid: server.child.pid,
    dialect: 'sio',
    connections: senders,
    upPrefix: '42["ready"',
    tokens: await tokensFile(context, `overload-${embedded}`, users),
    rooms: await lab.file(`overload-rooms-${embedded}`, rooms),
    command: frames.send,
  });
  if (args.pin) {
    pin(server.child.pid, 0);
    pin(client.pid, 1);
  }
  const part = async (name: string, load: Load): Promise<number> => {
    const before = await readMetrics(url);
    const result = await client.load(load, true);
    const after = await readMetrics(url);
    const rate = (result.acks - result.errors) / result.seconds;
    console.log(
      `  ${name.padEnd(20)} accepted ${rate.toFixed(0)}/s, refused ${(result.errors / result.seconds).toFixed(0)}/s, ` +
        `not sent in time ${result.late}; accepted p50 <= ${quantile(before, after, 0.5)} s, p99 <= ${quantile(before, after, 0.99)} s; ` +
        `all acks at the client p50 ${result.latencyMs.p50} p99 ${result.latencyMs.p99} ms; ${shareOf(after)}; ` +
        `cores: server ${cores(result.serverCpu, result)}, client ${cores(result.clientCpu, result)}, all ${cores(result.machineCpu, result)}`,
    );
    return rate;
  };
  const best = await part('best', { senders, outstanding: 8, warmup: 1, seconds });
  const surplus = await startSurplus();
  const taken = surplus.client.load({ senders, rate: best * 2, warmup: 1, seconds: seconds + 1 }, false);
  const beside = await part('best beside surplus', { senders, outstanding: 8, warmup: 1, seconds });
  await taken;
  await surplus.stop();
  const over = await part('3 x best', { senders, rate: best * 3, warmup: 2, seconds });
  const from = performance.now();
  while ((await readMetrics(url)).get('parley_admitted_share{limit="none"}') !== 1) await sleep(50);
  console.log(`  every command is accepted again after ${((performance.now() - from) / 1000).toFixed(1)} s`);
  const light = await part('a tenth, afterwards', { senders, rate: best / 10, warmup: 0, seconds: 3 });
  console.log(
    `  throughput at 3 x: ${((100 * over) / best).toFixed(0)} % of the best, ${((100 * over) / beside).toFixed(0)} % of the best ` +
      `beside the surplus; afterwards ${((1000 * light) / best).toFixed(0)} % of a tenth`,
  );
}

/**
 * The load client and the server share this machine, so three times the load takes processor time from the server. A second
 * client shows the best possible rate then. That client sends the surplus, two thirds of the load, to a server in C that only
 * answers.
 */
async function startSurplus(): Promise<{ client: LoadClient; stop(): Promise<void> }> {
  const port = await freePort();
  const server = nullServer(lab, port, 'echo', 100);
  await server.line(5000);
  const client = await LoadClient.connect(lab, {
    port,
    serverPid: server.pid,
    dialect: 'raw',
    connections: senders,
    command: rawFrame('E'),
  });
  return {
    client,
    async stop() {
      await client.stop();
      await server.stop();
    },
  };
}

/** Pins all threads of the process, also later ones. */
function pin(pid: number, core: number): void {
  const { status, stderr } = spawnSync('taskset', ['-a', '-c', '-p', String(core), String(pid)], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`taskset: ${stderr}`);
}

function cores(cpuSeconds: number, { seconds: time }: LoadResult): string {
  return (cpuSeconds / time).toFixed(2);
}

function shareOf(metrics: MetricValues): string {
  return [...metrics]
    .filter(([name]) => name.startsWith('parley_admitted_share'))
    .map(([name, value]) => `${name.slice(7)} ${value.toFixed(2)}`)
    .join();
}

function quantile(before: MetricValues, after: MetricValues, share: number): string {
  const buckets = [...after].flatMap(([name, value]) => {
    const le = /^parley_ack_seconds_bucket\{.*le="([^"]+)"/.exec(name)?.[1];
    return le === undefined || !name.includes('message:send') ? [] : [{ le, n: value - (before.get(name) ?? 0) }];
  });
  const all = buckets.at(-1)?.n ?? 0;
  return buckets.find(({ n }) => n >= all * share)?.le ?? '?';
}
