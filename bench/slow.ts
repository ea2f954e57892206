/**
 * node --import tsx bench/slow.ts [--clients 200] [--slow 20] [--seconds 30]      (build first; Linux, a real Postgres)
 * A room at full speed. First everybody reads; then 20 of 200 stop reading for 30 s; then they read on and catch up.
 * Prints the server's memory, how long delivery to the others took in each part of the one run, and who ended exact.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import postgres from 'postgres';
import { readMetrics } from '../test/support/metrics.ts';
import { Reader, type Heard } from '../test/slow/reader.ts';
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

  let latencies: number[] = [];
  const live = (message: Heard): number => latencies.push(performance.now() - (message.body as { t: number }).t);
  const readers: Reader[] = [];
  for (const [i, user] of users.entries()) {
    const well = i >= slowOnes && i < clients;
    readers.push(
      new Reader({
        url,
        token: () => token(user),
        room,
        reconnectMs: () => 500 + Math.random() * 1000,
        ...(well ? { onLive: live } : {}),
      }),
    );
  }
  await until(() => readers.every(({ ready }) => ready));
  const sender = readers.pop() as Reader;
  const [slow, well] = [readers.slice(0, slowOnes), readers.slice(slowOnes)];
  const rss = (): number =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.child.pid}/status`, 'utf8'))?.[1]) / 1024;

  let over = false;
  let sent = 0;
  const sending = Array.from({ length: 4 }, async () => {
    for (; !over; sent++) await sender.send({ t: performance.now(), filling });
  });
  let peak = 0;
  const watch = setInterval(() => (peak = Math.max(peak, rss())), 100);
  const part = async (name: string, ms: number): Promise<void> => {
    latencies = [];
    peak = 0;
    const before = sent;
    await sleep(ms);
    const sorted = latencies.toSorted((a, b) => a - b);
    const at = (share: number): string => (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(1);
    console.log(
      `${name}: ${Math.round(((sent - before) * 1000) / ms)} messages/s to ${clients}, latency of the well ones ` +
        `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, server RSS peak ${peak.toFixed(0)} MB, end ${rss().toFixed(0)} MB`,
    );
  };
  await sleep(3000);
  await part('all read', (seconds * 1000) / 3);
  for (const reader of slow) reader.stopReading();
  await part(`${slowOnes} do not read`, seconds * 1000);
  const steps = async (): Promise<string> =>
    [...(await readMetrics(url))]
      .filter(([name]) => /slow_consumer|signals_dropped/.test(name))
      .map(([name, value]) => `${name.replace(/^parley_/, '')} ${value}`)
      .join(', ');
  console.log(await steps());
  for (const reader of slow) reader.readOn();
  await part('they read on', (seconds * 1000) / 3);
  over = true;
  await Promise.all(sending);
  clearInterval(watch);

  const sql = postgres(database.url, { max: 1 });
  const stored = await sql<{ id: string }[]>`select id from messages where room_id = ${room} order by seq`;
  await sql.end();
  await until(() => readers.every(({ messages }) => messages.length >= stored.length));
  const ids = stored.map(({ id }) => id).join();
  const exact = (some: Reader[]): number =>
    some.filter(({ messages }) => messages.map(({ id }) => id).join() === ids).length;
  console.log(await steps());
  console.log(
    `${stored.length} messages; exact: ${exact(slow)} of ${slow.length} slow, ${exact(well)} of ${well.length} well ` +
      `(of these ${well.filter(({ gaps, opened, behinds }) => gaps + behinds > 0 || opened > 1).length} had to pull); server RSS ${rss().toFixed(0)} MB`,
  );
  for (const reader of [...readers, sender]) reader.close();
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
