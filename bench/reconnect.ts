/**
 * node --import tsx bench/reconnect.ts [--clients 15000] [--rooms 300]      (build first; Linux, a C compiler, Postgres)
 * All clients are cut off at once and come back at once, each 0 to 200 messages behind in its rooms. One of 50 users is in 50
 * rooms, and the others in one to three. Each sends one `sync`. One run measures this with replay buffers, without them, and
 * without any `sync`, which is the cost of connecting alone.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import postgres from 'postgres';
import { readMetrics, total } from '../test/support/metrics.ts';
import { buildClient, LoadClient } from './client.ts';
import { range } from './context.ts';
import { cpuSeconds, Lab, rssBytes } from './lab.ts';
import { openPostgres, seed, type Database } from './postgres.ts';
import { startParley, token } from './servers.ts';

const { values: args } = parseArgs({
  options: { clients: { type: 'string', default: '15000' }, rooms: { type: 'string', default: '300' } },
});
const [clientCount, roomCount] = [Number(args.clients), Number(args.rooms)];
const messagesEach = 300;
const mostBehind = 200;

const missing = buildClient();
if (missing !== undefined) throw new Error(missing);
const lab = await Lab.open();
const database = await openPostgres();
try {
  if (typeof database === 'string') throw new Error(database);
  const build = { main: join(import.meta.dirname, '../dist/main.js'), nodeFlags: [] };
  const roomsOf = range(clientCount, (user) => {
    const count = user % 50 === 0 ? Math.min(50, roomCount) : 1 + (user % 3);
    return range(count, (i) => `r-${(user * 7 + i * 13) % roomCount}`);
  });
  const users = range(clientCount, (i) => `u-${i}`);
  await lab.within(async () => {
    await startParley(lab, build, database.url);
    await seed(
      database,
      users.flatMap((user, i) => [...new Set(roomsOf[i])].map((room) => ({ room, user }))),
    );
    await fill(database);
  });
  const tokens = await lab.file('reconnect-tokens', users.map(token));
  const setups = await lab.file(
    'reconnect-setups',
    roomsOf.map((rooms, user) => {
      const behind = (i: number): number => (user * 31 + i * 17) % (mostBehind + 1);
      const cursors = Object.fromEntries(rooms.map((room, i) => [room, messagesEach - behind(i)]));
      return `421${JSON.stringify(['sync', { cursors, limit: 1000 }])}`;
    }),
  );
  const run = async (name: string, bufferMessages: number, syncs: boolean): Promise<void> =>
    lab.within(async () => {
      const server = await startParley(lab, build, database.url, { PARLEY_TAIL_MESSAGES: String(bufferMessages) });
      const { pid } = server.child;
      const connect = (lines: string | undefined): Promise<LoadClient> =>
        LoadClient.connect(lab, {
          port: server.port,
          serverPid: pid,
          dialect: 'sio',
          connections: clientCount,
          upPrefix: '42["ready"',
          tokens,
          ...(lines === undefined ? {} : { setups: lines }),
        });
      const url = `http://127.0.0.1:${server.port}`;
      await (await connect(undefined)).stop();
      // the server must have seen the end of all connections
      while (((await readMetrics(url)).get('parley_connections') ?? 0) > 0) await sleep(50);
      const before = { cpu: await cpuSeconds(pid), rss: await rssBytes(pid) };
      let peak = 0;
      const watch = setInterval(() => void rssBytes(pid).then((bytes) => (peak = Math.max(peak, bytes))), 100);
      const from = performance.now();
      const back = await connect(syncs ? setups : undefined);
      const seconds = (performance.now() - from) / 1000;
      clearInterval(watch);
      const cpu = (await cpuSeconds(pid)) - before.cpu;
      const metrics = await readMetrics(url);
      const far = metrics.get('parley_sync_rooms_total{source="postgres"}') ?? 0;
      const reads = total(metrics, 'parley_tail_reads_total') + far;
      console.log(
        `${name}: ${clientCount} clients back in ${seconds.toFixed(1)} s, ${(cpu / seconds).toFixed(2)} cores; rooms read from ` +
          `Postgres ${reads} (${(reads / roomCount).toFixed(1)} a room); RSS ${mb(before.rss)} before, at most ${mb(peak)} MB`,
      );
      await back.stop();
    });
  await run('connect alone', 256, false);
  await run('with replay buffers', 256, true);
  await run('without replay buffers', 0, true);
} finally {
  await lab.close();
  if (typeof database !== 'string') await database.stop();
}

function mb(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(0);
}

/** Stores messages of 100 letters, by the function of the server. */
async function fill(to: Database): Promise<void> {
  const sql = postgres(to.url, { max: 1, onnotice: () => undefined });
  const text = 'x'.repeat(100);
  for (let room = 0; room < roomCount; room++) {
    await sql`
      select count(*) from append_messages(array[${`r-${room}`}], (
        select jsonb_agg(jsonb_build_array(
          ${`r-${room}`}::text, gen_random_uuid(),
          (select user_id from members where room_id = ${`r-${room}`} and role = 'owner'),
          jsonb_build_object('text', ${text}::text), null, null
        )) from generate_series(1, ${messagesEach})
      ), array[]::bigint[])`;
  }
  await sql`delete from outbox`;
  await sql`analyze`;
  await sql.end();
}
