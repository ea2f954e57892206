/**
 * Rooms, members and messages as a server has them after a year, made by SQL alone. The full size is that of the measurements
 * in docs/database.md (`bench/data.ts`). Tests of plans use a small one.
 *
 * Every figure of a room follows from its number, and every figure of a message from its seq. So each run makes the same, but
 * for UUIDs. All invariants of the tables hold. Seqs are dense, and counts are those of the rows. Each rev up to the head has a
 * row, or a later rev of the same message.
 */
import type postgres from 'postgres';

export interface DataSetRoom {
  readonly n: number;
  readonly id: string;
  readonly messages: number;
  readonly members: number;
}

export interface DataSet {
  readonly messages: number;
  readonly users: number;
  readonly rooms: number;
  /** The largest, and one of each smaller size. */
  readonly samples: readonly DataSetRoom[];
  /** Users in about 200 rooms of all sizes; the others are in a few. */
  readonly heavyUsers: number;
}

export interface DataSetOptions {
  readonly messages: number;
  /** Also the words of search; without them `search_rooms` says that nothing is taken in yet. */
  readonly search?: boolean;
  /** Connections that insert at once. */
  readonly atOnce?: number;
  readonly say?: (text: string) => void;
}

/** A fifth of all messages in one room, and so on down to rooms of 50. */
const tiers: readonly { readonly share: number; readonly rooms: number; readonly members: number }[] = [
  { share: 0.2, rooms: 1, members: 10_000 },
  { share: 0.18, rooms: 9, members: 1000 },
  { share: 0.2, rooms: 100, members: 100 },
  { share: 0.2, rooms: 2000, members: 20 },
];
const smallRoom = 50;
/** Every 20th message was changed: of ten of these six got reactions, three were edited, one was deleted. */
const changed = 'x.seq % 20 = 0';

/** Words are common as the n-th is about 1/n of all; `w0x` is the most common one, and each message has one of its own. */
export const dataSetWord = (n: number): string => `w${n.toString(36)}x`;
const words = 20_000;
/** Texts are drawn from these. */
const sentences = (messages: number): number => Math.min(100_000, Math.max(1000, Math.round(messages / 10)));
export const dataSetUser = (n: number): string => `user-${n}`;
/** The n-th of the heavy users. */
export const heavyUser = (n: number): string => `heavy-${n}`;

