-- Plans that do not depend on statistics, and a search whose cost does not grow with the rooms of who searches.

-- A message is found by its seq, its id or its rev in a room, each by an index that begins with room_id. Where the planner takes
-- a room to have one message, which it does of a new table and of one with many tiny rooms, any of these indices costs the
-- same for any of the three, and it takes the one that was made last: with messages_by_rev a look-up by id reads the
-- whole room (a batch of 100 in a room of 20,000: 700 ms against 7). A function and a prepared statement keep such a
-- plan until the next analyze. So an index serves only who names it: "POSIX" orders by bytes as "C" does, but is another
-- collation, and an index is used for its own alone. Plain `room_id = …` can go by the primary key, by seq, and by nothing
-- else; who looks for an id, a rev or a thread writes `room_id collate "POSIX" = …`, and puts the order of the index behind it.
alter table messages drop constraint messages_room_id_id_key;
drop index messages_by_rev;
drop index messages_by_thread;
create unique index messages_by_id on messages (room_id collate "POSIX", id);
create index messages_by_rev on messages (room_id collate "POSIX", rev);
create index messages_by_thread on messages (room_id collate "POSIX", thread, seq) where thread is not null;

-- As in 0005, but a message is looked up by its id in a form that only one index serves: of those in this collation that
-- one alone has ids in their order, and sorting is off. So the plan is the same with any statistics and with none.
create or replace function append_messages(room_ids text[], batch jsonb, handed bigint[])
returns table (n integer, outcome text, seq bigint, rev bigint, sent_at timestamptz, outbox_id bigint)
language plpgsql
-- Every table here is reached by a key. A plan made while tables are small would scan them, and a function keeps its plan
-- while they grow, until the next analyze.
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_sort = off set jit = off
as $$
#variable_conflict use_column
declare
  committed_at timestamptz;
  any_slow boolean;
  slowed integer[] := '{}';
begin
  if cardinality(handed) > 0 then
    delete from outbox where id = any (handed);
  end if;
  select bool_or(l.slow_mode_s > 0) into any_slow
  from (select slow_mode_s from rooms where id = any (room_ids) order by id for no key update) l;
  committed_at := date_trunc('milliseconds', clock_timestamp());
  if any_slow then
    slowed := slow_down(batch, committed_at);
  end if;
  return query
  with input as materialized (
    select e.n::integer as n, e.v ->> 0 as room_id, (e.v ->> 1)::uuid as id, e.v ->> 2 as sender_id, e.v -> 3 as body,
      (e.v ->> 4)::bigint as reply_to, e.v ->> 5 as lane
    from jsonb_array_elements(batch) with ordinality as e (v, n)
  ), judged as (
    select i.*, r.last_seq, r.last_rev, d.seq as old_seq, d.rev as old_rev, d.created_at as old_at,
      m.muted_until, m.last_sent_at, r.slow_mode_s,
      case
        when r.id is null then 'not_found'
        when m.role is null then case when r.kind = 'channel' then 'not_member' else 'not_found' end
        when m.role = 'guest' then 'forbidden'
        when d.seq is not null then case when d.sender_id = i.sender_id then 'duplicate' else 'conflict' end
        when r.archived_at is not null then 'archived'
        when m.muted_until > committed_at then 'muted'
        when r.senders = 'admins' and m.role = 'member' then 'admins_only'
        when i.reply_to > r.last_seq then 'no_reply_target'
        when i.n = any (slowed) then 'slow'
        else 'fresh'
      end as outcome
    from input i
    left join rooms r on r.id = i.room_id
    left join members m on m.room_id = i.room_id and m.user_id = i.sender_id
    left join lateral (
      select x.seq, x.rev, x.created_at, x.sender_id from messages x
      where x.room_id collate "POSIX" = i.room_id and x.id >= i.id and x.id <= i.id order by x.id limit 1
    ) d on true
  ), numbered as materialized (
    select *, count(*) filter (where outcome = 'fresh') over (partition by room_id order by n) as step from judged
  ), inserted as (
    insert into messages (room_id, seq, id, rev, sender_id, body, reply_to, created_at)
    select room_id, last_seq + step, id, last_rev + step, sender_id, body, reply_to, committed_at
    from numbered where outcome = 'fresh'
  ), moved as (
    select room_id, count(*) as steps, min(last_rev) as before,
      jsonb_object_agg(last_seq + step, lane) filter (where lane is not null) as lanes
    from numbered where outcome = 'fresh' group by room_id
  ), bumped as (
    update rooms set last_seq = last_seq + steps, last_rev = last_rev + steps from moved where id = moved.room_id
  ), noted as (
    insert into outbox (entries)
    select jsonb_agg(jsonb_build_object('room', room_id, 'from', before + 1, 'to', before + steps, 'lanes', lanes))
    from moved having count(*) > 0
    returning id
  )
  select s.n, s.outcome,
    case s.outcome when 'fresh' then s.last_seq + s.step else s.old_seq end,
    case s.outcome when 'fresh' then s.last_rev + s.step else s.old_rev end,
    case s.outcome
      when 'fresh' then committed_at
      when 'muted' then nullif(s.muted_until, 'infinity')
      when 'slow' then s.last_sent_at + s.slow_mode_s * interval '1 second'
      else s.old_at
    end,
    (select id from noted)
  from numbered s
  order by s.n;
