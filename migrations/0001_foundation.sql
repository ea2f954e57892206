-- Users, rooms, members, messages, and the outbox.
-- Ids compare by bytes (collate "C"): faster, and the same order on every server and in PGlite.
-- Every unique key of the message tables begins with room_id, so that they can be distributed by room as they are.

create table users (
  id text collate "C" primary key,
  name text,
  created_at timestamptz not null default now()
);

create table rooms (
  id text collate "C" primary key,
  kind text not null check (kind in ('direct', 'group', 'channel')),
  name text,
  last_seq bigint not null default 0,
  last_rev bigint not null default 0,
  member_count integer not null default 0,
  created_by text collate "C" not null,
  created_at timestamptz not null default now()
) with (fillfactor = 70); -- the counters change with every commit: room on the page keeps those updates HOT

create index rooms_open on rooms (id) where kind = 'channel';

create table members (
  room_id text collate "C" not null references rooms on delete cascade,
  user_id text collate "C" not null references users on delete cascade,
  role text not null check (role in ('owner', 'admin', 'member', 'guest')),
  last_read_seq bigint not null default 0,
  joined_at timestamptz not null default clock_timestamp(),
  primary key (room_id, user_id)
) with (fillfactor = 80);

create index members_by_user on members (user_id, room_id);

-- No foreign keys: append_messages holds the room's row lock while it inserts, a check for every row would cost a lookup.
create table messages (
  room_id text collate "C" not null,
  seq bigint not null,
  id uuid not null,
  rev bigint not null,
  sender_id text collate "C" not null,
  body jsonb,
  reply_to bigint,
  edited_at timestamptz,
  deleted_at timestamptz,
  created_at timestamptz not null,
  primary key (room_id, seq),
  unique (room_id, id)
);

create index messages_by_rev on messages (room_id, rev);

-- One row a commit, of the same transaction: what has to be told to the world after it.
create table outbox (
  id bigint generated always as identity primary key,
  -- [{"room": id, "from": first rev, "to": last rev, "lanes": {seq: lane} of the messages that named one}]
  entries jsonb not null,
  created_at timestamptz not null default now()
);

