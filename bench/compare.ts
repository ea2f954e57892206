/**
 * node --import tsx bench/compare.ts --other OTHER/dist/main.js [--rounds 5] [--seconds 1.5] [--connections 15000]
 *   [--only rates,connects,memory]
 *
 * Compares this build (build first) with another build of Parley, each with a separate Postgres, in alternating rounds of one
 * run. The rows are commands with ack, fan-out, stored messages, connects, and the memory of an idle connection. The memory is
 * measured at once, and after 40 s without a change (100 at most), because V8 collects the garbage of connecting later.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { buildClient, LoadClient, type Load } from './client.ts';
import { range } from './context.ts';
import { frames } from './frames.ts';
import { Lab, rssBytes } from './lab.ts';
import { openPostgres, seed, type Database, type Membership } from './postgres.ts';
import { alternate, contestant, median, type Contestant, type Measured } from './rounds.ts';
import { calm, settledRss } from './settle.ts';
import { liftedLimits, startParley, token, type ParleyBuild, type Server } from './servers.ts';

const { values: args } = parseArgs({
  options: {
    other: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '1.5' },
    connections: { type: 'string', default: '15000' },
    only: { type: 'string', default: 'rates,connects,memory' },
  },
});
if (args.other === undefined) throw new Error('--other FILE: the main.js of the other build');
const missing = buildClient();
if (missing !== undefined) throw new Error(missing);

interface Subject {
  readonly name: string;
  readonly build: ParleyBuild;
  readonly database: Database;
}

const lab = await Lab.open();
const subjects: Subject[] = [];
try {
  for (const [name, main] of [
    ['this', join(import.meta.dirname, '../dist/main.js')],
    ['other', args.other],
  ] as const) {
    const database = await openPostgres();
    if (typeof database === 'string') throw new Error(database);
    subjects.push({ name, build: { main, nodeFlags: [], lacks: unknownTo(main) }, database });
  }
  const parts = { rates, connects, memory };
  for (const [name, part] of Object.entries(parts)) if (args.only.split(',').includes(name)) await part();
} finally {
  await lab.close();
  for (const { database } of subjects) await database.stop();
}

async function rates(): Promise<void> {
  const [rounds, seconds] = [Number(args.rounds), Number(args.seconds)];
  const senders = range(200, (i) => `sender-${i}`);
  const listeners = range(1001, (i) => `listener-${i}`);
  const memberships = [
    ...senders.flatMap((user, i) => [
      { room: `own-${i}`, user },
      { room: `pair-${i >> 1}`, user },
    ]),
    ...listeners.map((user) => ({ room: 'fan', user })),
  ];
  const servers = new Map<Subject, Server>();
  for (const subject of subjects) servers.set(subject, await started(subject, memberships));
  const rows: [string, string[], (i: number) => string, string, Load, 'acks' | 'deliveries'][] = [
    [
      'command with ack',
      senders,
      (i) => `own-${i}`,
      frames.signal,
      { senders: 200, outstanding: 4, warmup: 0.5, seconds },
      'acks',
    ],
    [
      'fan-out to 1,000',
      listeners,
      () => 'fan',
      frames.signal,
      { senders: 1, outstanding: 16, receivers: 1000, warmup: 0.5, seconds },
      'deliveries',
    ],
    [
      'stored messages',
      senders,
      (i) => `pair-${i >> 1}`,
      frames.send,
      { senders: 200, outstanding: 4, warmup: 0.5, seconds },
      'acks',
    ],
  ];
  for (const [row, users, room, command, load, count] of rows) {
    await lab.within(async () => {
      const contestants = [];
      for (const [subject, server] of servers) {
        const client = await LoadClient.connect(lab, {
          port: server.port,
          serverPid: server.child.pid,
          dialect: 'sio',
          connections: users.length,
          upPrefix: '42["ready"',
          countPrefix: '42["',
          tokens: await lab.file(`${subject.name}-${row}-tokens`, users.map(token)),
          rooms: await lab.file(
            `${subject.name}-${row}-rooms`,
            users.map((_, i) => room(i)),
          ),
          command,
        });
        contestants.push(contestant(subject.name, client, load, count));
      }
      print(row, await alternate(row, count, rounds, contestants));
    });
  }
  for (const server of servers.values()) await server.child.stop();
}

/** The rate of connections, 100 under way at a time, until `ready` in three rooms, with new tokens. */
async function connects(): Promise<void> {
  const [rounds, count] = [Number(args.rounds), 3000];
  const users = range(count, (i) => `connect-${i}`);
  const memberships = users.flatMap((user, i) => range(3, (k) => ({ room: `connect-${(i + k * 20) % 60}`, user })));
  await lab.within(async () => {
    const contestants: Contestant[] = [];
    for (const subject of subjects) {
      const server = await started(subject, memberships);
      let round = 0;
      contestants.push({
        subject: subject.name,
        async round() {
          const tokens = users.map(token); // the server has not seen them
          const client = await LoadClient.connect(lab, {
            port: server.port,
            serverPid: server.child.pid,
            dialect: 'sio',
            connections: count,
            upPrefix: '42["ready"',
            tokens: await lab.file(`${subject.name}-connect-tokens-${round++}`, tokens),
          });
          const rate = count / client.connecting.seconds;
          await client.stop();
          await calm([server.child.pid]);
          return { rate };
        },
      });
    }
    print('connects', await alternate('connects', 'connections/s', rounds, contestants));
  });
}

