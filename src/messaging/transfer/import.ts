/**
 * Reads an export back (lines.ts). What is stored already is left or, where the file has a later rev of it, replaced: so
 * the same file may be read again, and a run that was cut off is finished by another one.
 *
 * A room is stored in batches, each a transaction that leaves its messages dense. Its members come last, so nobody sees
 * half of it, unless it was there before: then its rev moves on at the end, and whoever holds a cursor gets `reset`.
 */
import type postgres from 'postgres';
import { ParleyError } from '../../protocol/errors.ts';
import { encodeBody } from '../json-body.ts';
import {
  countedLines,
  format,
  line as lineSchema,
  maxLineBytes,
  noCounts,
  type CountedLine,
  type Counts,
  type Line,
  type LineOf,
} from './lines.ts';
import { splitLines } from './split-lines.ts';
import { storeStanding } from './standing-import.ts';

export interface Imported {
  readonly rooms: number;
  /** Stored or replaced; the others were there. */
  readonly messages: number;
}

/** What is wrong with the file, where, and up to where it was stored. */
export class ImportError extends Error {
  readonly line: number;

  constructor(line: number, why: string, stored: string, cause?: unknown) {
    super(`Line ${line}: ${why}\n${stored}`, { cause });
    this.name = 'ImportError';
    this.line = line;
  }
}

const batchRows = 500;
const batchBytes = 4 * 1024 * 1024;

export type Item = LineOf<CountedLine | 'user'>;

interface OpenRoom {
  readonly line: LineOf<'room'>;
  /** It was here before, with members who may hold some of it. */
  readonly shared: boolean;
  next: number;
  applied: number;
  readonly seen: Counts;
}

/** @throws {ImportError} */
export async function importLines(sql: postgres.Sql, input: AsyncIterable<string | Uint8Array>): Promise<Imported> {
  const run = new Import(sql);
  try {
    for await (const text of splitLines(input, maxLineBytes)) await run.take(text);
  } catch (error) {
    throw run.failure(error);
  }
  await run.end();
  return { rooms: run.rooms, messages: run.messages };
}

class Wrong extends Error {}

class Import {
  readonly #sql: postgres.Sql;
  #number = 0;
  #format: number | undefined = undefined;
  #ended = false;
  #room: OpenRoom | undefined = undefined;
  #waiting: { readonly item: Item; readonly number: number; readonly json: string }[] = [];
  #waitingBytes = 0;
  /** All before this line is stored. */
  #stored = 0;
  #where = 'nothing of a room';
  rooms = 0;
  messages = 0;
  #inFile = 0;

  constructor(sql: postgres.Sql) {
    this.#sql = sql;
  }

  failure(error: unknown): ImportError {
    const stored =
      this.#stored === 0
        ? 'Nothing was stored.'
        : `Stored: all up to line ${this.#stored} (${this.#where}). Mend it and run it again: what is stored is skipped.`;
    if (error instanceof BatchError) return new ImportError(error.line, error.message, stored, error.cause);
    const number = error instanceof RangeError || error instanceof TypeError ? this.#number + 1 : this.#number;
    const why =
      error instanceof TypeError
        ? 'not UTF-8.'
        : error instanceof RangeError
          ? `${error.message}.`
          : error instanceof Wrong || error instanceof ParleyError
            ? error.message
            : `the database failed: ${error instanceof Error ? error.message : String(error)}`;
    return new ImportError(number, why, stored, error);
  }

