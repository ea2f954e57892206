create table chores (
  name text collate "C" not null,
  due_at timestamp with time zone not null,
  constraint chores_pkey PRIMARY KEY (name)
);

create table members (
  room_id text collate "C" not null,
  user_id text collate "C" not null,
  role text not null,
  last_read_seq bigint not null default 0,
  joined_at timestamp with time zone not null default clock_timestamp(),
  last_delivered_seq bigint not null default 0,
  constraint members_pkey PRIMARY KEY (room_id, user_id),
  constraint members_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'admin'::text, 'member'::text, 'guest'::text]))),
  constraint members_room_id_fkey FOREIGN KEY (room_id) REFERENCES rooms(id) ON DELETE CASCADE,
  constraint members_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
) with (fillfactor=80);
CREATE INDEX members_by_user ON public.members USING btree (user_id, room_id);

create table membership_changes (
  xid xid8 not null default pg_current_xact_id(),
  room_id text collate "C" not null,
  user_id text collate "C" not null,
  at timestamp with time zone not null default clock_timestamp()
);
CREATE INDEX membership_changes_by_xid ON public.membership_changes USING btree (xid);

create table message_search (
  room_id text collate "C" not null,
  seq bigint not null,
  at timestamp with time zone not null,
  words tsvector not null,
  constraint message_search_pkey PRIMARY KEY (room_id, seq)
);
CREATE INDEX message_search_words ON public.message_search USING gin (words) WITH (fastupdate=off);

create table message_versions (
  room_id text collate "C" not null,
  seq bigint not null,
  version integer not null,
  body jsonb,
  edited_by text collate "C" not null,
  at timestamp with time zone not null,
  constraint message_versions_pkey PRIMARY KEY (room_id, seq, version)
);

create table messages (
  room_id text collate "C" not null,
  seq bigint not null,
  id uuid not null,
  rev bigint not null,
  sender_id text collate "C" not null,
  body jsonb,
  reply_to bigint,
  edited_at timestamp with time zone,
  deleted_at timestamp with time zone,
  created_at timestamp with time zone not null,
  changed boolean not null default false,
  constraint messages_pkey PRIMARY KEY (room_id, seq),
  constraint messages_room_id_id_key UNIQUE (room_id, id)
);
CREATE INDEX messages_by_rev ON public.messages USING btree (room_id, rev);

create table outbox (
  id bigint not null generated always as identity,
  entries jsonb not null,
  created_at timestamp with time zone not null default now(),
  constraint outbox_pkey PRIMARY KEY (id)
);

create table reaction_counts (
  room_id text collate "C" not null,
  seq bigint not null,
  emoji text collate "C" not null,
  count integer not null,
  first_rev bigint not null,
  constraint reaction_counts_pkey PRIMARY KEY (room_id, seq, emoji)
) with (fillfactor=70);

create table reactions (
  room_id text collate "C" not null,
  seq bigint not null,
  user_id text collate "C" not null,
  emoji text collate "C" not null,
  created_at timestamp with time zone not null,
  constraint reactions_pkey PRIMARY KEY (room_id, seq, user_id, emoji)
);

create table revocations (
  id bigint not null generated always as identity,
  xid xid8 not null default pg_current_xact_id(),
  user_id text collate "C" not null,
  token text collate "C",
  session text collate "C",
  issued_before bigint,
  spared text collate "C",
  spared_session text collate "C",
  reason text not null,
  created_at timestamp with time zone not null default clock_timestamp(),
  expires_at timestamp with time zone,
  constraint revocations_pkey PRIMARY KEY (id),
  constraint revocations_reason_check CHECK ((reason = ANY (ARRAY['user'::text, 'operator'::text])))
);
CREATE INDEX revocations_by_expiry ON public.revocations USING btree (expires_at);
CREATE INDEX revocations_by_user ON public.revocations USING btree (user_id);
CREATE INDEX revocations_by_xid ON public.revocations USING btree (xid);