end $$;

-- As in 0005, with the same look-up.
create or replace function slow_down(batch jsonb, committed_at timestamptz) returns integer[]
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_sort = off set jit = off
as $$
declare
  slowed integer[];
begin
  -- in the order of mark_read, which locks rows of members too
  perform from members m where (m.room_id, m.user_id) in (
    select e.v ->> 0, e.v ->> 2 from jsonb_array_elements(batch) as e (v)
    join rooms r on r.id = e.v ->> 0 where r.slow_mode_s > 0)
  order by m.room_id, m.user_id for no key update;
  with input as materialized (
    select e.n::integer as n, e.v ->> 0 as room_id, (e.v ->> 1)::uuid as id, e.v ->> 2 as sender_id,
      (e.v ->> 4)::bigint as reply_to
    from jsonb_array_elements(batch) with ordinality as e (v, n)
  ), concerned as materialized (
    -- those that append_messages would store
    select i.n, i.room_id, i.sender_id, m.last_sent_at + r.slow_mode_s * interval '1 second' as free_at,
      row_number() over (partition by i.room_id, i.sender_id order by i.n) as nth
    from input i
    join rooms r on r.id = i.room_id
    join members m on m.room_id = i.room_id and m.user_id = i.sender_id
    where r.slow_mode_s > 0 and m.role = 'member' and r.archived_at is null and r.senders = 'all'
      and (m.muted_until is null or m.muted_until <= committed_at) and (i.reply_to is null or i.reply_to <= r.last_seq)
      and (
        select d.seq from messages d
        where d.room_id collate "POSIX" = i.room_id and d.id >= i.id and d.id <= i.id order by d.id limit 1) is null
  ), noted as (
    update members m set last_sent_at = committed_at from concerned c
    where c.nth = 1 and (c.free_at is null or c.free_at <= committed_at)
      and m.room_id = c.room_id and m.user_id = c.sender_id
  )
  select array_agg(c.n) into slowed from concerned c where c.nth > 1 or c.free_at > committed_at;
  return coalesce(slowed, '{}');
end $$;

-- Search, in buckets of four days. The index has each word once a bucket ('5131hello'), so what was said in some days is one
-- look-up and reads nothing else; whoever searches goes back from the newest, in steps that grow, until there is
-- enough. message_search.words has the words alone, and r<room> and u<sender> behind U+0001.
drop function search_messages(text, tsquery, text, text, timestamptz, timestamptz, timestamptz, text, bigint, integer, integer);
drop function search_any(text, text[]);
drop function search_day(timestamptz);
drop index message_search_words;

-- Four digits, until the year 2079.
create function search_bucket(moment timestamptz) returns integer language sql immutable parallel safe as $$
  select floor(extract(epoch from moment) / 345600)::integer
$$;

-- The words as the index has them.
create function search_keys(words tsvector, at timestamptz) returns tsvector
language plpgsql immutable parallel safe as $$
declare
  bucket text := lpad(floor(extract(epoch from at) / 345600)::integer::text, 4, '0');