-- Commits a batch of messages; the only writer of messages, seq and rev.
--   room_ids  the rooms of the batch, each once
--   batch     [[room, uuid, sender, body, reply_to, lane], …] in the order of arrival, each room and id once
--   handed    outbox rows of earlier batches whose events have been handed to fan-out; deleted
-- Returns one row an input, n = its place from 1:
--   fresh       stored now; seq, rev, sent_at
--   duplicate   this sender stored this id before; seq, rev, sent_at of that message
--   conflict    the id belongs to somebody else's message
--   not_found, not_member, forbidden, no_reply_target
-- Rooms are locked in id order, so two nodes cannot deadlock here; statements after the lock see what it waited for.
-- One pass: rows are joined by keys, numbered by one window and never joined with themselves, which the planner, who
-- knows nothing of the batch's size, would do by nested loops (500 rows: 97 ms against 35). Arrays in jsonb are taken
-- apart in 9 µs a message; json_to_recordset takes 21.
create function append_messages(room_ids text[], batch jsonb, handed bigint[])
returns table (n integer, outcome text, seq bigint, rev bigint, sent_at timestamptz, outbox_id bigint)
language plpgsql
-- Every table here is reached by a key. A plan made while tables are small would scan them, and a function keeps its plan
-- while they grow, until the next analyze.
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  committed_at timestamptz;
begin
  if cardinality(handed) > 0 then
    delete from outbox where id = any (handed);
  end if;
  perform from rooms where id = any (room_ids) order by id for no key update;
  committed_at := date_trunc('milliseconds', clock_timestamp());
  return query
  with input as materialized (
    select e.n::integer as n, e.v ->> 0 as room_id, (e.v ->> 1)::uuid as id, e.v ->> 2 as sender_id, e.v -> 3 as body,
      (e.v ->> 4)::bigint as reply_to, e.v ->> 5 as lane
    from jsonb_array_elements(batch) with ordinality as e (v, n)
  ), judged as (
    select i.*, r.last_seq, r.last_rev, d.seq as old_seq, d.rev as old_rev, d.created_at as old_at,
      case
        when r.id is null then 'not_found'
        when m.role is null then case when r.kind = 'channel' then 'not_member' else 'not_found' end
        when m.role = 'guest' then 'forbidden'
        when d.seq is not null then case when d.sender_id = i.sender_id then 'duplicate' else 'conflict' end
        when i.reply_to > r.last_seq then 'no_reply_target'
        else 'fresh'
      end as outcome
    from input i
    left join rooms r on r.id = i.room_id
    left join members m on m.room_id = i.room_id and m.user_id = i.sender_id
    left join messages d on d.room_id = i.room_id and d.id = i.id
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
    case s.outcome when 'fresh' then committed_at else s.old_at end,
    (select id from noted)
  from numbered s
  order by s.n;
end $$;

-- Makes a room and its first members, or says why not: created, exists (the caller may have it back), conflict, limit_reached.
create function create_room(
  room text, room_kind text, room_name text, creator text, peer text, max_rooms integer
) returns text language plpgsql as $$
begin
  insert into users (id) select u from unnest(array[creator, peer]) as u where u is not null order by u on conflict do nothing;
  if (select count(*) from members where user_id = creator) >= max_rooms
    and not exists (select from members where room_id = room and user_id = creator) then
    return 'limit_reached';
  end if;
  insert into rooms (id, kind, name, created_by, member_count)
  values (room, room_kind, room_name, creator, case when peer is null or peer = creator then 1 else 2 end)
  on conflict (id) do nothing;
  if not found then
    if exists (select from rooms r join members m on m.room_id = r.id and m.user_id = creator
               where r.id = room and r.kind = room_kind and (r.kind = 'direct' or r.created_by = creator)) then
      return 'exists';
    end if;
    return 'conflict';
  end if;
  insert into members (room_id, user_id, role)
  select room, u, case when room_kind = 'direct' then 'member' else 'owner' end
  from (select distinct u from unnest(array[creator, peer]) as u where u is not null) as founders;
  return 'created';
end $$;

-- Adds a member, or gives one another role. actor = subject: somebody joins a channel; else an owner or admin invites.
-- Returns joined, role (it changed), already, not_found, not_member, forbidden, limit_reached.
-- The room's row lock makes the counts true and puts this before or after any commit of messages.
create function add_member(
  room text, actor text, subject text, new_role text, max_members integer, max_rooms integer
) returns text language plpgsql as $$
declare
  room_kind text;
  members_now integer;
  actor_role text;
  subject_role text;
begin
  select kind, member_count into room_kind, members_now from rooms where id = room for no key update;
  if not found then
    return 'not_found';
  end if;
  select role into actor_role from members where room_id = room and user_id = actor;
  select role into subject_role from members where room_id = room and user_id = subject;
  if actor = subject then
    if subject_role is not null then
      return 'already';
    elsif room_kind <> 'channel' then
      return 'not_found';
    end if;
  elsif actor_role is null then
    return case when room_kind = 'channel' then 'not_member' else 'not_found' end;
  elsif room_kind = 'direct' or actor_role not in ('owner', 'admin') then
    return 'forbidden';
  elsif subject_role = new_role then
    return 'already';
  elsif subject_role = 'owner' or (actor_role <> 'owner' and 'admin' in (new_role, subject_role)) then
    return 'forbidden';
  elsif subject_role is not null then
    update members set role = new_role where room_id = room and user_id = subject;
    return 'role';
  end if;
  if members_now >= max_members or (select count(*) from members where user_id = subject) >= max_rooms then
    return 'limit_reached';
  end if;
  insert into users (id) values (subject) on conflict do nothing;
  -- what was said before they came is not unread
  insert into members (room_id, user_id, role, last_read_seq)
  select room, subject, new_role, last_seq from rooms where id = room;
  update rooms set member_count = member_count + 1 where id = room;
  return 'joined';
end $$;

-- Takes a member out of a channel or group: left, not_found, not_member, forbidden (a direct room).
-- heir: who became owner in their place, if the room was left without one.
create function remove_member(room text, subject text, out outcome text, out heir text) language plpgsql as $$
declare
  room_kind text;
  was text;
begin
  select kind into room_kind from rooms where id = room for no key update;
  select role into was from members where room_id = room and user_id = subject;
  if was is null then
    outcome := case when room_kind = 'channel' then 'not_member' else 'not_found' end;
    return;
  elsif room_kind = 'direct' then
    outcome := 'forbidden';
    return;
  end if;
  delete from members where room_id = room and user_id = subject;
  update rooms set member_count = member_count - 1 where id = room;
  if was = 'owner' and not exists (select from members where room_id = room and role = 'owner') then
    update members set role = 'owner'
    where room_id = room and user_id = (
      select user_id from members where room_id = room and role in ('admin', 'member')
      order by role, joined_at, user_id limit 1)
    returning user_id into heir;
  end if;
  outcome := 'left';
end $$;

-- Moves read marks forward. batch: [{"r": room, "u": user, "s": seq}], each room and user once.
-- Returns one row an input: its place from 1, where the mark stands (null: no member), whether it moved, and how many
-- members the room has, which decides who is told.
create function mark_read(batch json)
returns table (n integer, mark bigint, moved boolean, member_count integer)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off -- as above
as $$
#variable_conflict use_column
begin
  return query
  with input as materialized (
    select e.ord::integer as n, e.r as room_id, e.u as user_id, e.s as seq
    from rows from (json_to_recordset(batch) as (r text, u text, s bigint)) with ordinality as e (r, u, s, ord)
  ), standing as materialized (
    select i.n, m.room_id, m.user_id, m.last_read_seq, least(i.seq, r.last_seq) as target, r.member_count
    from input i
    join members m on m.room_id = i.room_id and m.user_id = i.user_id
    join rooms r on r.id = i.room_id
    order by m.room_id, m.user_id for no key update of m
  ), written as (
    update members m set last_read_seq = s.target from standing s
    where m.room_id = s.room_id and m.user_id = s.user_id and s.target > m.last_read_seq
  )
  select i.n, greatest(s.last_read_seq, s.target), coalesce(s.target > s.last_read_seq, false), s.member_count
  from input i left join standing s on s.n = i.n order by i.n;
end $$;