create table rooms (
  id text collate "C" not null,
  kind text not null,
  name text,
  last_seq bigint not null default 0,
  last_rev bigint not null default 0,
  member_count integer not null default 0,
  created_by text collate "C" not null,
  created_at timestamp with time zone not null default now(),
  retention_days integer,
  first_seq bigint not null default 1,
  purged_rev bigint not null default 0,
  constraint rooms_kind_check CHECK ((kind = ANY (ARRAY['direct'::text, 'group'::text, 'channel'::text]))),
  constraint rooms_pkey PRIMARY KEY (id)
) with (fillfactor=70);
CREATE INDEX rooms_open ON public.rooms USING btree (id) WHERE (kind = 'channel'::text);
CREATE INDEX rooms_that_expire ON public.rooms USING btree (id) WHERE ((retention_days IS NOT NULL) OR (first_seq > 1));

create table schema_migrations (
  number integer not null,
  name text not null,
  checksum text not null,
  applied_at timestamp with time zone not null default now(),
  constraint schema_migrations_pkey PRIMARY KEY (number)
);

create table search_rooms (
  room_id text collate "C" not null,
  rev bigint not null default 0,
  language text not null,
  constraint search_rooms_pkey PRIMARY KEY (room_id)
);

create table users (
  id text collate "C" not null,
  name text,
  created_at timestamp with time zone not null default now(),
  constraint users_pkey PRIMARY KEY (id)
);

CREATE OR REPLACE FUNCTION public.add_member(room text, actor text, subject text, new_role text, max_members integer, max_rooms integer)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.append_messages(room_ids text[], batch jsonb, handed bigint[])
 RETURNS TABLE(n integer, outcome text, seq bigint, rev bigint, sent_at timestamp with time zone, outbox_id bigint)
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.change_messages(room_ids text[], batch jsonb, handed bigint[], window_ms bigint, max_kinds integer, max_versions integer)
 RETURNS TABLE(n integer, outcome text, rev bigint, at timestamp with time zone, total integer, outbox_id bigint, id uuid, sender_id text, name text, reply_to bigint, sent_at timestamp with time zone, edited_at timestamp with time zone, reactions text)
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
declare
  part record;
  change record;
  room_kind text;
  actor_role text;
  base bigint;
  head bigint;
  m messages;
  entries jsonb := '[]';
  noted bigint; -- the outbox row's id; the row is written last
  committed_at timestamptz;
