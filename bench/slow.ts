/**
 * node --import tsx bench/slow.ts [--clients 200] [--slow 20] [--seconds 30]      (build first; Linux, a real Postgres)
 * A room at full speed. First all clients read. Then 20 of 200 stop reading for 30 s. Then these read on and catch up. Prints
 * the memory of the server, the time of deliveries to the others in each part, and the number of clients with exactly the room.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import postgres from 'postgres';
import { readMetrics } from '../test/support/metrics.ts';
import { Reader } from '../test/hub/reader.ts';
import { buildClient, LoadClient } from './client.ts';
import { Lab } from './lab.ts';
import { openPostgres, seed } from './postgres.ts';
import { startParley, token } from './servers.ts';

const { values: args } = parseArgs({
  options: {
    clients: { type: 'string', default: '200' },
    slow: { type: 'string', default: '20' },
    seconds: { type: 'string', default: '30' },
  },
});
const [clients, slowOnes, seconds] = [Number(args.clients), Number(args.slow), Number(args.seconds)];
const room = 'busy';
const filling = 'x'.repeat(8000);

const missing = buildClient();
if (missing !== undefined) throw new Error(missing);

const lab = await Lab.open();
const database = await openPostgres();
try {
  if (typeof database === 'string') throw new Error(database);
  const build = { main: join(import.meta.dirname, '../dist/main.js'), nodeFlags: [] };
  const server = await startParley(lab, build, database.url);
  const url = `http://127.0.0.1:${server.port}`;
  const users = Array.from({ length: clients + 1 }, (_, i) => `user-${i}`);
  await seed(
    database,
    users.map((user) => ({ room, user })),
  );

  const [slowUsers, wellUsers] = [users.slice(0, slowOnes), users.slice(slowOnes)];
  const slow = slowUsers.map(
    (user) => new Reader({ url, token: () => token(user), room, reconnectMs: () => 500 + Math.random() * 1000 }),
  );
  await until(() => slow.every(({ ready }) => ready));
  // one of them sends; the client in C is fast enough not to be the bottleneck
  const well = await LoadClient.connect(lab, {
    port: server.port,
    serverPid: server.child.pid,
    dialect: 'sio',
    connections: wellUsers.length,
    upPrefix: '42["ready"',
    countPrefix: '42["message"',
    tokens: await lab.file('slow-tokens', wellUsers.map(token)),
    command: `42{ack}["message:send",{"room":"${room}","id":"{uuid}","body":{"t":{now},"filling":"${filling}"}}]`,
  });
  const rss = (): number =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.child.pid}/status`, 'utf8'))?.[1]) / 1024;

  let peak = 0;
  let undelivered = 0;
  const watch = setInterval(() => (peak = Math.max(peak, rss())), 100);
  const part = async (name: string, lasts: number): Promise<void> => {
    peak = 0;
    const load = { senders: 1, outstanding: 4, receivers: wellUsers.length, warmup: 0, seconds: lasts };
    const { sent, undelivered: lacking, deliveryMs } = await well.load(load);
    undelivered += lacking;
    console.log(
      `${name}: ${Math.round(sent / lasts)} messages/s to ${clients}, delivery to the ${wellUsers.length} well ones ` +
        `p50 ${deliveryMs.p50.toFixed(1)} ms, p99 ${deliveryMs.p99.toFixed(1)} ms, ` +
        `server RSS peak ${peak.toFixed(0)} MB, end ${rss().toFixed(0)} MB`,
    );
  };
  await sleep(3000);
  await part('all read', seconds / 3);
  for (const reader of slow) reader.stopReading();
  await part(`${slowOnes} do not read`, seconds);
  const steps = async (): Promise<string> =>
    [...(await readMetrics(url))]
      .filter(([name]) => /slow_consumer|signals_dropped/.test(name))
      .map(([name, value]) => `${name.replace(/^parley_/, '')} ${value}`)
      .join(', ');
  console.log(await steps());
  for (const reader of slow) reader.readOn();
  await part('they read on', seconds / 3);
  clearInterval(watch);

  const sql = postgres(database.url, { max: 1 });
  const stored = await sql<{ id: string }[]>`select id from messages where room_id = ${room} order by seq`;
  await sql.end();
  await until(() => slow.every(({ messages }) => messages.length >= stored.length));
  const ids = stored.map(({ id }) => id).join();
  const exact = slow.filter(({ messages }) => messages.map(({ id }) => id).join() === ids).length;
  console.log(await steps());
  console.log(
    `${stored.length} messages; exact: ${exact} of ${slow.length} slow; the well ones lack ${undelivered}; ` +
      `server RSS ${rss().toFixed(0)} MB`,
  );
  for (const reader of slow) reader.close();
  await well.stop();
} finally {
  await lab.close();
  if (typeof database !== 'string') await database.stop();
}

async function until(condition: () => boolean, limitMs = 90_000): Promise<void> {
  for (const deadline = Date.now() + limitMs; !condition();) {
    if (Date.now() > deadline) throw new Error(`in vain: ${condition.toString()}`);
    await sleep(20);
  }
}