begin
  return array_to_tsvector(
    string_to_array(bucket || array_to_string(tsvector_to_array(words), E'\x02' || bucket), E'\x02'));
end $$;

-- In a query: the words of it that a message must have one or all of, in this bucket. What it excludes, and the order of
-- words in quotes, is for who looks at the message.
create function search_in(needed text, bucket integer) returns tsquery language sql immutable parallel safe as $$
  select regexp_replace(needed, '''([^'']+)''', '''' || lpad(bucket::text, 4, '0') || '\1''', 'g')::tsquery
$$;

create function search_needed(look_for tsquery) returns text language sql immutable parallel safe as $$
  select regexp_replace(querytree(look_for), '<(-|[0-9]+)>', '&', 'g')
$$;

truncate message_search;
create index message_search_by_time on message_search (at);
create index message_search_keys on message_search using gin (search_keys(words, at)) with (fastupdate = off);
update search_rooms set rev = 0; -- taken in anew, by the next look at all rooms

-- As in 0007, but for the words that stood for days and months.
create or replace function index_messages(room_ids text[], lang text, most integer)
returns table (room text, indexed integer, more boolean)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  head bigint;
  reached bigint;
begin
  insert into search_rooms (room_id, language)
  select id, lang from rooms where id = any (room_ids) order by id on conflict do nothing;
  for room, reached in
    select s.room_id, s.rev from search_rooms s where s.room_id = any (room_ids) order by s.room_id for no key update
  loop
    select last_rev into head from rooms where id = room;
    with changed as materialized (
      select t.seq, t.rev, t.sender_id, t.created_at, search_text(t.body) as content
      from messages t where t.room_id collate "POSIX" = room and t.rev > reached order by t.rev limit most
    ), dropped as (
      delete from message_search x using changed c
      where c.content is null and x.room_id = room and x.seq = c.seq
    ), kept as (
      insert into message_search (room_id, seq, at, words)
      select room, c.seq, c.created_at,
        search_words(lang, c.content) || array_to_tsvector(array[E'\x01r' || room, E'\x01u' || c.sender_id])
      from changed c where c.content is not null
      on conflict (room_id, seq) do update set words = excluded.words
    )
    select count(*), coalesce(max(c.rev), reached) into indexed, reached from changed c;
    more := indexed = most;
    -- short of a full page all up to the head was seen; a rev beyond the head read before it comes again, which does no harm
    update search_rooms s set rev = case when more then reached else greatest(head, reached) end, language = lang
    where s.room_id = room;
    return next;
  end loop;
end $$;

-- Messages that a user may see and that match, newest first: at most so many.
--   room, sender    null: any
--   since, until    of their times; null: any
--   last_*          the last message of the page before; null: the first page
--   look            how many of the newest messages are looked at, whatever they say
-- Two ways, for what is common and for what is rare:
-- 1. It looks at the newest messages: of a user in few rooms, or small ones, at those of each room, a share by its size; else
--    at everybody's, twice as many. What is common is found there, and so is everything in rooms that are small.
-- 2. It asks the index for four days, then for the eight before, and so on, and leaves out other people's rooms; of rooms
--    that are few, or where it has seen that many others say the word, the index is asked for those rooms alone.
create function search_messages(
  viewer text, look_for tsquery, room text, sender text, since timestamptz, until timestamptz,
  last_at timestamptz, last_room text, last_seq bigint, most integer, look integer
) returns table (room_id text, seq bigint)
language plpgsql stable rows 20 -- of 1000, the default, who asks would join all messages by hash
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_sort = off set jit = off
as $$
#variable_conflict use_column
declare
  wanted tsquery := look_for;
  needed text;
  latest timestamptz := least(until, last_at, clock_timestamp() + interval '1 minute');
  oldest timestamptz := coalesce(since, '-infinity');
  ids text[];
  firsts bigint[];
  lasts bigint[];
  amount bigint;
  scope jsonb;
  horizon timestamptz;
  found_rooms text[];
  found_seqs bigint[];
  more_rooms text[];
  more_seqs bigint[];
  first_at timestamptz;
  said integer := 0;
  low integer;
  high integer;
  span integer := 1;