function print(row: string, [ours, theirs]: readonly Measured[]): void {
  const ratios = (ours?.rounds ?? []).map(({ rate }, n) => rate / (theirs?.rounds[n]?.rate ?? NaN));
  console.log(
    `${row.padEnd(20)} this ${Math.round(ours?.value ?? 0).toLocaleString('en')}/s, ` +
      `other ${Math.round(theirs?.value ?? 0).toLocaleString('en')}/s: ${median(ratios).toFixed(2)} x ` +
      `(rounds ${ratios.map((ratio) => ratio.toFixed(2)).join(', ')})`,
  );
}

async function memory(): Promise<void> {
  const collected = { quietMs: 40_000, longestMs: 100_000 };
  const count = Number(args.connections);
  const users = range(count, (i) => `idle-${i}`);
  const rooms = Math.max(3, Math.round(count / 50));
  const memberships = users.flatMap((user, i) =>
    range(3, (k) => ({ room: `idle-${(i + k * Math.floor(rooms / 3)) % rooms}`, user })),
  );
  const tokens = await lab.file('idle-tokens', users.map(token));
  const atOnce: number[] = [];
  const settled: number[] = [];
  for (const subject of subjects) {
    const server = await started(subject, memberships);
    const common = {
      port: server.port,
      serverPid: server.child.pid,
      dialect: 'sio',
      upPrefix: '42["ready"',
      tokens,
    } as const;
    // modules that are loaded and code that is compiled once are no cost of a connection
    await (await LoadClient.connect(lab, { ...common, connections: Math.min(300, count) })).stop();
    await sleep(3000);
    const before = await rssBytes(server.child.pid);
    const { bytes: still } = await settledRss(server.child.pid, collected);
    const client = await LoadClient.connect(lab, { ...common, connections: count });
    await sleep(8000);
    atOnce.push(((await rssBytes(server.child.pid)) - before) / count);
    const { bytes } = await settledRss(server.child.pid, collected);
    settled.push((bytes - still) / count);
    await client.stop();
    await server.child.stop();
  }
  for (const [when, [ours = NaN, theirs = NaN]] of Object.entries({ 'at once': atOnce, settled })) {
    console.log(
      `idle, ${when.padEnd(14)} this ${ours.toFixed(0)} B, other ${theirs.toFixed(0)} B: ${(ours / theirs).toFixed(2)} x (${count} connections in 3 rooms)`,
    );
  }
}

/** A first start makes the tables. The measured start finds the rooms. */
async function started({ build, database }: Subject, memberships: readonly Membership[]): Promise<Server> {
  await (await startParley(lab, build, database.url)).child.stop();
  await seed(database, memberships);
  return startParley(lab, build, database.url);
}

/** Settings of the bench that a build does not know, as the build reports them. */
function unknownTo(main: string): string[] {
  const { stderr } = spawnSync(process.execPath, [main, 'doctor'], {
    env: { ...process.env, ...liftedLimits },
    encoding: 'utf8',
  });
  return [...stderr.matchAll(/(PARLEY_\w+): unknown/g)].map(([, name]) => name ?? '');
}
