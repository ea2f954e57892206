-- What is kept, found again, and let go: delivered marks, unread counts, search, retention, forgetting users.

-- Up to where a member's devices have messages; what was read was delivered, so the later of the two counts.
alter table members add column last_delivered_seq bigint not null default 0;

-- Messages before first_seq have expired, and purged_rev is the rev at which the last of them did: who holds a cursor
-- before it may hold messages that are no more. Up to their heads rooms have a row for each rev, or for a later one of the
-- same message, except for those revs and for the revs of messages that expired.
alter table rooms
  add column first_seq bigint not null default 1,
  add column purged_rev bigint not null default 0;

create index rooms_that_expire on rooms (id) where retention_days is not null or first_seq > 1;

-- Work that one node does, once in a while: it takes it by moving due_at on.
create table chores (
  name text collate "C" primary key,
  due_at timestamptz not null
);

-- Moves delivered marks forward, as mark_read does read marks. In rooms of more than max_members they are not kept.
-- Returns one row an input: its place from 1, where the mark stands (null: no member, or not kept), whether it moved.
create function mark_delivered(batch json, max_members integer)
returns table (n integer, mark bigint, moved boolean)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off -- as append_messages
as $$
#variable_conflict use_column
begin
  return query
  with input as materialized (
    select e.ord::integer as n, e.r as room_id, e.u as user_id, e.s as seq
    from rows from (json_to_recordset(batch) as (r text, u text, s bigint)) with ordinality as e (r, u, s, ord)
  ), standing as materialized (
    select i.n, m.room_id, m.user_id, greatest(m.last_delivered_seq, m.last_read_seq) as was, least(i.seq, r.last_seq) as target
    from input i
    join members m on m.room_id = i.room_id and m.user_id = i.user_id
    join rooms r on r.id = i.room_id and r.member_count <= max_members
    order by m.room_id, m.user_id for no key update of m
  ), written as (
    update members m set last_delivered_seq = s.target from standing s
    where m.room_id = s.room_id and m.user_id = s.user_id and s.target > s.was
  )
  select i.n, greatest(s.was, s.target), coalesce(s.target > s.was, false)
  from input i left join standing s on s.n = i.n order by i.n;
end $$;

-- The rooms of a user in id order: where the read mark stands, messages that have expired counted as read.
create function unread_marks(viewer text, after text, max_rooms integer)
returns table (id text, last_seq bigint, mark bigint)
language sql stable as $$
  select r.id, r.last_seq, greatest(m.last_read_seq, r.first_seq - 1)
  from members m join rooms r on r.id = m.room_id
  where m.user_id = viewer and m.room_id > after
  order by m.room_id limit max_rooms
$$;

-- The same with what they have not read: unread is at most max_unread, and so are mentions, those of everybody ('*') among
-- them. The table of mentions may be of another migration; as long as there is none, nobody is mentioned.
create function unread_rooms(viewer text, after text, max_rooms integer, max_unread integer)
returns table (room text, read bigint, seq bigint, unread bigint, mentions bigint, at timestamptz)
language plpgsql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
begin
  if to_regclass('mentions') is null then
    return query
    select y.id, y.mark, y.last_seq, least(greatest(y.last_seq - y.mark, 0), max_unread), 0::bigint, t.created_at
    from unread_marks(viewer, after, max_rooms) y
    left join messages t on t.room_id = y.id and t.seq = y.last_seq
    order by y.id;
    return;
  end if;
  return query
  select y.id, y.mark, y.last_seq, least(greatest(y.last_seq - y.mark, 0), max_unread), c.mentions, t.created_at
  from unread_marks(viewer, after, max_rooms) y
  left join messages t on t.room_id = y.id and t.seq = y.last_seq
  cross join lateral (
    select count(*) as mentions from (
      select from mentions x
      where x.room_id = y.id and x.seq > y.mark and x.user_id in (viewer, '*') limit max_unread) known
  ) c
  order by y.id;
end $$;

-- The first message of a room that was committed at that moment or later; past its last one if there is none. Seqs are
-- dense and in the order of time, so it is found by halving: 20 look-ups in a room of a million.
create function first_since(room text, moment timestamptz) returns bigint
language plpgsql stable
set enable_seqscan = off
as $$
declare
  low bigint;
  high bigint;
  middle bigint;
  sent timestamptz;
begin
  select first_seq, last_seq + 1 into low, high from rooms where id = room;
  while low < high loop
    middle := (low + high) / 2;
    select created_at into sent from messages where room_id = room and seq = middle;
    if sent >= moment then
      high := middle;
    else
      low := middle + 1;
    end if;
  end loop;
  return low;
end $$;

