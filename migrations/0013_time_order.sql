-- The order of seqs is not the order of times: a clock may go back, and an import keeps the times of its file.
-- created_at stays the time that users see. Most messages also have the time of their place: no message with a lower seq
-- is younger. The few others have a row here, and nothing else pays for them: no column, no index of messages.
--   at          created_at of the message
--   ordered_at  the latest time of this message and of those with a lower seq; a time in the future counts as the moment
--               at which it was stored
--   expired     the message was older than its room keeps, between younger ones, and its row is gone. The seq stays taken.
create table message_order (
  room_id text collate "C" not null,
  seq bigint not null,
  at timestamptz not null,
  ordered_at timestamptz not null,
  expired boolean not null default false,
  primary key (room_id, seq)
);

-- Messages that were stored before this migration. One pass in the order of the primary key, without a sort; readers and
-- writers of messages wait for nothing. Measured: docs/decisions.md.
set local enable_seqscan = off;
set local enable_sort = off;
set local jit = off;
insert into message_order (room_id, seq, at, ordered_at)
select o.room_id, o.seq, o.created_at, o.ordered_at
from (
  select m.room_id, m.seq, m.created_at,
    max(least(m.created_at, now())) over (partition by m.room_id order by m.seq) as ordered_at
  from messages m
) o
where o.created_at <> o.ordered_at;
set local enable_seqscan = on;
set local enable_sort = on;

create index message_order_by_time on message_order (room_id, at) where not expired;

-- As in 0008, but the time of a message is at least that of the message before it, also if the clock went back.
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
  ahead jsonb;
begin
  if cardinality(handed) > 0 then
    delete from outbox where id = any (handed);
  end if;
  select bool_or(l.slow_mode_s > 0) into any_slow
  from (select slow_mode_s from rooms where id = any (room_ids) order by id for no key update) l;
  committed_at := date_trunc('milliseconds', clock_timestamp());
  -- A statement of its own: it sees what the lock waited for. One look-up a room; null unless a clock went back.
  select jsonb_object_agg(l.id, l.at) into ahead
  from (
    select u.id, coalesce(o.ordered_at, x.created_at) as at
    from unnest(room_ids) as u (id)
    cross join lateral (
      select m.seq, m.created_at from messages m where m.room_id = u.id order by m.seq desc limit 1
    ) x
    left join message_order o on o.room_id = u.id and o.seq = x.seq and x.created_at > committed_at
    where x.created_at > committed_at
  ) l
  where l.at > committed_at;
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
    select room_id, last_seq + step, id, last_rev + step, sender_id, body, reply_to,
      greatest(committed_at, (ahead ->> room_id)::timestamptz)
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
      when 'fresh' then greatest(committed_at, (ahead ->> s.room_id)::timestamptz)
      when 'muted' then nullif(s.muted_until, 'infinity')
      when 'slow' then s.last_sent_at + s.slow_mode_s * interval '1 second'
      else s.old_at
    end,
    (select id from noted)
  from numbered s
  order by s.n;
end $$;

-- As in 0007, but by `ordered_at` where a message is not at its time. The first message that was sent at that moment or later;
-- past the last one if there is none. Messages that come after it may be older.
create or replace function first_since(room text, moment timestamptz) returns bigint
language plpgsql stable
set enable_seqscan = off
as $$
declare
  low bigint;
  high bigint;
  middle bigint;
  sent timestamptz;
  start bigint;
  mixed boolean := exists (select from message_order o where o.room_id = room);
begin
  select first_seq, last_seq + 1 into start, high from rooms where id = room;
  low := start;
  while low < high loop
    middle := (low + high) / 2;
    sent := null;
    if mixed then
      select o.ordered_at into sent from message_order o where o.room_id = room and o.seq = middle;
    end if;
    if sent is null then
      select m.created_at into sent from messages m where m.room_id = room and m.seq = middle;
    end if;
    if sent >= moment then
      high := middle;
    else
      low := middle + 1;
    end if;
  end loop;
  if mixed then
    -- a time in the future, which counts as an earlier one in the order
    low := least(low, (
      select min(o.seq) from message_order o
      where o.room_id = room and o.at >= moment and o.seq >= start and not o.expired));
  end if;
  return low;
end $$;

-- From `start` on the first message that is not older than the cutoff. It reads each message that it passes, so none of them
-- is younger, whatever the order says; at most so many, and then `more` is true and `first` is where to go on.
create function first_kept(
  room text, cutoff timestamptz, start bigint, most integer, out first bigint, out more boolean
) language plpgsql stable
set enable_seqscan = off set enable_sort = off
as $$
declare
  passed integer;
begin
  select min(p.seq) filter (where p.kept), coalesce(max(p.seq) + 1, start), count(*)
  into first, start, passed
  from (
    select w.seq, w.created_at >= cutoff and not exists (
      select from message_order o where o.room_id = room and o.seq = w.seq and o.ordered_at < cutoff) as kept
    from (
      select m.seq, m.created_at from messages m where m.room_id = room and m.seq >= start order by m.seq limit most
    ) w
  ) p;
  more := first is null and passed = most;
  first := coalesce(first, start);