export async function makeDataSet(sql: postgres.Sql, options: DataSetOptions): Promise<DataSet> {
  const { messages, search = true, atOnce = 1, say = () => undefined } = options;
  const users = Math.max(200, Math.round(messages / 200));
  const heavyUsers = Math.max(5, Math.round(users / 100));
  await sql`create table data_set_rooms (n int primary key, id text not null, tier int not null, messages int not null, members int not null)`;
  let from = 0;
  for (const [tier, { share, rooms, members }] of tiers.entries()) {
    // a small set has fewer rooms, not emptier ones
    const count = Math.min(rooms, Math.max(1, Math.round((messages * share) / 100)));
    const each = Math.round((messages * share) / count);
    await addRooms(sql, { from, count, tier, each, members: Math.min(members, Math.round(users / 4)) });
    from += count;
  }
  const rest = Math.round((messages * 0.22) / smallRoom);
  await addRooms(sql, { from, count: rest, tier: tiers.length, each: smallRoom, members: 2 });
  const rooms = from + rest;
  await makeSentences(sql, sentences(messages));
  await sql`insert into users (id, name, created_at) select 'user-' || n, 'User ' || n, now() - interval '400 days' from generate_series(0, ${users - 1}::int) n`;
  await sql`insert into users (id, name, created_at) select 'heavy-' || n, 'Heavy ' || n, now() - interval '400 days' from generate_series(0, ${heavyUsers - 1}::int) n`;
  await sql`alter table members disable trigger note_membership`; // half a million notes that nobody reads
  await makeRooms(sql, users, heavyUsers);
  await sql`alter table members enable trigger note_membership`;
  say(`${rooms} rooms, ${users} users`);
  // the order of real sends: one slice of time after the other, which spreads a page of a room over the table
  const slices = Math.max(1, Math.round(messages / 250_000));
  let slice = 0;
  const worker = async (): Promise<void> => {
    while (slice < slices) {
      await makeMessages(sql, { slice: slice++, slices, users, heavyUsers });
      say(`${Math.round((slice * messages) / slices)} messages`);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  await sql`
    insert into threads (room_id, root, replies, last_reply_at, repliers, rev)
    select m.room_id, m.thread, count(*), max(m.created_at), (array_agg(distinct m.sender_id))[1:5], max(m.rev)
    from messages m where m.reply_to is not null group by m.room_id, m.thread`;
  await sql`
    insert into thread_follows (room_id, root, user_id, read_seq, followed_at)
    select room_id, thread, sender_id, max(seq), min(created_at) from messages
    where thread is not null group by room_id, thread, sender_id`;
  say('threads');
  if (search) await makeSearch(sql, say);
  say('search index');
  await sql`comment on table data_set_rooms is ${sql.unsafe(`'${JSON.stringify({ messages, users, rooms, heavyUsers })}'`)}`;
  const set = await findDataSet(sql);
  if (set === undefined) throw new Error('the data set is not there');
  return set;
}

/** The data set that `makeDataSet` made in this database. */
export async function findDataSet(sql: postgres.Sql): Promise<DataSet | undefined> {
  const [row] = await sql<{ made: string | null }[]>`select obj_description(to_regclass('data_set_rooms')) as made`;
  if (typeof row?.made !== 'string') return undefined;
  const made = JSON.parse(row.made) as Omit<DataSet, 'samples'>;
  const samples = await sql<DataSetRoom[]>`
    select n, id, messages, members from data_set_rooms
    where n in (select min(n) from data_set_rooms group by tier) order by n`;
  return { ...made, samples };
}

interface Tier {
  readonly from: number;
  readonly count: number;
  readonly tier: number;
  readonly each: number;
  readonly members: number;
}

async function addRooms(sql: postgres.Sql, { from, count, tier, each, members }: Tier): Promise<void> {
  await sql`
    insert into data_set_rooms select n, case when ${tier}::int = ${tiers.length}::int and n % 2 = 0 then 'direct:' || md5(n::text) else 'room-' || n end,
      ${tier}::int, ${each}::int, ${members}::int from generate_series(${from}::int, ${from + count - 1}::int) n`;
}

async function makeSentences(sql: postgres.Sql, count: number): Promise<void> {
  await sql`create table data_set_words (n int primary key, word text not null)`;
  await sql`
    insert into data_set_words select n - 1, w from unnest(${Array.from({ length: words }, (_, n) => dataSetWord(n))}::text[])
      with ordinality as t (w, n)`;
  await sql`create table data_set_sentences (n int primary key, text text not null, words tsvector not null)`;
  await sql`
    insert into data_set_sentences select n, t, search_words('simple', t) from (
      select s.n, string_agg(w.word, ' ') as t from (
        select n, floor(power(${words}::float, random()))::int - 1 as word
        from generate_series(0, ${count - 1}::int) n, generate_series(1, 11)) s
      join data_set_words w on w.n = s.word group by s.n) x`;
  await sql`analyze data_set_sentences`;
}

/** The k-th member of a room, but for its heavy users. */
export const dataSetMember = (set: DataSet, room: DataSetRoom, k: number): string =>
  dataSetUser((room.n * 7919 + (k % Math.min(room.members, 500)) * 13) % set.users);

/** The same in SQL. Neighbours in a room are spread over all users. */
const memberOf = (sql: postgres.Sql, users: number, k: postgres.Fragment): postgres.Fragment =>
  sql`'user-' || ((r.n::bigint * 7919 + (${k})::bigint * 13) % ${users}::int)`;

async function makeRooms(sql: postgres.Sql, users: number, heavyUsers: number): Promise<void> {
  await sql`
    insert into rooms (id, kind, name, topic, last_seq, last_rev, created_by, created_at)
    select r.id, case when r.id like 'direct:%' then 'direct' when r.n % 3 = 0 then 'channel' else 'group' end,
      case when r.id not like 'direct:%' then 'Room ' || r.n || ' of ' || (r.n % 97) end,
      case when r.n % 5 = 0 then 'about w' || r.n % 50 || 'x' end, r.messages, r.messages + r.messages / 20,
      ${memberOf(sql, users, sql`0`)}, now() - interval '1 year'
    from data_set_rooms r`;
  // most have read nearly all, some stopped long ago
  await sql`
    insert into members (room_id, user_id, role, last_read_seq, joined_at)
    select r.id, ${memberOf(sql, users, sql`k`)},
      case when r.id like 'direct:%' then 'member' when k = 0 then 'owner' when k < 4 then 'admin' when k % 50 = 49 then 'guest' else 'member' end,
      floor(r.messages * power(random(), 0.05))::bigint, now() - interval '1 year'
    from data_set_rooms r cross join lateral generate_series(0, r.members - 1) k on conflict do nothing`;
  await sql`
    insert into members (room_id, user_id, role, last_read_seq, joined_at)
    select r.id, 'heavy-' || h, 'member', floor(r.messages * power(random(), 0.05))::bigint, now() - interval '1 year'
    from generate_series(0, ${heavyUsers - 1}::int) h
    join data_set_rooms r on r.id not like 'direct:%' and (
      r.tier < 2 or (r.tier = 2 and (r.n + h) % 2 = 0) or (r.tier = 3 and (r.n + h) % 14 = 0)) on conflict do nothing`;
  await sql`update rooms r set member_count = m.n from (select room_id, count(*) as n from members group by room_id) m where m.room_id = r.id`;
}

async function makeMessages(
  sql: postgres.Sql,
  { slice, slices, users, heavyUsers }: { slice: number; slices: number; users: number; heavyUsers: number },
): Promise<void> {
  const sender = memberOf(sql, users, sql`(x.seq::bigint * 31) % least(r.members, 500)`);
  const other = memberOf(sql, users, sql`(x.seq::bigint * 17 + 1) % least(r.members, 500)`);
  const before = (of: number): postgres.Fragment => sql`(r.messages::bigint * ${of}::int / ${slices}::int)::int`;
  const rows = sql`data_set_rooms r cross join lateral generate_series(${before(slice)} + 1, ${before(slice + 1)}) as x (seq)`;
  // each room has its own phase: else the last messages of all were of one moment
  const at = sql`date_trunc('milliseconds', now() - interval '1 year' * (1 - (x.seq - r.n * 0.618034 % 1)::float / r.messages))`;
  const kind = sql`(x.seq / 20) % 10`;
  await sql.begin(async (tx) => {
    await tx`set local statement_timeout = 0`;
    await tx`set local synchronous_commit = off`;
    await tx`
      insert into messages (room_id, seq, id, rev, sender_id, body, reply_to, thread, edited_at, deleted_at, created_at,
        changed, pinned_at, pinned_by)
      select r.id, x.seq, gen_random_uuid(), case when ${tx.unsafe(changed)} then r.messages + x.seq / 20 else x.seq end, ${sender},
        case when ${tx.unsafe(changed)} and ${kind} = 9 then null
          else jsonb_build_object('text', s.text || ' m' || r.n || 'n' || x.seq) end,
        case when x.seq % 10 = 7 then x.seq - x.seq % 200 + 1 end,
        case when x.seq % 10 = 7 or x.seq % 200 = 1 then x.seq - x.seq % 200 + 1 end,
        case when ${tx.unsafe(changed)} and ${kind} in (6, 7, 8) then ${at} + interval '1 minute' end,
        case when ${tx.unsafe(changed)} and ${kind} = 9 then ${at} + interval '1 minute' end,
        ${at}, ${tx.unsafe(changed)},
        case when ${tx.unsafe(changed)} and ${kind} < 6 and x.seq <= 400 then ${at} end,
        case when ${tx.unsafe(changed)} and ${kind} < 6 and x.seq <= 400 then ${sender} end
      from ${rows} join data_set_sentences s on s.n = (r.n::bigint * 31 + x.seq::bigint * 7919) % (select count(*) from data_set_sentences)
      order by x.seq::float / r.messages`;
    await tx`
      insert into message_versions (room_id, seq, version, body, edited_by, at)
      select r.id, x.seq, 1, case when ${kind} < 9 then jsonb_build_object('text', 'before m' || x.seq) end, ${sender}, ${at} + interval '1 minute'
      from ${rows} where ${tx.unsafe(changed)} and ${kind} >= 6`;
    await tx`
      insert into reactions (room_id, seq, user_id, emoji, created_at)
      select r.id, x.seq, ${memberOf(sql, users, sql`k`)}, case when k % 2 = 0 then '👍' else '🎉' end, ${at}
      from ${rows} cross join lateral generate_series(0, least(r.members - 1, x.seq / 20 % 4)) k
      where ${tx.unsafe(changed)} and ${kind} < 6 on conflict do nothing`;
    await tx`
      insert into mentions (room_id, seq, user_id, at)
      select r.id, x.seq, ${other}, ${at} from ${rows} where x.seq % 30 = 11
      union all
      select r.id, x.seq, 'heavy-' || x.seq / 30 % ${heavyUsers}::int, ${at} from ${rows}
      where r.tier < 2 and x.seq % 30 = 14
      union all
      select r.id, x.seq, '*', ${at} from ${rows} where x.seq % 2000 = 13`;
    await tx`
      insert into reaction_counts (room_id, seq, emoji, count, first_rev)
      select c.room_id, c.seq, c.emoji, count(*), r.messages + c.seq / 20
      from data_set_rooms r join reactions c on c.room_id = r.id
      where c.seq > ${before(slice)} and c.seq <= ${before(slice + 1)}
      group by c.room_id, c.seq, c.emoji, r.messages`;
  });
}

/** As index_messages does it, but for the index, which is built at the end. */
export async function makeSearch(sql: postgres.Sql, say: (text: string) => void = () => undefined): Promise<void> {
  await sql.begin(async (tx) => {
    await tx`set local statement_timeout = 0`;
    await tx`set local synchronous_commit = off`;
    await tx`set local maintenance_work_mem = '512MB'`;
    const [index] = await tx<
      { definition: string }[]
    >`select pg_get_indexdef('message_search_keys'::regclass) as definition`;
    await tx`drop index message_search_keys`;
    await tx`
      insert into message_search (room_id, seq, at, words)
      select m.room_id, m.seq, m.created_at, s.words || array_to_tsvector(array[
        'm' || r.n || 'n' || m.seq, E'\x01r' || m.room_id, E'\x01u' || m.sender_id])
      from messages m join data_set_rooms r on r.id = m.room_id
      join data_set_sentences s on s.n = (r.n::bigint * 31 + m.seq * 7919) % (select count(*) from data_set_sentences)
      where m.body is not null`;
    say('words');
    await tx`insert into search_rooms (room_id, rev, language) select id, last_rev, 'simple' from rooms`;
    await tx.unsafe(index?.definition ?? '');
  });
}
