/**
 * node --import tsx bench/threads.ts [--rounds 15] [--seconds 0.7] [--batch 200]
 * The cost of threads and mentions for the writer, without sockets. Plain batches go into a database as before migration 0006
 * and into one of today. Other batches have replies in every fifth message, mentions of two members, or both. The kinds take
 * turns within each round. Values are medians.
 */
import { randomUUID } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { MemoryFanout } from '../src/fanout/memory.ts';
import { Bodies } from '../src/messages/bodies/bodies.ts';
import { encodeBody } from '../src/messages/bodies/bodies.ts';
import type { Send } from '../src/messages/writer/append.ts';
import { Writer } from '../src/messages/writer/writer.ts';
import { openServer, type Database } from '../src/storage/database.ts';
import { migrate } from '../src/storage/migrate.ts';
import { createLog } from '../src/telemetry/log.ts';
import { Metrics } from '../src/telemetry/metrics.ts';
import { openPostgres } from './postgres.ts';

const { values: args } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    seconds: { type: 'string', default: '0.7' },
    batch: { type: 'string', default: '200' },
  },
});
const [rounds, seconds, batch] = [Number(args.rounds), Number(args.seconds), Number(args.batch)];
const rooms = Array.from({ length: 40 }, (_, n) => `room-${n}`);
const users = Array.from({ length: 20 }, (_, n) => `user-${n}`);
const migrations = join(import.meta.dirname, '../migrations');

const service = await openPostgres();
if (typeof service === 'string') throw new Error(service);
const databases: Database[] = [];
const folder = mkdtempSync(join(tmpdir(), 'parley-bench-'));
try {
  for (const file of readdirSync(migrations)) if (file < '0006') cpSync(join(migrations, file), join(folder, file));
  const before = await writerOn('before', folder);
  const plain = await writerOn('plain', migrations);
  // a separate database: replies and mentions would make the tables of the plain batches larger
  const after = await writerOn('after', migrations);
  const replyTo = 1;
  const mentions = { names: [['user-3'], ['user-4']], everybody: false };
  const kinds: [string, Writer, (n: number) => Partial<Send>][] = [
    ['plain, before 0006', before, () => ({})],
    ['plain', plain, () => ({})],
    ['every fifth answers', after, (n) => (n % 5 === 0 ? { replyTo } : {})],
    ['every fifth mentions two', after, (n) => (n % 5 === 0 ? { mentions } : {})],
    ['every fifth does both', after, (n) => (n % 5 === 0 ? { replyTo, mentions } : {})],
    ['all answer', after, () => ({ replyTo })],
  ];
  const rates = kinds.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    // the order changes, so that no kind always follows the same other one
    const order = kinds.map((_, i) => (round % 2 === 0 ? i : kinds.length - 1 - i));
    for (const i of order) {
      const [, writer, more] = kinds[i] as (typeof kinds)[number];
      rates[i]?.push(await rate(writer, more));
    }
  }
  const base = median(rates[0] ?? []);
  for (const [i, [name]] of kinds.entries()) {
    const all = rates[i] ?? [];
    const paired = all.map((value, round) => value / (rates[0]?.[round] ?? NaN));
    console.log(
      `${name.padEnd(26)} ${Math.round(median(all)).toString().padStart(7)}/s  ${(median(all) / base).toFixed(3)} of the medians, ` +
        `${median(paired).toFixed(3)} the median round`,
    );
  }
} finally {
  for (const database of databases) await database.close();
  await service.stop();
  rmSync(folder, { recursive: true });
}
bodies();

async function writerOn(name: string, files: string): Promise<Writer> {
  const url = new URL((service as { url: string }).url);
  const admin = await openServer({ url: url.href, poolSize: 1 });
  await admin.sql`drop database if exists ${admin.sql(`threads_${name}`)}`;
  await admin.sql`create database ${admin.sql(`threads_${name}`)}`;
  await admin.close();
  url.pathname = `/threads_${name}`;
  const database = await openServer({ url: url.href, poolSize: 4 });
  databases.push(database);
  const { sql } = database;
  await migrate(sql, files);
  for (const room of rooms) await sql`select create_room(${room}, 'group', ${room}, ${users[0] ?? ''}, null, 1000)`;
  for (const room of rooms) {
    for (const user of users.slice(1))
      await sql`select add_member(${room}, ${users[0] ?? ''}, ${user}, 'member', 1000, 1000)`;
  }
  const log = createLog({ level: 'silent', pretty: false, node: 'bench' });
  const fanout = new MemoryFanout(() => undefined);
  const writer = new Writer({
    sql,
    fanout,
    metrics: new Metrics(),
    log,
    stripes: 2,
    maxBatch: batch,
    maxWaiting: 20_000,
  });
  for (let n = 0; n < 50; n++) await Promise.all(rooms.map((room) => writer.send(message(room, n))));
  // a plan for an empty table may find a message by its room alone (messages_by_rev), until the first analyze.
  // 20,000 messages/s fell to 1,600 in some runs, with or without 0006.
  await sql`analyze`;
  return writer;
}

function message(room: string, n: number, more: Partial<Send> = {}): Send {
  const sender = users[n % 2] ?? '';
  const body = JSON.stringify({ text: `message ${n} of the bench, about as long as people write` });
  return {
    room,
    id: randomUUID(),
    sender,
    senderName: sender,
    body,
    replyTo: undefined,
    lane: undefined,
    mentions: undefined,
    ...more,
  };
}

/** Messages a second, with two batches of messages under way for each stripe. */
async function rate(writer: Writer, more: (n: number) => Partial<Send>): Promise<number> {
  let [sent, done] = [0, 0];
  const from = performance.now();
  const until = from + seconds * 1000;
  const worker = async (): Promise<void> => {
    while (performance.now() < until) {
      const n = sent++;
      await writer.send(message(rooms[n % rooms.length] as string, n, more(n)));
      done++;
    }
  };
  await Promise.all(Array.from({ length: 4 * batch }, worker));
  return done / ((performance.now() - from) / 1000);
}

/** Microseconds. */
function once(work: () => unknown): number {
  const from = performance.now();
  for (let i = 0; i < 100_000; i++) work();
  return (performance.now() - from) / 100;
}

/** The cost of reading a plain body for fields that the server knows. */
function bodies(): void {
  const reader = new Bodies({
    attachmentHosts: undefined,
    attachmentTypes: [],
    attachmentMaxBytes: 1,
    embedded: false,
  });
  const body = { text: 'a message of the bench, about as long as people write' };
  const encode: number[] = [];
  const read: number[] = [];
  for (let round = 0; round < 21; round++) {
    encode.push(once(() => encodeBody(body)));
    read.push(once(() => reader.read(body)));
  }
  console.log(
    `a plain body: ${median(encode).toFixed(2)} µs to encode, ${median(read).toFixed(2)} µs to read and encode`,
  );
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}