begin
  select array_agg(r.id order by r.id), array_agg(r.first_seq order by r.id), array_agg(r.last_seq order by r.id),
    sum(r.last_seq - r.first_seq + 1), jsonb_object_agg(r.id, null), min(r.created_at)
  into ids, firsts, lasts, amount, scope, first_at
  from members m join rooms r on r.id = m.room_id
  where m.user_id = viewer and (room is null or m.room_id = room) and r.last_seq >= r.first_seq;
  if ids is null then
    return;
  end if;
  if sender is not null then
    wanted := wanted && ('''' || E'\x01u' || sender || '''')::tsquery;
  end if;
  if cardinality(ids) <= 8 and latest < now() then
    -- where the newest of them are is a few look-ups a room
    lasts := array(
      select first_since(o.id, latest + interval '1 millisecond') - 1 from unnest(ids) with ordinality as o (id, n) order by o.n);
  end if;
  if cardinality(ids) <= 8 or amount <= look then
    with room as materialized (
      select o.id collate "C" as id, o.first, o.last, ceil(look * (o.last - o.first + 1)::float / amount)::integer as share
      from unnest(ids, firsts, lasts) as o (id, first, last) where o.last >= o.first
    ), looked as materialized (
      select r.id, r.first, r.share, x.* from room r cross join lateral (
        select s.seq, s.at, s.words @@ wanted as hit from message_search s
        where s.room_id = r.id and s.seq between r.first and r.last order by s.seq desc limit r.share
      ) x
    ), cut as (
      -- a room of which there is more: below this nothing is known
      select max(c.edge) as edge from (
        select min(l.at) as edge from looked l group by l.id, l.first, l.share
        having count(*) = l.share and min(l.seq) > l.first) c
    ), hits as (
      select l.id, l.seq, l.at from looked l cross join cut c
      where l.hit and l.at > coalesce(c.edge, '-infinity') and l.at >= oldest and (until is null or l.at < until)
        and (last_at is null or (l.at, l.id, l.seq) < (last_at, last_room, search_messages.last_seq))
      order by l.at desc, l.id desc, l.seq desc limit most
    )
    select coalesce(array_agg(h.id order by h.at desc, h.id desc, h.seq desc), '{}'),
      coalesce(array_agg(h.seq order by h.at desc, h.id desc, h.seq desc), '{}'), (select c.edge from cut c)
    into found_rooms, found_seqs, horizon from hits h;
  else
    with newest as materialized (
      select s.room_id, s.seq, s.at, scope ? s.room_id as mine,
        case when cardinality(ids) <= 64 or scope ? s.room_id then s.words @@ wanted else false end as hit
      from message_search s where s.at <= latest order by s.at desc limit look * 2
    ), cut as (
      select min(n.at) as edge, count(*) filter (where n.hit) as said from newest n having count(*) = look * 2
    ), hits as (
      select n.room_id, n.seq, n.at from newest n join rooms r on r.id = n.room_id and n.seq >= r.first_seq
      where n.hit and n.mine and n.at > coalesce((select c.edge from cut c), '-infinity')
        and n.at >= oldest and (until is null or n.at < until)
        and (last_at is null or (n.at, n.room_id, n.seq) < (last_at, last_room, search_messages.last_seq))
      order by n.at desc, n.room_id desc, n.seq desc limit most
    )
    select coalesce(array_agg(h.room_id order by h.at desc, h.room_id desc, h.seq desc), '{}'),
      coalesce(array_agg(h.seq order by h.at desc, h.room_id desc, h.seq desc), '{}'),
      (select c.edge from cut c), (select c.said from cut c)
    into found_rooms, found_seqs, horizon, said from hits h;
  end if;
  if cardinality(found_seqs) = most or horizon is null or horizon < oldest then
    return query select * from unnest(found_rooms, found_seqs);
    return;
  end if;
  needed := search_needed(wanted);
  if cardinality(ids) <= 8 or (cardinality(ids) <= 64 and said > 5) then
    needed := '(' || needed || ') & ('
      || (select string_agg('''' || E'\x01r' || o.id || '''', '|') from unnest(ids) as o (id)) || ')';
  end if;
  low := search_bucket(greatest(oldest, first_at));
  high := search_bucket(latest);
  found_rooms := '{}';
  found_seqs := '{}';
  while high >= low and cardinality(found_seqs) < most loop
    select coalesce(array_agg(f.room_id order by f.at desc, f.room_id desc, f.seq desc), '{}'),
      coalesce(array_agg(f.seq order by f.at desc, f.room_id desc, f.seq desc), '{}')
    into more_rooms, more_seqs
    from (
      select x.room_id, x.seq, x.at
      from (
        select s.room_id, s.seq, s.at from generate_series(greatest(low, high - span + 1), high) as b (bucket)
        cross join lateral (
          select s.room_id, s.seq, s.at from message_search s
          where search_keys(s.words, s.at) @@ search_in(needed, b.bucket) and s.words @@ wanted and scope ? s.room_id
            and s.at >= oldest and (until is null or s.at < until)
            and (last_at is null or (s.at, s.room_id, s.seq) < (last_at, last_room, search_messages.last_seq))
          offset 0
        ) s
        offset 0
      ) x
      join rooms r on r.id = x.room_id and x.seq >= r.first_seq
      order by x.at desc, x.room_id desc, x.seq desc limit most - cardinality(found_seqs)
    ) f;
    found_rooms := found_rooms || more_rooms;
    found_seqs := found_seqs || more_seqs;
    high := high - span;
    span := least(span * 2, 64);
  end loop;
  return query select * from unnest(found_rooms, found_seqs);
end $$;

drop function rebuild_threads(text[]);

-- What mentions somebody after their read mark: the key has everybody's mentions there, thousands in a large room.
create index mentions_unread on mentions (room_id collate "POSIX", user_id, seq);

-- As in 0007, by that index.
create or replace function unread_rooms(viewer text, after text, max_rooms integer, max_unread integer)
returns table (room text, read bigint, seq bigint, unread bigint, mentions bigint, at timestamptz)
language plpgsql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
begin
  return query
  select y.id, y.mark, y.last_seq, least(greatest(y.last_seq - y.mark, 0), max_unread),
    -- two look-ups: asked for both users at once it reads what mentions anybody
    least(max_unread,
      (select count(*) from (
        select from mentions x
        where x.room_id collate "POSIX" = y.id and x.user_id = viewer and x.seq > y.mark limit max_unread) own)
      + (select count(*) from (
        select from mentions x
        where x.room_id collate "POSIX" = y.id and x.user_id = '*' and x.seq > y.mark limit max_unread) everybody)),
    t.created_at
  from unread_marks(viewer, after, max_rooms) y
  left join messages t on t.room_id = y.id and t.seq = y.last_seq
  order by y.id;
end $$;

-- Threads of a room whose messages came in another way than by append_messages: an import. Roots and answers that say
-- nothing of their thread have it from `find_thread`, since they come in the order of their numbers.
--   following  also who wrote in a thread follows it, for nothing else tells who did
create function recount_threads(room text, following boolean) returns void
language plpgsql
set enable_seqscan = off set enable_mergejoin = off set jit = off
as $$
begin
  update messages m set thread = m.seq
  from (select distinct r.thread from messages r where r.room_id = room and r.thread is not null) as x
  where m.room_id = room and m.seq = x.thread and m.thread is null;
  delete from threads t where t.room_id = room;
  insert into threads (room_id, root, replies, last_reply_at, repliers, rev)
  select room, r.root, sum(r.replies), max(r.at), (array_agg(r.sender_id order by r.last desc))[1:5], max(r.rev)
  from (
    select m.thread as root, m.sender_id, count(*) filter (where m.deleted_at is null) as replies,
      max(m.created_at) as at, max(m.seq) as last, max(m.rev) as rev
    from messages m where m.room_id = room and m.thread is not null and m.reply_to is not null
    group by m.thread, m.sender_id
  ) r group by r.root;
  if following then
    insert into thread_follows (room_id, root, user_id, read_seq, followed_at)
    select room, m.thread, m.sender_id, max(r.last_seq), max(m.created_at)
    from messages m join rooms r on r.id = m.room_id
    join members x on x.room_id = m.room_id and x.user_id = m.sender_id
    where m.room_id = room and m.thread is not null
    group by m.thread, m.sender_id
    on conflict do nothing;
  end if;
end $$;