-- Messages before `first` are no more, from the next rev on: nobody reads them, whenever their rows go. Null: nothing to do.
-- redo: again at the same place, since rows behind it were changed after they had expired.
create function expire_messages(room text, first bigint, redo boolean, out rev bigint, out outbox_id bigint)
language plpgsql as $$
begin
  update rooms set first_seq = greatest(first_seq, first), last_rev = last_rev + 1, purged_rev = last_rev + 1
  where id = room and first <= last_seq + 1 and (first_seq < first or redo)
  returning last_rev into rev;
  if rev is not null then
    insert into outbox (entries)
    values (jsonb_build_array(jsonb_build_object('room', room, 'from', rev, 'to', rev, 'lanes', null)))
    returning id into outbox_id;
  end if;
end $$;

-- Deletes rows of messages that have expired, and what belongs to them, at most so many. Takes no lock of the room:
-- nobody who writes waits for it. Rows that a change reached after they had expired are left: see `redo` above.
create function delete_expired(room text, most integer, out removed integer, out remain boolean)
language plpgsql
set enable_seqscan = off
as $$
declare
  first bigint;
  purged bigint;
  gone bigint[];
begin
  select r.first_seq, r.purged_rev into first, purged from rooms r where r.id = room;
  with victims as materialized (
    select seq from messages where room_id = room and seq < first and rev <= purged order by seq limit most
  ), dead as (
    delete from messages m using victims v
    where m.room_id = room and m.seq = v.seq and m.rev <= purged
    returning m.seq
  )
  select coalesce(array_agg(seq), '{}') into gone from dead;
  removed := cardinality(gone);
  if removed > 0 then
    delete from message_versions v where v.room_id = room and v.seq = any (gone);
    delete from reactions r where r.room_id = room and r.seq = any (gone);
    delete from reaction_counts c where c.room_id = room and c.seq = any (gone);
    delete from message_search s where s.room_id = room and s.seq = any (gone);
    if to_regclass('mentions') is not null then
      delete from mentions t where t.room_id = room and t.seq = any (gone);
    end if;
    if to_regclass('threads') is not null then
      delete from threads t where t.room_id = room and t.root = any (gone);
      delete from thread_follows t where t.room_id = room and t.root = any (gone);
    end if;
  end if;
  remain := exists (select from messages where room_id = room and seq < first);
end $$;

-- Search. The words of messages stand in a table of their own, which is filled after the commit (search-index.ts): an
-- index on messages itself would be paid for by every send. rev: up to where a room has been taken in.
create table search_rooms (
  room_id text collate "C" primary key,
  rev bigint not null default 0,
  language text not null
);

-- words: the text's, and four that no text has, for they begin with U+0001: r<room>, u<sender>, d<day since 1970>, and
-- m<32 days since 1970>. So one index finds the words of a room in the last days or weeks, without reading what else has
-- them. Rows of a room that is no more are nobody's, and go in batches.
create table message_search (
  room_id text collate "C" not null,
  seq bigint not null,
  at timestamptz not null,
  words tsvector not null,
  primary key (room_id, seq)
);

-- Without the list of pending entries, which each search would have to go through; whoever fills it has time.
create index message_search_words on message_search using gin (words) with (fastupdate = off);

-- What of a body is searched: `text` of an object, or a text; nothing of one that is encrypted.
create function search_text(body jsonb) returns text language sql immutable parallel safe as $$
  select case jsonb_typeof(body)
    when 'string' then body #>> '{}'
    when 'object' then case when not body ? 'encrypted' and jsonb_typeof(body -> 'text') = 'string' then body ->> 'text' end
  end
$$;

-- Letters beyond ASCII have small forms in a database of the locale C too, such as the embedded one.
do $$
begin
  create collation search_letters (provider = builtin, locale = 'C.UTF-8'); -- Postgres 17 and later
exception when others then
  begin
    create collation search_letters (provider = libc, locale = 'C.utf8');
  exception when others then
    create collation search_letters from "C";
  end;
end $$;

-- What a text is found by: words between punctuation. The parser alone takes node.js for a host, a/b for a path, <b> for a
-- tag; search.ts writes queries in the same way.
create function search_words(lang text, content text) returns tsvector language sql stable parallel safe as $$
  select to_tsvector(lang::regconfig, lower(translate(content,
    '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', '                                ') collate search_letters))
$$;

create function search_day(moment timestamptz) returns integer language sql immutable parallel safe as $$
  select floor(extract(epoch from moment) / 86400)::integer
$$;