  async take(text: string): Promise<void> {
    this.#number++;
    const line = parse(text);
    if (this.#format === undefined) {
      if (line.type !== 'export') throw new Wrong('the file does not begin with an export line.');
      if (line.format < 1 || line.format > format) {
        throw new Wrong(`format ${line.format}; this Parley reads ${format} and before.`);
      }
      this.#format = line.format;
      return;
    }
    if (this.#ended) throw new Wrong('there is more behind the end.');
    if (line.type === 'export') throw new Wrong('a second export line.');
    if (line.type === 'end') return this.#end(line);
    if (line.type === 'room') return this.#open(line);
    const room = this.#room;
    if (room === undefined) throw new Wrong(`a ${line.type} line outside of a room.`);
    if (line.type === 'room:end') return this.#close(room, line);
    this.#check(room, line);
    const json = rowOf(line);
    this.#waiting.push({ item: line, number: this.#number, json });
    this.#waitingBytes += json.length;
    if (this.#waiting.length >= batchRows || this.#waitingBytes >= batchBytes) await this.#flush(room);
  }

  /** @throws {ImportError} if the file stops before its end. */
  async end(): Promise<void> {
    if (this.#ended) return;
    try {
      if (this.#room !== undefined) await this.#flush(this.#room);
      throw new Wrong('the file ends here, before its end line: it was cut off.');
    } catch (error) {
      throw this.failure(error);
    }
  }

  #end(line: LineOf<'end'>): void {
    if (this.#room !== undefined) throw new Wrong(`the end, inside of room ${this.#room.line.id}.`);
    if (line.rooms !== this.rooms || line.messages !== this.#inFile) {
      throw new Wrong(
        `it counts ${line.rooms} rooms and ${line.messages} messages; there were ${this.rooms} and ${this.#inFile}.`,
      );
    }
    this.#ended = true;
  }

  async #open(line: LineOf<'room'>): Promise<void> {
    if (this.#room !== undefined) throw new Wrong(`room ${line.id} begins inside of room ${this.#room.line.id}.`);
    if (line.first > line.seq + 1) throw new Wrong(`its first message is ${line.first}, its last ${line.seq}.`);
    const sql = this.#sql;
    const { id, kind, name, createdBy, createdAt, first, retentionDays } = line;
    await sql`
      insert into rooms (id, kind, name, created_by, created_at, last_seq, first_seq, retention_days, topic, archived_at,
        slow_mode_s, senders, edit_window_s)
      values (${id}, ${kind}, ${name}, ${createdBy}, ${createdAt}::timestamptz, ${first - 1}, ${first}, ${retentionDays},
        ${line.topic ?? null}, ${line.archivedAt ?? null}::timestamptz, ${line.slowMode ?? 0}, ${line.senders ?? 'all'},
        ${line.editWindow ?? null})
      on conflict (id) do update set created_at = excluded.created_at where rooms.created_at > excluded.created_at`;
    const [held] = await sql<{ kind: string; last_seq: number; first_seq: number; shared: boolean }[]>`
      select kind, last_seq, first_seq, exists (select from members where room_id = id) as shared from rooms where id = ${id}`;
    if (held === undefined) throw new Wrong(`room ${id} was deleted while it was read.`);
    if (held.kind !== kind) throw new Wrong(`room ${id} is a ${held.kind} here, not a ${kind}.`);
    if (first > held.last_seq + 1) {
      throw new Wrong(
        `room ${id} begins with message ${first}; here it ends with ${held.last_seq}, so some would be missing.`,
      );
    }
    this.#room = { line, shared: held.shared, next: first, applied: 0, seen: noCounts() };
    this.#progress(this.#number, `room ${id} is begun`);
  }

  #check(room: OpenRoom, line: Item): void {
    const { seen } = room;
    if (line.type === 'user') return;
    if (line.type === 'message') {
      if (line.seq !== room.next) throw new Wrong(`message ${line.seq} where ${room.next} is next.`);
      if (line.seq > room.line.seq) throw new Wrong(`message ${line.seq} in a room that ends with ${room.line.seq}.`);
      if (line.rev > room.line.rev) throw new Wrong(`rev ${line.rev} in a room whose last is ${room.line.rev}.`);
      if ((line.replyTo ?? 0) >= line.seq)
        throw new Wrong(`message ${line.seq} answers ${line.replyTo}, which comes later.`);
      if (line.thread !== undefined && line.thread > (line.replyTo ?? 0))
        throw new Wrong(
          `message ${line.seq} is in the thread of ${line.thread}, which comes later than what it answers.`,
        );
      if ((line.pinnedAt === undefined) !== (line.pinnedBy === undefined))
        throw new Wrong(`message ${line.seq} is pinned by nobody or at no time.`);
      room.next++;
    } else if (line.type === 'version' || line.type === 'reaction' || line.type === 'mention') {
      if (line.seq >= room.next) throw new Wrong(`a ${line.type} of message ${line.seq}, which has not come yet.`);
    } else if (room.next !== room.line.seq + 1) {
      throw new Wrong(`${countedLines[line.type]} before message ${room.next}: messages are missing.`);
    }
    if (line.type === 'follow' && line.root > room.line.seq)
      throw new Wrong(`the thread of message ${line.root} in a room that ends with ${room.line.seq}.`);
    seen[countedLines[line.type]]++;
  }

  async #close(room: OpenRoom, end: LineOf<'room:end'>): Promise<void> {
    const { line, seen } = room;
    if (end.id !== line.id) throw new Wrong(`the end of room ${end.id} inside of room ${line.id}.`);
    if (room.next !== line.seq + 1) throw new Wrong(`room ${line.id} ends before message ${room.next}.`);
    for (const what of Object.values(countedLines)) {
      if (end[what] !== seen[what]) throw new Wrong(`it counts ${end[what]} ${what}; there were ${seen[what]}.`);
    }
    await this.#flush(room);
    await this.#sql.begin((tx) => this.#settle(tx, room));
    this.#room = undefined;
    this.rooms++;
    this.#inFile += seen.messages;
    this.#progress(this.#number, `room ${line.id} is whole`);
  }

  /** The whole room is there: what the file says of it must be true of the tables now. */
  async #settle(tx: postgres.TransactionSql, { line, shared, applied }: OpenRoom): Promise<void> {
    const { id } = line;
    const [now] = await tx<{ first_seq: number; last_seq: number; last_rev: number; purged_rev: number }[]>`
      select first_seq, last_seq, last_rev, purged_rev from rooms where id = ${id} for no key update`;
    const [sums] = await tx<{ messages: number; revs: number; top: number; miscounted: number | null }[]>`
      select count(*) as messages, count(distinct rev) as revs, coalesce(max(rev), 0) as top, (
        select min(coalesce(c.seq, r.seq)) from (select * from reaction_counts where room_id = ${id}) c
        full join (
          select seq, emoji, count(*) as n from reactions where room_id = ${id} group by seq, emoji
        ) r on r.seq = c.seq and r.emoji = c.emoji where c.count is distinct from r.n) as miscounted
      from messages where room_id = ${id} and seq >= ${now?.first_seq ?? 1}`;
    if (now === undefined || sums === undefined) throw new Wrong(`room ${id} was deleted while it was read.`);
    if (sums.messages !== now.last_seq - now.first_seq + 1) throw new Wrong(`room ${id} has gaps in its numbers.`);
    if (sums.revs !== sums.messages) throw new Wrong(`room ${id} has two messages of one rev.`);
    if (sums.miscounted !== null) throw new Wrong(`the reactions of message ${sums.miscounted} do not add up.`);
    if (applied > 0) await tx`select recount_threads(${id}, ${this.#format === 1})`;
    if (applied === 0 && now.last_rev >= line.rev) return;
    // some of it may have revs that the search index has passed: it takes the room in anew
    await tx`delete from search_rooms where room_id = ${id}`;
    let rev = Math.max(line.rev, now.last_rev);
    // cursors of members are from before what came now, some of it with lower revs
    if (shared && applied > 0) rev = Math.max(rev, now.last_rev) + 1;
    // the head has no row: that of a message which has expired, or is older than the export
    const purged = rev > sums.top ? rev : now.purged_rev;
    await tx`update rooms set last_rev = ${rev}, purged_rev = ${purged} where id = ${id}`;
  }

  async #flush(room: OpenRoom): Promise<void> {
    const batch = this.#waiting;
    if (batch.length === 0) return;
    this.#waiting = [];
    this.#waitingBytes = 0;
    const of = (type: Item['type']): string =>
      `[${batch.flatMap(({ item, json }) => (item.type === type ? json : [])).join(',')}]`;
    const applied = await this.#sql.begin(async (tx) => {
      const { id } = room.line;
      // all by keys: while the tables grow from nothing the planner has no numbers, and would read them whole each time
      await tx`set local enable_seqscan = off`;
      await tx`set local enable_hashjoin = off`;
      await tx`set local enable_mergejoin = off`;
      await tx`select from rooms where id = ${id} for no key update`;
      await tx`
        insert into users (id, name) select distinct on (u.id) u.id, u.name from (
          select * from jsonb_to_recordset(${of('user')}::text::jsonb) as x (id text, name text)
          union all
          select "user", name from jsonb_to_recordset(${of('member')}::text::jsonb) as x ("user" text, name text)
        ) u order by u.id
        on conflict (id) do update set name = excluded.name where users.name is null and excluded.name is not null`;
      const count = await this.#messages(tx, id, of('message'), batch);
      await tx`
        insert into message_versions (room_id, seq, version, body, edited_by, at)
        select ${id}, v.seq, v.version, nullif(v.body, 'null'), v.by, to_timestamp(v.at / 1000.0)
        from jsonb_to_recordset(${of('version')}::text::jsonb) as v (seq bigint, rev bigint, version integer, body jsonb, by text, at bigint)
        join messages t on t.room_id = ${id} and t.seq = v.seq and t.rev = v.rev
        on conflict (room_id, seq, version) do nothing`;
      await tx`
        insert into reactions (room_id, seq, user_id, emoji, created_at)
        select ${id}, r.seq, r."user", r.emoji, to_timestamp(r.at / 1000.0)
        from jsonb_to_recordset(${of('reaction')}::text::jsonb) as r (seq bigint, rev bigint, "user" text, emoji text, at bigint)
        join messages t on t.room_id = ${id} and t.seq = r.seq and t.rev = r.rev
        on conflict (room_id, seq, user_id, emoji) do nothing`;
      await tx`
        insert into mentions (room_id, seq, user_id, at)
        select ${id}, n.seq, n."user", to_timestamp(n.at / 1000.0)
        from jsonb_to_recordset(${of('mention')}::text::jsonb) as n (seq bigint, rev bigint, "user" text, at bigint)
        join messages t on t.room_id = ${id} and t.seq = n.seq and t.rev = n.rev
        on conflict (room_id, seq, user_id) do nothing`;
      await storeStanding(tx, { room: id, shared: room.shared }, of);
      const joined = await tx`
        insert into members (room_id, user_id, role, last_read_seq, last_delivered_seq, joined_at, muted_until)
        select ${id}, m."user", m.role, least(m.read, r.last_seq), least(m.delivered, r.last_seq), to_timestamp(m."joinedAt" / 1000.0),
          case when m.muted is not null then coalesce(to_timestamp((m.muted ->> 'until')::bigint / 1000.0), 'infinity') end
        from jsonb_to_recordset(${of('member')}::text::jsonb) as m (
          "user" text, role text, read bigint, delivered bigint, "joinedAt" bigint, muted jsonb)
        join rooms r on r.id = ${id}
        on conflict (room_id, user_id) do nothing`;
      if (joined.count > 0) await tx`update rooms set member_count = member_count + ${joined.count} where id = ${id}`;
      return count;
    });
    room.applied += applied;
    this.messages += applied;
    const last = batch.at(-1);
    this.#progress(
      last?.number ?? this.#stored,
      `room ${room.line.id} up to message ${lastSeq(batch) ?? room.next - 1}`,
    );
  }

  async #messages(
    tx: postgres.TransactionSql,
    room: string,
    json: string,
    batch: readonly { readonly item: Item; readonly number: number }[],
  ): Promise<number> {
    if (json === '[]') return 0;
    const refuse = (seq: number, why: string): never => {
      const found = batch.find(({ item }) => item.type === 'message' && item.seq === seq);
      throw new BatchError(found?.number ?? this.#number, why);
    };
    const sent = batch.flatMap(({ item }) => (item.type === 'message' ? item : []));
    // by a range of one key: a join by keys is planned while the tables are empty, and reads the whole room for each row
    const held = await tx<{ seq: number; id: string }[]>`
      select seq, id from messages
      where room_id = ${room} and seq between ${sent[0]?.seq ?? 0} and ${sent.at(-1)?.seq ?? 0} order by seq`;
    const ids = new Map(held.map(({ seq, id }) => [seq, id]));
    for (const { seq, id } of sent) {
      const here = ids.get(seq) ?? id;
      if (here !== id)
        refuse(seq, `room ${room} has another message ${seq} here, ${here}: this file and the room have parted.`);
    }
    const twice = new Set<string>();
    for (const { seq, id } of sent) {
      if (twice.size === twice.add(id).size) refuse(seq, `the id of message ${seq} is another one's too.`);
    }
    const rows = await tx<{ seq: number }[]>`
      insert into messages as t (room_id, seq, id, rev, sender_id, body, reply_to, created_at, edited_at, deleted_at, changed,
        thread, pinned_at, pinned_by)
      select ${room}, b.seq, b.id, b.rev, b."from", nullif(b.body, 'null'), b."replyTo", to_timestamp(b.at / 1000.0),
        to_timestamp(b."editedAt" / 1000.0), to_timestamp(b."deletedAt" / 1000.0), coalesce(b.changed, false),
        b.thread, to_timestamp(b."pinnedAt" / 1000.0), b."pinnedBy"
      from jsonb_to_recordset(${json}::text::jsonb) as b (
        seq bigint, rev bigint, id uuid, "from" text, body jsonb, "replyTo" bigint, at bigint, "editedAt" bigint,
        "deletedAt" bigint, changed boolean, thread bigint, "pinnedAt" bigint, "pinnedBy" text)
      where b.seq >= (select first_seq from rooms where id = ${room})
      on conflict (room_id, seq) do update set rev = excluded.rev, sender_id = excluded.sender_id, body = excluded.body,
        edited_at = excluded.edited_at, deleted_at = excluded.deleted_at, changed = excluded.changed,
        pinned_at = excluded.pinned_at, pinned_by = excluded.pinned_by
      where t.rev < excluded.rev
      returning seq`.catch((error: unknown) => {
      const { code, detail = '' } = error as { code?: string; detail?: string };
      const seq = code === '23505' ? sent.find(({ id }) => detail.includes(id))?.seq : undefined;
      if (seq === undefined) throw error;
      return refuse(seq, `the id of message ${seq} is another one's too.`);
    });
    if (rows.length === 0) return 0;
    const seqs = rows.map(({ seq }) => seq);
    // a file of format 1 says nothing of mentions
    const told = ['message_versions', 'reactions', 'reaction_counts', ...(this.#format === 1 ? [] : ['mentions'])];
    for (const table of told) {
      await tx`delete from ${tx(table)} where room_id = ${room} and seq = any (${seqs}::bigint[])`;
    }
    await tx`
      insert into reaction_counts (room_id, seq, emoji, count, first_rev)
      select ${room}, b.seq, k.v ->> 0, (k.v ->> 1)::integer, (k.v ->> 2)::bigint
      from jsonb_to_recordset(${json}::text::jsonb) as b (seq bigint, reactions jsonb)
      cross join lateral jsonb_array_elements(b.reactions) as k (v)
      where b.seq = any (${seqs}::bigint[]) on conflict do nothing`;
    await tx`
      update rooms set last_seq = greatest(last_seq, b.seq), last_rev = greatest(last_rev, b.rev) from (
        select max(seq) as seq, max(rev) as rev from jsonb_to_recordset(${json}::text::jsonb) as b (seq bigint, rev bigint)
        where seq = any (${seqs}::bigint[])
      ) b where id = ${room}`;
    return rows.length;
  }

  #progress(line: number, where: string): void {
    this.#stored = line;
    this.#where = where;
  }
}

/** A line of a batch is at fault, which is not the line that is being read. */
class BatchError extends Error {
  readonly line: number;

  constructor(line: number, why: string) {
    super(why);
    this.line = line;
  }
}

function lastSeq(batch: readonly { readonly item: Item }[]): number | undefined {
  const last = batch.findLast(({ item }) => item.type === 'message')?.item;
  return last?.type === 'message' ? last.seq : undefined;
}

function parse(text: string): Line {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Wrong('no JSON.');
  }
  const parsed = lineSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Wrong(`${issue?.path.map(String).join('.') ?? ''}: ${issue?.message ?? 'not a line of an export'}.`);
}

/** As it goes to Postgres. Bodies pass the check that those of sends do. */
function rowOf(item: Item): string {
  if (item.type !== 'message' && item.type !== 'version') return JSON.stringify(item);
  const { body, ...rest } = item;
  if (body === undefined) throw new Wrong('body: missing.');
  if (body === null && item.type === 'message' && item.deletedAt === undefined) {
    throw new Wrong(`message ${item.seq} has no body, but was not deleted.`);
  }
  return `${JSON.stringify(rest).slice(0, -1)},"body":${body === null ? 'null' : encodeBody(body)}}`;
}
