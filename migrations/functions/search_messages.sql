-- Messages that a user may see and that match, newest first.
-- Takes the viewer, the query, the room and the sender (null: any), and the times since and until (null: any).
-- last_at, last_room and last_seq name the last message of the page before (null: the first page). most: messages of
-- one page. `look` is the number of the newest messages that are read first.
-- Returns room and seq of each message. Locks nothing.
-- Two ways, for common and for rare words:
-- 1. The newest messages are read. For a user in few or small rooms, each room has a share by its size. Otherwise the
-- newest messages of all rooms are read, twice as many. Common words are found there, and so is everything in small
-- rooms.
-- 2. The index is read for four days, then for the eight before, and so on; other users' rooms are left out. If the
-- user has few rooms, or many others use a word, the index is read for the user's rooms alone.
--
-- Where times are not in the order of seqs (message_order), the times alone decide.
create or replace function search_messages(
  viewer text, look_for tsquery, room text, sender text, since timestamptz, until timestamptz, last_at timestamptz,
  last_room text, last_seq bigint, most integer, look integer
)
returns table (room_id text, seq bigint)
language plpgsql stable rows 20
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_sort = off set jit = off
as $$
#variable_conflict use_column
declare
  wanted tsquery := look_for;
  needed text;
  -- clocks may have been ahead
  latest timestamptz := least(until, last_at, clock_timestamp() + interval '10 days');
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
  mixed boolean;
  low integer;
  high integer;
  span integer := 1;
begin
  select array_agg(r.id order by r.id), array_agg(r.first_seq order by r.id), array_agg(r.last_seq order by r.id),
    sum(r.last_seq - r.first_seq + 1), jsonb_object_agg(r.id, null)
  into ids, firsts, lasts, amount, scope
  from members m join rooms r on r.id = m.room_id
  where m.user_id = viewer and (room is null or m.room_id = room) and r.last_seq >= r.first_seq;
  if ids is null then
    return;
  end if;
  if sender is not null then
    wanted := wanted && ('''' || E'\x01u' || sender || '''')::tsquery;
  end if;
  -- where times are not in the order of seqs the newest of a room are not its last
  mixed := exists (select from message_order o where o.room_id = any (ids));
  if cardinality(ids) <= 8 and latest < now() and not mixed then
    -- a few lookups a room find the newest messages up to that time
    lasts := array(
      select first_since(o.id, latest + interval '1 millisecond') - 1 from unnest(ids) with ordinality as o (id, n) order by o.n);
  end if;
  if amount <= look or (cardinality(ids) <= 8 and not mixed) then
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
  -- an import may have brought messages that are older than their room
  select min(x.at) into first_at from unnest(ids, firsts) as o (id, first)
  cross join lateral (
    (select s.at from message_search s where s.room_id = o.id and s.seq >= o.first order by s.seq limit 1)
    union all
    (select m.at from message_order m where m.room_id = o.id and not m.expired order by m.at limit 1)
  ) x;
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