end $$;

-- Deletes rows of these messages, and what belongs to them. A part of delete_expired and of expire_late, which hold the
-- rows. Messages of threads that somebody else holds are left out.
--   purged  the rev at which they expired
create function remove_messages(room text, gone bigint[], purged bigint) returns bigint[]
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  first bigint;
  roots bigint[]; -- of the threads that they are in, or would be
  ours bigint[];
  held bigint[];
  ended bigint[];
begin
  select r.first_seq into first from rooms r where r.id = room;
  select coalesce(array_agg(distinct coalesce(t.thread, t.seq)), '{}') into roots
  from messages t where t.room_id = room and t.seq = any (gone);
  select coalesce(array_agg(f.root), '{}') into ours
  from (select t.root from threads t where t.room_id = room and t.root = any (roots) for update skip locked) f;
  select coalesce(array_agg(t.root), '{}') into held
  from threads t where t.room_id = room and t.root = any (roots) and t.root <> all (ours);
  with dead as (
    delete from messages m where m.room_id = room and m.seq = any (gone) and coalesce(m.thread, m.seq) <> all (held)
    returning m.seq, m.thread, m.reply_to is not null and m.deleted_at is null as counted
  ), recounted as (
    update threads t set replies = t.replies - d.replies, rev = greatest(t.rev, purged)
    from (select thread, count(*) as replies from dead where counted group by thread) d
    where t.room_id = room and t.root = d.thread
  )
  select coalesce(array_agg(seq), '{}') into gone from dead;
  if cardinality(gone) > 0 then
    delete from message_versions v where v.room_id = room and v.seq = any (gone);
    delete from reactions r where r.room_id = room and r.seq = any (gone);
    delete from reaction_counts c where c.room_id = room and c.seq = any (gone);
    delete from message_search s where s.room_id = room and s.seq = any (gone);
    delete from mentions t where t.room_id = room and t.seq = any (gone);
    select coalesce(array_agg(x.root), '{}') into ended from unnest(roots) as x (root)
    where x.root <> all (held) and not exists (
      select from messages m where m.room_id collate "POSIX" = room and m.thread = x.root and m.seq >= first);
    delete from threads t where t.room_id = room and t.root = any (ended);
    -- a send that is under way holds its author's, and waits for the thread
    with free as materialized (
      select f.root, f.user_id from thread_follows f where f.room_id = room and f.root = any (ended) for update skip locked
    )
    delete from thread_follows f using free where f.room_id = room and f.root = free.root and f.user_id = free.user_id;
  end if;
  return gone;
end $$;

-- As in 0011.
create or replace function delete_expired(room text, most integer, out removed integer, out remain boolean, out changed boolean)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  first bigint;
  purged bigint;
  gone bigint[];
begin
  select r.first_seq, r.purged_rev into first, purged from rooms r where r.id = room;
  select coalesce(array_agg(v.seq), '{}') into gone
  from (
    select t.seq from messages t where t.room_id = room and t.seq < first and t.rev <= purged
    order by t.seq limit most for update skip locked
  ) v;
  gone := remove_messages(room, gone, purged);
  removed := cardinality(gone);
  remain := exists (select from messages where room_id = room and seq < first);
  -- looked for at the end alone: it reads all that remain
  changed := removed = 0 and exists (select from messages where room_id = room and seq < first and rev > purged);
  if removed > 0 or not remain then
    delete from message_order o
    where o.room_id = room and o.seq < first and (not remain or o.seq <= (select max(g) from unnest(gone) as g));
  end if;
end $$;

-- Messages that are older than the cutoff and stand behind a younger one, where first_seq does not reach them: at most so
-- many. Their rows go at once, in the room's next rev, for no seq says that they have expired. Null rev: there are none, or
-- somebody else holds them.
create function expire_late(
  room text, cutoff timestamptz, most integer, out removed integer, out rev bigint, out outbox_id bigint
) language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  head bigint;
  gone bigint[];
begin
  select r.last_rev + 1 into head from rooms r where r.id = room for no key update;
  select coalesce(array_agg(v.seq), '{}') into gone
  from (
    select m.seq from message_order o
    join rooms r on r.id = room
    join messages m on m.room_id = o.room_id and m.seq = o.seq
    where o.room_id = room and not o.expired and o.at < cutoff and o.seq >= r.first_seq
    limit most for update of m skip locked
  ) v;
  gone := remove_messages(room, gone, head);
  removed := cardinality(gone);
  if removed = 0 then
    return;
  end if;
  rev := head;
  update message_order o set expired = true where o.room_id = room and o.seq = any (gone);
  update rooms r set last_rev = head, purged_rev = head where r.id = room;
  insert into outbox (entries)
  values (jsonb_build_array(jsonb_build_object('room', room, 'from', head, 'to', head, 'lanes', null)))
  returning id into outbox_id;
end $$;
