/** Stores a batch of an import's lines, all of one room: a transaction that leaves the room's messages dense. */
import type { postgres } from '../storage/sql.ts';
import type { Item } from './checked-lines.ts';
import type { LineOf } from './lines.ts';
import { storeRecords } from './records-import.ts';
import { WrongLine } from './wrong-line.ts';

export interface ImportRow {
  readonly item: Item;
  /** Its line in the file. */
  readonly number: number;
  /** The item as it goes to Postgres. */
  readonly json: string;
}

export interface BatchRoom {
  readonly line: LineOf<'room'>;
  /** The room existed with members before the import. */
  readonly shared: boolean;
  /** The format of the file. */
  readonly format: number;
}

/**
 * @param stored called in the transaction, with the number of messages that were stored or replaced.
 * @throws {WrongLine} for a message with the seq or the id of another one.
 */
export function storeBatch(
  sql: postgres.Sql,
  room: BatchRoom,
  batch: readonly ImportRow[],
  stored: (tx: postgres.TransactionSql, messages: number) => Promise<void> | void,
): Promise<void> {
  const { line, shared } = room;
  const { id } = line;
  /** The rows of a type, as a JSON list. */
  const of = (type: Item['type']): string =>
    `[${batch.flatMap(({ item, json }) => (item.type === type ? json : [])).join(',')}]`;
  // a shared room keeps its members as they are: users who left, were removed or banned, or got another role since
  const members = shared ? '[]' : of('member');
  return sql.begin(async (tx) => {
    // all by keys: while the tables grow from nothing the planner has no numbers, and would read them whole each time
    await tx`set local enable_seqscan = off`;
    await tx`set local enable_hashjoin = off`;
    await tx`set local enable_mergejoin = off`;
    const held = await tx`select from rooms where id = ${id} for no key update`;
    if (held.count === 0) throw new WrongLine(`room ${id} was deleted while it was read.`);
    await tx`
      insert into users (id, name) select distinct on (u.id) u.id, u.name from (
        select * from jsonb_to_recordset(${of('user')}::text::jsonb) as x (id text, name text)
        union all
        select "user", name from jsonb_to_recordset(${members}::text::jsonb) as x ("user" text, name text)
      ) u order by u.id
      on conflict (id) do update set name = excluded.name where users.name is null and excluded.name is not null`;
    await storeExpired(tx, id, of('expired'));
    const count = await storeMessages(tx, room, of('message'), batch);
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
      insert into mentions (room_id, seq, user_id, at, called_by)
      select ${id}, n.seq, n."user", to_timestamp(n.at / 1000.0), n.by
      from jsonb_to_recordset(${of('mention')}::text::jsonb) as n (seq bigint, rev bigint, "user" text, at bigint, by text)
      join messages t on t.room_id = ${id} and t.seq = n.seq and t.rev = n.rev
      on conflict (room_id, seq, user_id) do nothing`;
    await storeRecords(tx, { room: id, shared }, of);
    if (!shared) await storeMembers(tx, id, members);
    await stored(tx, count);
  });
}

async function storeMessages(
  tx: postgres.TransactionSql,
  { line: { id: room, rev: head }, shared, format }: BatchRoom,
  json: string,
  batch: readonly ImportRow[],
): Promise<number> {
  if (json === '[]') return 0;
  const refuse = (seq: number, why: string): never => {
    const found = batch.find(({ item }) => item.type === 'message' && item.seq === seq);
    throw new WrongLine(why, found?.number);
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
      refuse(
        seq,
        `room ${room} has another message ${seq} here, ${here}: this file and the room have different histories.`,
      );
  }
  const twice = new Set<string>();
  for (const { seq, id } of sent) {
    if (twice.size === twice.add(id).size) refuse(seq, `the id of message ${seq} is another one's too.`);
  }
  const rows = await tx<{ seq: number; rev: number; fresh: boolean }[]>`
    insert into messages as t (room_id, seq, id, rev, sender_id, body, reply_to, created_at, edited_at, deleted_at, changed,
      thread, pinned_at, pinned_by)
    select ${room}, b.seq, b.id, b.rev, b."from", nullif(b.body, 'null'), b."replyTo", to_timestamp(b.at / 1000.0),
      to_timestamp(b."editedAt" / 1000.0), to_timestamp(b."deletedAt" / 1000.0), coalesce(b.changed, false),
      b.thread, case when b."deletedAt" is null then to_timestamp(b."pinnedAt" / 1000.0) end,
      case when b."deletedAt" is null then b."pinnedBy" end
    from jsonb_to_recordset(${json}::text::jsonb) as b (
      seq bigint, rev bigint, id uuid, "from" text, body jsonb, "replyTo" bigint, at bigint, "editedAt" bigint,
      "deletedAt" bigint, changed boolean, thread bigint, "pinnedAt" bigint, "pinnedBy" text)
    where b.seq >= (select first_seq from rooms where id = ${room})
      -- expired here, between others
      and not exists (select from message_order o where o.room_id = ${room} and o.seq = b.seq and o.expired)
    on conflict (room_id, seq) do update set rev = excluded.rev, sender_id = excluded.sender_id, body = excluded.body,
      edited_at = excluded.edited_at, deleted_at = excluded.deleted_at, changed = excluded.changed,
      pinned_at = excluded.pinned_at, pinned_by = excluded.pinned_by
    where t.rev < excluded.rev
    returning seq, rev, xmax = 0 as fresh`.catch((error: unknown) => {
    const { code, detail = '' } = error as { code?: string; detail?: string };
    const seq = code === '23505' ? sent.find(({ id }) => detail.includes(id))?.seq : undefined;
    if (seq === undefined) throw error;
    return refuse(seq, `the id of message ${seq} is another one's too.`);
  });
  if (rows.length === 0) return 0;
  const seqs = rows.map(({ seq }) => seq);
  await storeOrder(
    tx,
    room,
    rows.flatMap(({ seq, fresh }) => (fresh ? seq : [])),
  );
  // a file of format 1 says nothing of mentions
  const replaced = ['message_versions', 'reactions', 'reaction_counts', ...(format === 1 ? [] : ['mentions'])];
  for (const table of replaced) {
    await tx`delete from ${tx(table)} where room_id = ${room} and seq = any (${seqs}::bigint[])`;
  }
  await tx`
    insert into reaction_counts (room_id, seq, emoji, count, first_rev)
    select ${room}, b.seq, k.v ->> 0, (k.v ->> 1)::integer, (k.v ->> 2)::bigint
    from jsonb_to_recordset(${json}::text::jsonb) as b (seq bigint, reactions jsonb)
    cross join lateral jsonb_array_elements(b.reactions) as k (v)
    where b.seq = any (${seqs}::bigint[]) on conflict do nothing`;
  const last = Math.max(...seqs);
  const rev = Math.max(...rows.map((row) => row.rev));
  // where members hold cursors from behind these revs it moves on behind all that the file has, and they get `reset`
  await (shared
    ? tx`
        update rooms set last_seq = greatest(last_seq, ${last}), last_rev = greatest(last_rev, ${head}) + 1,
          purged_rev = greatest(last_rev, ${head}) + 1 where id = ${room}`
    : tx`
        update rooms set last_seq = greatest(last_seq, ${last}), last_rev = greatest(last_rev, ${rev}) where id = ${room}`);
  return rows.length;
}

/** Messages that expired where the file comes from: their seqs stay taken. Messages that are here stay. */
async function storeExpired(tx: postgres.TransactionSql, room: string, json: string): Promise<void> {
  if (json === '[]') return;
  const stored = await tx<{ seq: number }[]>`
    insert into message_order (room_id, seq, at, ordered_at, expired)
    select ${room}, e.seq, to_timestamp(e.at / 1000.0), to_timestamp(e.at / 1000.0), true
    from jsonb_to_recordset(${json}::text::jsonb) as e (seq bigint, at bigint)
    where e.seq >= (select first_seq from rooms where id = ${room})
      and not exists (select from messages m where m.room_id = ${room} and m.seq = e.seq)
    on conflict do nothing returning seq`;
  const last = Math.max(0, ...stored.map(({ seq }) => seq));
  await tx`update rooms set last_seq = greatest(last_seq, ${last}) where id = ${room}`;
}

/**
 * Stores the order of the new messages, the last of the room, where it differs from their times. That concerns a message
 * older than an earlier one, and a message of the future, which counts as stored now (migrations/0013_time_order.sql).
 */
async function storeOrder(tx: postgres.TransactionSql, room: string, fresh: readonly number[]): Promise<void> {
  if (fresh.length === 0) return;
  const first = Math.min(...fresh);
  await tx`
    with before as materialized (
      select greatest(
        (select coalesce(o.ordered_at, m.created_at) from messages m
          left join message_order o on o.room_id = m.room_id and o.seq = m.seq
          where m.room_id = ${room} and m.seq < ${first} order by m.seq desc limit 1),
        (select o.ordered_at from message_order o where o.room_id = ${room} and o.seq < ${first} order by o.seq desc limit 1)
      ) as at
    ), placed as (
      select p.seq, p.at, p.expired, greatest((select b.at from before b), max(least(p.at, now())) over (order by p.seq)) as ordered_at
      from (
        select m.seq, m.created_at as at, false as expired from messages m where m.room_id = ${room} and m.seq >= ${first}
        union all
        select o.seq, o.ordered_at, true from message_order o where o.room_id = ${room} and o.seq >= ${first} and o.expired
      ) p
    )
    insert into message_order (room_id, seq, at, ordered_at, expired)
    select ${room}, p.seq, p.at, p.ordered_at, p.expired from placed p where p.at <> p.ordered_at
    on conflict (room_id, seq) do update set ordered_at = excluded.ordered_at`;
}

/** Stores no banned user. A kept mute applies as in `admit`. */
async function storeMembers(tx: postgres.TransactionSql, room: string, json: string): Promise<void> {
  if (json === '[]') return;
  const joined = await tx`
    insert into members (room_id, user_id, role, last_read_seq, last_delivered_seq, joined_at, muted_until, via)
    select ${room}, m."user",
      -- an earlier run stored the owner, who left meanwhile: the room has an heir
      case when m.role = 'owner' and exists (select from members o where o.room_id = ${room} and o.role = 'owner')
        then 'admin' else m.role end,
      least(m.read, r.last_seq), least(m.delivered, r.last_seq), to_timestamp(m."joinedAt" / 1000.0),
      case when m.muted is not null then coalesce(to_timestamp((m.muted ->> 'until')::bigint / 1000.0), 'infinity')
        when m.role in ('member', 'guest') then k.muted_until end,
      'added'
    from jsonb_to_recordset(${json}::text::jsonb) as m (
      "user" text, role text, read bigint, delivered bigint, "joinedAt" bigint, muted jsonb)
    join rooms r on r.id = ${room}
    left join kept_mutes k on k.room_id = ${room} and k.user_id = m."user"
    where not exists (select from bans b where b.room_id = ${room} and b.user_id = m."user")
    on conflict (room_id, user_id) do nothing`;
  await tx`
    delete from kept_mutes k
    where k.room_id = ${room} and exists (select from members m where m.room_id = ${room} and m.user_id = k.user_id)`;
  if (joined.count > 0) await tx`update rooms set member_count = member_count + ${joined.count} where id = ${room}`;
}
