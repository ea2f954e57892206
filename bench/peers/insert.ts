/**
 * One insert a message: the usual way of a chat server to store messages, without the server. Each message is one statement in
 * its own transaction, which takes the next number of the room and inserts. The client pipelines over a pool of 10. Without
 * sockets, membership checks and an outbox, this is the best case of the design. Reads lines with `outstanding`, `warmup` and
 * `seconds` as JSON from stdin, and answers each with a line.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import postgres from 'postgres';
import { body } from '../frames.ts';

interface Order {
  outstanding: number;
  warmup: number;
  seconds: number;
}

const rooms = Array.from({ length: 100 }, (_, i) => `naive-${i}`);
const sql = postgres(process.argv[2] ?? '', { max: 10, onnotice: () => undefined });

await sql`create schema if not exists naive`;
await sql`create table if not exists naive.rooms (id text collate "C" primary key, last_seq bigint not null default 0) with (fillfactor = 70)`;
await sql`create table if not exists naive.messages (
  room_id text collate "C" not null, seq bigint not null, id uuid not null, sender_id text not null, body jsonb,
  created_at timestamptz not null default clock_timestamp(), primary key (room_id, seq), unique (room_id, id))`;
await sql`insert into naive.rooms (id) select unnest(${rooms}::text[]) on conflict do nothing`;

async function insertOne(room: string): Promise<void> {
  await sql`
    with numbered as (update naive.rooms set last_seq = last_seq + 1 where id = ${room} returning last_seq)
    insert into naive.messages (room_id, seq, id, sender_id, body)
    select ${room}, last_seq, ${randomUUID()}, 'user-0', ${sql.json(body)} from numbered
    returning seq`;
}

/** CPU seconds of the whole machine; the kernel's clock of this file is 100 Hz. */
function machineCpu(): number {
  const [user, nice, system, , , irq, softirq, steal] = (readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? '')
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return [user, nice, system, irq, softirq, steal].reduce<number>((sum, ticks) => sum + (ticks ?? 0), 0) / 100;
}

const usage = (): { own: number; machine: number; at: number } => {
  const { user, system } = process.cpuUsage();
  return { own: (user + system) / 1e6, machine: machineCpu(), at: performance.now() };
};

async function run({ outstanding, warmup, seconds }: Order): Promise<Record<string, unknown>> {
  const from = performance.now() + warmup * 1000;
  const to = from + seconds * 1000;
  const latencies: number[] = [];
  let opened = usage();
  let closed = opened;
  const timers = [
    setTimeout(() => (opened = usage()), warmup * 1000),
    setTimeout(() => (closed = usage()), (warmup + seconds) * 1000),
  ];
  const loop = async (first: number): Promise<void> => {
    for (let at = first; performance.now() < to; at++) {
      const sent = performance.now();
      await insertOne(rooms[at % rooms.length] ?? 'naive-0');
      const now = performance.now();
      if (now >= from && now < to) latencies.push(now - sent);
    }
  };
  await Promise.all(Array.from({ length: outstanding }, (_, i) => loop(i)));
  if (closed === opened || closed.at <= opened.at) closed = usage();
  for (const timer of timers) clearTimeout(timer);
  const own = closed.own - opened.own;
  latencies.sort((a, b) => a - b);
  const at = (part: number): number => latencies[Math.floor(latencies.length * part)] ?? 0;
  return {
    seconds,
    acks: latencies.length,
    cpuSeconds: (closed.at - opened.at) / 1000,
    cpu: own,
    rest: Math.max(0, closed.machine - opened.machine - own),
    latencyMs: { p50: at(0.5), p95: at(0.95), p99: at(0.99) },
  };
}

console.log('listening');
for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await run(JSON.parse(line) as Order)));
}
await sql.end({ timeout: 1 });
