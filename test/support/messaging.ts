/** Messaging without sockets: the writer and what it hands to fan-out, on a test's database. */
import { randomUUID } from 'node:crypto';
import type postgres from 'postgres';
import type { Envelope } from '../../src/fanout/fanout.ts';
import { MemoryFanout } from '../../src/fanout/memory.ts';
import { rightsOf } from '../../src/protocol/permissions.ts';
import { Search, type SearchSettings } from '../../src/search/search.ts';
import type { Send } from '../../src/messages/writer/append.ts';
import { Writer, type WriterOptions } from '../../src/messages/writer/writer.ts';
import type { Role } from '../../src/protocol/model.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';

export const silentLog = createLog({ level: 'silent', pretty: false, node: 'test' });

export interface TestWriter {
  readonly writer: Writer;
  readonly published: Envelope[];
  /** Sum of a metric whose series begin with this text. */
  readonly metric: (series: string) => Promise<number>;
}

export function createWriter(sql: postgres.Sql, options: Partial<WriterOptions> = {}): TestWriter {
  const published: Envelope[] = [];
  const metrics = new Metrics();
  const fanout = new MemoryFanout((envelopes) => void published.push(...envelopes));
  const defaults = { sql, fanout, metrics, log: silentLog, stripes: 2, maxBatch: 500, maxWaiting: 20_000 };
  return {
    writer: new Writer({ ...defaults, ...options }),
    published,
    async metric(series) {
      const lines = (await metrics.text()).split('\n').filter((line) => line.startsWith(series));
      return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
    },
  };
}

/** A search without sockets, as a server without settings of its own has it. */
export function createSearch(sql: postgres.Sql, more: Partial<SearchSettings> = {}, metrics = new Metrics()): Search {
  return new Search(sql, { language: 'simple', atOnce: 2, waitMs: 10_000, timeoutMs: undefined, ...more }, metrics);
}

export function send(room: string, sender: string, body: unknown = 'x', more: Partial<Send> = {}): Send {
  return {
    room,
    sender,
    id: randomUUID(),
    senderName: null,
    body: JSON.stringify(body),
    replyTo: undefined,
    lane: undefined,
    mentions: undefined,
    ...more,
  };
}

/** A room whose members are these users, the first one its owner. */
export async function makeRoom(sql: postgres.Sql, room: string, owner: string, ...others: string[]): Promise<string> {
  await sql`select create_room(${room}, 'group', ${room}, ${owner}, null, 1000000)`;
  for (const user of others) await addMember(sql, room, owner, user);
  return room;
}

export async function addMember(
  sql: postgres.Sql,
  room: string,
  actor: string,
  user: string,
  role: Role = 'member',
): Promise<void> {
  await sql`
    select add_member(${room}, ${actor}, ${user}, ${role}, 1000000, 1000000, ${rightsOf('add')}::text::jsonb)`;
}

/** Fails unless seq and rev of every room run from 1 to its head without a gap, and its counters say so. */
export async function assertDense(sql: postgres.Sql): Promise<void> {
  const broken = await sql`
    select r.id, r.last_seq, r.last_rev, count(m.seq) as messages, min(m.seq), max(m.seq), max(m.rev)
    from rooms r left join messages m on m.room_id = r.id
    group by r.id
    having r.last_seq <> count(m.seq) or r.last_rev <> count(distinct m.rev) or max(m.rev) <> r.last_rev
      or (count(m.seq) > 0 and (min(m.seq) <> 1 or max(m.seq) <> count(m.seq) or min(m.rev) <> 1))`;
  if (broken.length > 0) throw new Error(`rooms with gaps: ${JSON.stringify(broken)}`);
}