-- Takes in what changed in these rooms, of each at most so many messages in rev order. Returns how many there were, and whether there are more.
create function index_messages(room_ids text[], lang text, most integer)
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
      from messages t where t.room_id = room and t.rev > reached order by t.rev limit most
    ), dropped as (
      delete from message_search x using changed c
      where c.content is null and x.room_id = room and x.seq = c.seq
    ), kept as (
      insert into message_search (room_id, seq, at, words)
      select room, c.seq, c.created_at, search_words(lang, c.content) || array_to_tsvector(
        array[E'\x01r' || room, E'\x01u' || c.sender_id, E'\x01d' || search_day(c.created_at), E'\x01m' || search_day(c.created_at) / 32])
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

-- The words of one field, as a query that any text matches which has one of them.
create function search_any(kind text, names text[]) returns tsquery language sql immutable parallel safe as $$
  select string_agg('''' || E'\x01' || kind || n || '''', '|')::tsquery from unnest(names) as n
$$;

-- What somebody looks for: websearch_to_tsquery of `query`, and a word that begins with `prefix`.
create function search_query(lang text, query text, prefix text) returns tsquery language sql stable as $$
  select case when prefix = '' then q when numnode(q) = 0 then p when numnode(p) = 0 then q else q && p end
  from (
    select websearch_to_tsquery(lang::regconfig, query) as q,
      case when prefix <> '' then to_tsquery(lang::regconfig, '''' || prefix || ''':*') end as p
  ) as parts
$$;

-- Messages that a user may see and that match, newest first: at most so many.
--   room, sender    null: any
--   since, until    of their times; null: any
--   last_*          the last message of the page before; null: the first page
-- It looks at the last two days, then at the last 32 to 64, then at all, until there are enough: so the matches that are
-- read, to be put in the order of time, are few, however common the word is. The index is asked for one room at a time: a
-- query with a choice of 300 rooms took it seconds. Of a user in more than max_scope it is asked for all, and what matches
-- for membership.
create function search_messages(
  viewer text, look_for tsquery, room text, sender text, since timestamptz, until timestamptz,
  last_at timestamptz, last_room text, last_seq bigint, most integer, max_scope integer
) returns table (room_id text, seq bigint)
language plpgsql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  scope text[];
  scoped tsquery;
  dated tsquery;
  latest timestamptz := least(until, last_at, clock_timestamp() + interval '1 minute');
  days integer;
  oldest timestamptz;
  edge double precision;
  wide boolean;
  last_look boolean;
  found_rooms text[];
  found_seqs bigint[];
begin
  scope := array(
    select m.room_id from members m where m.user_id = viewer and (room is null or m.room_id = room) limit max_scope + 1);
  if cardinality(scope) = 0 then
    return;
  end if;
  scoped := look_for;
  wide := cardinality(scope) > max_scope;
  if sender is not null then
    scoped := scoped && search_any('u', array[sender]);
  end if;
  foreach days in array array[2, 64, 0] loop
    oldest := coalesce(since, '-infinity');
    if days = 2 then
      dated := scoped && search_any('d', array[search_day(latest)::text, (search_day(latest) - 1)::text]);
      edge := (search_day(latest) - 1) * 86400.0;
    elsif days = 64 then
      dated := scoped && search_any('m', array[(search_day(latest) / 32)::text, (search_day(latest) / 32 - 1)::text]);
      edge := (search_day(latest) / 32 - 1) * 32 * 86400.0;
    else
      dated := scoped;
    end if;
    -- nothing older is wanted
    last_look := days = 0 or since >= to_timestamp(edge);
    if wide then
      select coalesce(array_agg(f.room_id order by f.at desc, f.room_id desc, f.seq desc), '{}'),
        coalesce(array_agg(f.seq order by f.at desc, f.room_id desc, f.seq desc), '{}')
      into found_rooms, found_seqs
      from (
        select s.room_id, s.seq, s.at from message_search s
        join members m on m.user_id = viewer and m.room_id = s.room_id
        join rooms r on r.id = s.room_id and s.seq >= r.first_seq
        where s.words @@ dated and s.at >= oldest and (until is null or s.at < until)
          and (last_at is null or (s.at, s.room_id, s.seq) < (last_at, last_room, search_messages.last_seq))
        order by s.at desc, s.room_id desc, s.seq desc limit most
      ) f;
    else
      select coalesce(array_agg(f.room_id order by f.at desc, f.room_id desc, f.seq desc), '{}'),
        coalesce(array_agg(f.seq order by f.at desc, f.room_id desc, f.seq desc), '{}')
      into found_rooms, found_seqs
      from (
        select x.room_id, x.seq, x.at from unnest(scope) as o (id)
        join rooms r on r.id = o.id
        cross join lateral (
          select s.room_id, s.seq, s.at from message_search s
          where s.words @@ (dated && search_any('r', array[o.id])) and s.seq >= r.first_seq
            and s.at >= oldest and (until is null or s.at < until)
            and (last_at is null or (s.at, s.room_id, s.seq) < (last_at, last_room, search_messages.last_seq))
          order by s.at desc, s.seq desc limit most
        ) x
        order by x.at desc, x.room_id desc, x.seq desc limit most
      ) f;
    end if;
    exit when last_look or cardinality(found_seqs) = most;
  end loop;
  return query select * from unnest(found_rooms, found_seqs);
end $$;