begin
  if cardinality(handed) > 0 then
    delete from outbox where id = any (handed);
  end if;
  perform from rooms where id = any (room_ids) order by id for no key update;
  committed_at := date_trunc('milliseconds', clock_timestamp());
  noted := nextval(pg_get_serial_sequence('outbox', 'id'));
  for part in select p.v ->> 0 as room_id, p.v -> 1 as changes from jsonb_array_elements(batch) as p (v) loop
    select r.kind, r.last_rev into room_kind, base from rooms r where r.id = part.room_id;
    head := base;
    for change in
      select (c.v ->> 0)::integer as n, c.v ->> 1 as kind, (c.v ->> 2)::bigint as seq, c.v ->> 3 as actor,
        c.v -> 4 as body, c.v ->> 4 as emoji
      from jsonb_array_elements(part.changes) as c (v)
    loop
      n := change.n;
      outbox_id := null; total := null; id := null; sender_id := null; name := null; reply_to := null; sent_at := null; edited_at := null;
      reactions := null; rev := null; at := null;
      select x.role into actor_role from members x where x.room_id = part.room_id and x.user_id = change.actor;
      if base is null then
        outcome := 'not_found';
      elsif actor_role is null then
        outcome := case when room_kind = 'channel' then 'not_member' else 'not_found' end;
      elsif actor_role = 'guest' then
        outcome := 'forbidden';
      else
        select * into m from messages t where t.room_id = part.room_id and t.seq = change.seq;
        if not found then
          outcome := 'not_found';
        elsif change.kind = 'edit' then
          outcome := edit_message(
            m, change.actor, actor_role, change.body, head + 1, committed_at, window_ms, max_versions);
        elsif change.kind = 'delete' then
          outcome := delete_message(m, change.actor, actor_role, head + 1, committed_at, max_versions);
        else
          select x.outcome, x.total into outcome, total
          from react(m, change.actor, change.emoji, change.kind = 'add', head + 1, committed_at, max_kinds) as x;
        end if;
      end if;
      if outcome = 'changed' then
        head := head + 1;
        outbox_id := noted;
        rev := head;
        at := committed_at;
        id := m.id;
        if change.kind = 'edit' then
          sender_id := m.sender_id;
          reply_to := m.reply_to;
          sent_at := m.created_at;
          edited_at := committed_at;
          select u.name into name from users u where u.id = m.sender_id;
          select '[' || string_agg(
            '{"emoji":' || to_json(c.emoji)::text || ',"count":' || c.count || '}', ',' order by c.first_rev) || ']'
          into reactions from reaction_counts c where c.room_id = m.room_id and c.seq = m.seq;
        end if;
      elsif outcome = 'unchanged' then
        rev := m.rev;
        at := coalesce(m.deleted_at, m.edited_at, m.created_at);
      end if;
      return next;
    end loop;
    if head > base then
      update rooms r set last_rev = head where r.id = part.room_id;
      entries := entries || jsonb_build_object('room', part.room_id, 'from', base + 1, 'to', head, 'lanes', null);
    end if;
  end loop;
  if entries <> '[]' then
    insert into outbox (id, entries) overriding system value values (noted, entries);
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.create_room(room text, room_kind text, room_name text, creator text, peer text, max_rooms integer)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.delete_expired(room text, most integer, OUT removed integer, OUT remain boolean)
 RETURNS record
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.delete_message(m messages, actor text, actor_role text, next_rev bigint, changed_at timestamp with time zone, max_versions integer)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
begin
  if m.sender_id <> actor and actor_role not in ('owner', 'admin') then
    return 'forbidden';
  elsif m.deleted_at is not null then
    return 'unchanged';
  end if;
  if m.changed then
    delete from reactions r where r.room_id = m.room_id and r.seq = m.seq;
    delete from reaction_counts c where c.room_id = m.room_id and c.seq = m.seq;
    update message_versions v set body = null where v.room_id = m.room_id and v.seq = m.seq;
  end if;
  perform keep_version(m, null, actor, changed_at, max_versions);
  update messages t set body = null, rev = next_rev, deleted_at = changed_at, changed = true
  where t.room_id = m.room_id and t.seq = m.seq;
  return 'changed';
end $function$;

CREATE OR REPLACE FUNCTION public.edit_message(m messages, actor text, actor_role text, new_body jsonb, next_rev bigint, changed_at timestamp with time zone, window_ms bigint, max_versions integer)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
begin
  if m.deleted_at is not null then
    return 'not_found';
  elsif m.sender_id <> actor and actor_role not in ('owner', 'admin') then
    return 'forbidden';
  elsif m.body = new_body then
    return 'unchanged';
  elsif actor_role not in ('owner', 'admin') and window_ms > 0
    and changed_at > m.created_at + window_ms * interval '1 millisecond' then
    return 'too_late';
  end if;
  perform keep_version(m, m.body, actor, changed_at, max_versions);
  update messages t set body = new_body, rev = next_rev, edited_at = changed_at, changed = true
  where t.room_id = m.room_id and t.seq = m.seq;
  return 'changed';
end $function$;

CREATE OR REPLACE FUNCTION public.expire_messages(room text, first bigint, redo boolean, OUT rev bigint, OUT outbox_id bigint)
 RETURNS record
 LANGUAGE plpgsql
