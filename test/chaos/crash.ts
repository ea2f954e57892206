/**
 * `kill -9` of the server under load, again and again: what was acknowledged must be there exactly once, and every room
 * must be numbered 1…n. By hand, after `npm run build`:
 *
 *   node --import tsx test/chaos/crash.ts --database embedded --kills 10
 *   node --import tsx test/chaos/crash.ts --database postgres --kills 10     (starts one; or a postgres:// URL of an empty one)
 *   also --senders 8 --rooms 5 --window 50 --acks 1500   (acks: how many, at random up to twice that, between two kills)
 */
import { parseArgs } from 'node:util';
import { tokenOf as testToken, testSecret } from '../support/test-token.ts';
import { startPostgres } from '../support/services.ts';
import { makeDataDir, spawnServer, type Env, type SpawnedServer } from '../support/spawn.ts';
import { connectStock, type StockClient } from '../support/stock-client.ts';
import { until } from '../support/until.ts';
import { Sender, type SentMessage } from './crash-sender.ts';

export interface CrashPlan {
  /** `embedded`, or the URL of an empty database. */
  readonly database: string;
  readonly kills: number;
  readonly senders: number;
  readonly rooms: number;
  readonly window: number;
  readonly acks: number;
}

export interface CrashReport {
  readonly kills: number;
  readonly sent: number;
  readonly acks: number;
  readonly resends: number;
  readonly reconnects: number;
  readonly rooms: Readonly<Record<string, number>>;
  readonly slowestRestartMs: number;
  readonly seconds: number;
}

const bounds = {
  PARLEY_COMMANDS_PER_SECOND: '1000000',
  PARLEY_COMMAND_BURST: '1000000',
  PARLEY_MAX_PENDING_COMMANDS: '100000',
};

/** Throws with everything that was found wrong. */
export async function crash(plan: CrashPlan): Promise<CrashReport> {
  const from = performance.now();
  const dataDir = makeDataDir();
  const embedded = plan.database === 'embedded';
  const env: Env = embedded
    ? { ...bounds, PARLEY_DATA_DIR: dataDir.path }
    : { ...bounds, DATABASE_URL: plan.database, PARLEY_JWT_SECRET: testSecret };
  const tokenOf = embedded ? dataDir.tokenOf : testToken;
  let server = await spawnServer(env);
  try {
    const rooms = Array.from({ length: plan.rooms }, (_, n) => `crash-${n}`);
    const users = Array.from({ length: plan.senders }, (_, n) => `sender-${n}`);
    await enterRooms(server, rooms, users, tokenOf);
    const senders: Sender[] = [];
    for (const user of users) {
      const token = await tokenOf(user);
      senders.push(new Sender({ url: () => server.url, token, rooms, window: plan.window, resendEvery: 20 }));
    }
    for (const sender of senders) sender.start();
    const acks = () => senders.reduce((sum, sender) => sum + sender.acks, 0);
    let slowestRestartMs = 0;
    for (let kill = 0; kill < plan.kills; kill++) {
      const enough = acks() + plan.acks * (1 + Math.random());
      await until(
        'enough is acknowledged',
        () => acks() >= enough || senders.some(({ faults }) => faults.length),
        120_000,
      );
      server.kill('SIGKILL');
      const killed = performance.now();
      await server.exit();
      server = await spawnServer(env);
      slowestRestartMs = Math.max(slowestRestartMs, Math.round(performance.now() - killed));
    }
    await Promise.all(senders.map((sender) => sender.finish()));
    const faults = senders.flatMap((sender) => sender.faults);
    const messages = senders.flatMap((sender) => sender.messages);
    const counts = await verify(server, rooms, messages, await tokenOf(users[0] ?? ''), faults);
    if (faults.length > 0) throw new Error(`${faults.length} faults:\n${faults.slice(0, 20).join('\n')}`);
    const sum = (field: 'acks' | 'resends' | 'reconnects') => senders.reduce((all, sender) => all + sender[field], 0);
    return {
      kills: plan.kills,
      sent: messages.length,
      acks: sum('acks'),
      resends: sum('resends'),
      reconnects: sum('reconnects'),
      rooms: counts,
      slowestRestartMs,
      seconds: Math.round((performance.now() - from) / 1000),
    };
  } finally {
    server.kill('SIGTERM');
    await server.exit();
    dataDir.remove();
  }
}

async function enterRooms(
  server: SpawnedServer,
  rooms: readonly string[],
  users: readonly string[],
  tokenOf: (user: string) => Promise<string>,
): Promise<void> {
  for (const [n, user] of users.entries()) {
    const client = await connectStock(server.url, await tokenOf(user));
    for (const id of rooms) {
      if (n === 0) await client.ok('room:create', { kind: 'channel', name: id, id });
      else await client.ok('room:join', { room: id });
    }
    client.close();
  }
}

/** Reads everything back through history. @returns how many messages each room has. */
async function verify(
  server: SpawnedServer,
  rooms: readonly string[],
  messages: readonly SentMessage[],
  token: string,
  faults: string[],
): Promise<Record<string, number>> {
  const client = await connectStock(server.url, token);
  const counts: Record<string, number> = {};
  for (const room of rooms) {
    const stored = await storedIn(client, room, faults);
    counts[room] = stored.size;
    const sent = messages.filter((message) => message.room === room);
    for (const { id, seq } of sent) {
      if (seq === 0) faults.push(`${id} in ${room} has no ack in the end`);
      if (stored.get(id) !== seq)
        faults.push(`${id} was acknowledged as ${room} ${seq}, and is ${stored.get(id)} there`);
    }
    // each is stored once (ids are the keys) and nothing else is there
    if (stored.size !== sent.length)
      faults.push(`${room} has ${stored.size} messages of ${sent.length} that were sent`);
  }
  client.close();
  return counts;
}

async function storedIn(client: StockClient, room: string, faults: string[]): Promise<Map<string, number>> {
  const stored = new Map<string, number>();
  let expected = 1;
  for (let after = 0; ;) {
    const page = await client.ok('history', { room, after, limit: 100 });
    for (const { id, seq, rev } of page.messages) {
      if (seq !== expected || rev !== expected)
        faults.push(`${room} has seq ${seq}, rev ${rev} where ${expected} is due`);
      if (stored.has(id)) faults.push(`${room} has ${id} as ${stored.get(id)} and as ${seq}`);
      stored.set(id, seq);
      expected = seq + 1;
    }
    if (!page.more) {
      if (page.rev !== expected - 1) faults.push(`${room} has the head ${page.rev} after ${expected - 1} messages`);
      return stored;
    }
    after = page.after ?? 0;
  }
}

async function byHand(): Promise<void> {
  const { values } = parseArgs({
    options: {
      database: { type: 'string', default: 'embedded' },
      kills: { type: 'string', default: '10' },
      senders: { type: 'string', default: '8' },
      rooms: { type: 'string', default: '5' },
      window: { type: 'string', default: '50' },
      acks: { type: 'string', default: '1500' },
    },
  });
  const own = values.database === 'postgres' ? await startPostgres({ fsync: true }) : undefined;
  try {
    const report = await crash({
      database: own?.url ?? values.database,
      kills: Number(values.kills),
      senders: Number(values.senders),
      rooms: Number(values.rooms),
      window: Number(values.window),
      acks: Number(values.acks),
    });
    console.log(JSON.stringify(report, undefined, 2));
  } finally {
    await own?.stop();
  }
}

if (process.argv[1] === import.meta.filename) await byHand();
