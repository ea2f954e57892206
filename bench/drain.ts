/**
 * node --import tsx bench/drain.ts [--clients 2000] [--window 20000]      (build first; Linux, a real Postgres)
 * A server with so many clients, 20 of which send all the time, gets SIGTERM. A replacement starts on the same port. Prints
 * how fast the clients reached the replacement, and the lost and doubled messages.
 */
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import postgres from 'postgres';
import { Reader } from '../test/hub/reader.ts';
import { Lab } from './lab.ts';
import { openPostgres, seed } from './postgres.ts';
import { startParley, token } from './servers.ts';

const { values: args } = parseArgs({
  options: { clients: { type: 'string', default: '2000' }, window: { type: 'string', default: '20000' } },
});
const [clients, windowMs] = [Number(args.clients), Number(args.window)];
const build = { main: join(import.meta.dirname, '../dist/main.js'), nodeFlags: [] };
const room = 'moving';

const lab = await Lab.open();
const database = await openPostgres();
try {
  if (typeof database === 'string') throw new Error(database);
  const extra = { PARLEY_DRAIN_MS: args.window };
  const first = await startParley(lab, build, database.url, extra);
  const users = Array.from({ length: clients }, (_, i) => `user-${i}`);
  await seed(
    database,
    users.map((user) => ({ room, user })),
  );
  const url = `http://127.0.0.1:${first.port}`;
  const returns: number[] = [];
  const readers: Reader[] = [];
  for (const user of users) {
    // the pauses of a stock client: half a second to one and a half, doubled each time, at most five
    const reader: Reader = new Reader({
      url,
      token: () => token(user),
      room,
      reconnectMs: () => Math.min(5000, 500 * 2 ** Math.max(0, reader.opened - 1)) * (0.5 + Math.random()),
    });
    reader.onReady = () => reader.opened > 1 && returns.push(performance.now());
    readers.push(reader);
    if (readers.length % 100 === 0) await until(() => readers.every(({ ready }) => ready));
  }
  await until(() => readers.every(({ ready }) => ready));

  let over = false;
  const sent: string[] = [];
  const refusals = new Map<string, number>();
  const sending = readers.slice(0, 20).map(async (reader, i) => {
    for (let n = 0; !over; n++) {
      sent.push(`${i} ${n}`);
      for (const code of await reader.send(`${i} ${n}`)) refusals.set(code, (refusals.get(code) ?? 0) + 1);
      await sleep(500);
    }
  });
  await sleep(2000);
  const from = performance.now();
  process.kill(first.child.pid, 'SIGTERM');
  await until(() => refuses(first.port));
  await startParley(lab, build, database.url, extra, first.port);
  console.log(`the replacement was ready after ${((performance.now() - from) / 1000).toFixed(1)} s`);
  await until(() => readers.every(({ ready, opened }) => ready && opened > 1), windowMs + 60_000);
  console.log(`all ${clients} were back after ${((performance.now() - from) / 1000).toFixed(1)} s`);
  over = true;
  await Promise.all(sending);

  const perSecond = new Map<number, number>();
  for (const at of returns) {
    const second = Math.floor((at - from) / 1000);
    perSecond.set(second, (perSecond.get(second) ?? 0) + 1);
  }
  const even = (clients / windowMs) * 1000;
  console.log(
    `returning clients a second: at most ${Math.max(...perSecond.values())}; evenly spread they would be ${even}`,
  );
  console.log(
    [...perSecond]
      .toSorted(([a], [b]) => a - b)
      .map(([second, n]) => `${second}s:${n}`)
      .join(' '),
  );
  console.log('refusals on the way:', Object.fromEntries(refusals));

  const sql = postgres(database.url, { max: 1 });
  const stored = await sql<{ seq: number; id: string; body: string }[]>`
    select seq::int as seq, id, body #>> '{}' as body from messages where room_id = ${room} order by seq`;
  await sql.end();
  await until(() => readers.every(({ messages }) => messages.length >= stored.length));
  const bodies = new Set(stored.map(({ body }) => body));
  const ids = stored.map(({ id }) => id).join();
  const exact = readers.filter(({ messages }) => messages.map(({ id }) => id).join() === ids).length;
  console.log(
    `${sent.length} messages sent, ${stored.length} stored; lost ${sent.filter((body) => !bodies.has(body)).length}, ` +
      `doubled ${stored.length - bodies.size}; ${exact} of ${clients} clients hold exactly these`,
  );
  for (const reader of readers) reader.close();
} finally {
  await lab.close();
  if (typeof database !== 'string') await database.stop();
}

async function until(condition: () => boolean | Promise<boolean>, limitMs = 60_000): Promise<void> {
  for (const deadline = Date.now() + limitMs; !(await condition());) {
    if (Date.now() > deadline) throw new Error(`in vain: ${condition.toString()}`);
    await sleep(20);
  }
}

/** Opens a new connection, because `fetch` would use an open one. */
function refuses(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(false)).once('error', () => resolve(true));
    socket.once('connect', () => socket.destroy());
  });
}