AS $function$
begin
  update rooms set first_seq = greatest(first_seq, first), last_rev = last_rev + 1, purged_rev = last_rev + 1
  where id = room and first <= last_seq + 1 and (first_seq < first or redo)
  returning last_rev into rev;
  if rev is not null then
    insert into outbox (entries)
    values (jsonb_build_array(jsonb_build_object('room', room, 'from', rev, 'to', rev, 'lanes', null)))
    returning id into outbox_id;
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.first_since(room text, moment timestamp with time zone)
 RETURNS bigint
 LANGUAGE plpgsql
 STABLE
 SET enable_seqscan TO 'off'
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.index_messages(room_ids text[], lang text, most integer)
 RETURNS TABLE(room text, indexed integer, more boolean)
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.keep_version(m messages, kept jsonb, actor text, changed_at timestamp with time zone, max_versions integer)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
declare
  added integer;
begin
  insert into message_versions (room_id, seq, version, body, edited_by, at)
  select m.room_id, m.seq, coalesce(max(v.version), 0) + 1, kept, actor, changed_at
  from message_versions v where v.room_id = m.room_id and v.seq = m.seq
  returning version into added;
  if added > max_versions then
    delete from message_versions v
    where v.room_id = m.room_id and v.seq = m.seq and v.version = added - max_versions + 1;
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.mark_delivered(batch json, max_members integer)
 RETURNS TABLE(n integer, mark bigint, moved boolean)
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.mark_read(batch json)
 RETURNS TABLE(n integer, mark bigint, moved boolean, member_count integer)
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.note_membership()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if tg_op = 'DELETE' then
    insert into membership_changes (room_id, user_id) values (old.room_id, old.user_id);
  else
    insert into membership_changes (room_id, user_id) values (new.room_id, new.user_id);
  end if;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.react(m messages, actor text, mark text, adding boolean, next_rev bigint, changed_at timestamp with time zone, max_kinds integer, OUT outcome text, OUT total integer)
 RETURNS record
 LANGUAGE plpgsql
AS $function$
begin
  if m.deleted_at is not null then
    outcome := 'not_found';
    return;
  end if;
  select c.count into total from reaction_counts c where c.room_id = m.room_id and c.seq = m.seq and c.emoji = mark;
  if total is null and adding
    and (select count(*) from reaction_counts c where c.room_id = m.room_id and c.seq = m.seq) >= max_kinds then
    outcome := 'limit_reached';
    return;
  end if;
  total := coalesce(total, 0);
  if adding then
    insert into reactions (room_id, seq, user_id, emoji, created_at)
    values (m.room_id, m.seq, actor, mark, changed_at) on conflict do nothing;
  else
    delete from reactions r
    where r.room_id = m.room_id and r.seq = m.seq and r.user_id = actor and r.emoji = mark;
  end if;
  if not found then
    outcome := 'unchanged';
    return;
  end if;
  total := total + case when adding then 1 else -1 end;
  if total = 0 then
    delete from reaction_counts c where c.room_id = m.room_id and c.seq = m.seq and c.emoji = mark;
  elsif adding and total = 1 then
    insert into reaction_counts (room_id, seq, emoji, count, first_rev) values (m.room_id, m.seq, mark, 1, next_rev);
  else
    update reaction_counts c set count = total where c.room_id = m.room_id and c.seq = m.seq and c.emoji = mark;
  end if;
  update messages t set rev = next_rev, changed = true where t.room_id = m.room_id and t.seq = m.seq;
  outcome := 'changed';
end $function$;

CREATE OR REPLACE FUNCTION public.remove_member(room text, subject text, OUT outcome text, OUT heir text)
 RETURNS record
 LANGUAGE plpgsql
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.revoke_all(subject text, spared_token text, its_issued bigint, kept_session text, why text)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
begin
  perform pg_advisory_xact_lock(hashtextextended('parley:revoke:' || subject, 0));
  if spared_token is not null and token_revoked(subject, spared_token, its_issued) then
    return false;
  end if;
  delete from revocations where user_id = subject and issued_before is not null;
  insert into revocations (user_id, issued_before, spared, spared_session, reason)
  values (subject, floor(extract(epoch from clock_timestamp()) * 1000), spared_token, kept_session, why);
  return true;
end $function$;

CREATE OR REPLACE FUNCTION public.search_any(kind text, names text[])
 RETURNS tsquery
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select string_agg('''' || E'\x01' || kind || n || '''', '|')::tsquery from unnest(names) as n
$function$;

CREATE OR REPLACE FUNCTION public.search_day(moment timestamp with time zone)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select floor(extract(epoch from moment) / 86400)::integer
$function$;

CREATE OR REPLACE FUNCTION public.search_messages(viewer text, look_for tsquery, room text, sender text, since timestamp with time zone, until timestamp with time zone, last_at timestamp with time zone, last_room text, last_seq bigint, most integer, max_scope integer)
 RETURNS TABLE(room_id text, seq bigint)
 LANGUAGE plpgsql
 STABLE
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.search_query(lang text, query text, prefix text)
 RETURNS tsquery
 LANGUAGE sql
 STABLE
AS $function$
  select case when prefix = '' then q when numnode(q) = 0 then p when numnode(p) = 0 then q else q && p end
  from (
    select websearch_to_tsquery(lang::regconfig, query) as q,
      case when prefix <> '' then to_tsquery(lang::regconfig, '''' || prefix || ''':*') end as p
  ) as parts
$function$;

CREATE OR REPLACE FUNCTION public.search_text(body jsonb)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select case jsonb_typeof(body)
    when 'string' then body #>> '{}'
    when 'object' then case when not body ? 'encrypted' and jsonb_typeof(body -> 'text') = 'string' then body ->> 'text' end
  end
$function$;

CREATE OR REPLACE FUNCTION public.search_words(lang text, content text)
 RETURNS tsvector
 LANGUAGE sql
 STABLE PARALLEL SAFE
AS $function$
  select to_tsvector(lang::regconfig, lower(translate(content,
    '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', '                                ') collate search_letters))
$function$;

CREATE OR REPLACE FUNCTION public.sharing_a_room(viewers text[], users text[])
 RETURNS SETOF integer
 LANGUAGE plpgsql
 STABLE
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
begin
  return query
  select p.n::integer
  from unnest(viewers, users) with ordinality as p (viewer, user_id, n)
  left join lateral (
    select true as shared from members a join members b on b.room_id = a.room_id and b.user_id = p.user_id
    where p.viewer <> p.user_id and a.user_id = p.viewer limit 1
  ) s on true
  where p.viewer = p.user_id or s.shared;
end $function$;

CREATE OR REPLACE FUNCTION public.token_revoked(subject text, its_hash text, issued bigint)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  select exists (
    select from revocations r where r.user_id = subject
      and (r.token = its_hash or r.issued_before > issued and r.spared is distinct from its_hash))
$function$;

CREATE OR REPLACE FUNCTION public.unread_marks(viewer text, after text, max_rooms integer)
 RETURNS TABLE(id text, last_seq bigint, mark bigint)
 LANGUAGE sql
 STABLE
AS $function$
  select r.id, r.last_seq, greatest(m.last_read_seq, r.first_seq - 1)
  from members m join rooms r on r.id = m.room_id
  where m.user_id = viewer and m.room_id > after
  order by m.room_id limit max_rooms
$function$;

CREATE OR REPLACE FUNCTION public.unread_rooms(viewer text, after text, max_rooms integer, max_unread integer)
 RETURNS TABLE(room text, read bigint, seq bigint, unread bigint, mentions bigint, at timestamp with time zone)
 LANGUAGE plpgsql
 STABLE
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
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
end $function$;

CREATE TRIGGER note_membership AFTER INSERT OR DELETE OR UPDATE OF role ON public.members FOR EACH ROW EXECUTE FUNCTION note_membership();
