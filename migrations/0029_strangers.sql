-- A message or a change of a user who is no member is refused before the room is locked: strangers neither wait for the
-- room's members nor keep these waiting. Where only admins may send, members edit nothing either.
-- Runs beside: 0026

-- As in 0013, but a room is locked only if a sender of the batch is a member. Whoever has become a member since is refused as
-- if the message had come before that; whoever is no member any more is found under the lock.
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
  entered text[];
  closed jsonb; -- the rooms that are not locked, as its keys; null: there is none
begin
  if cardinality(handed) > 0 then
    delete from outbox where id = any (handed);
  end if;
  select array_agg(distinct m.room_id) into entered
  from jsonb_array_elements(batch) as e (v)
  join members m on m.room_id = e.v ->> 0 and m.user_id = e.v ->> 2;
  if cardinality(entered) is distinct from cardinality(room_ids) then
    select jsonb_object_agg(u.id, true) into closed
    from (select unnest(room_ids) except select unnest(entered)) as u (id);
  end if;
  select bool_or(l.slow_mode_s > 0) into any_slow
  from (select slow_mode_s from rooms where id = any (entered) order by id for no key update) l;
  committed_at := date_trunc('milliseconds', clock_timestamp());
  -- A statement of its own: it sees what the lock waited for. One look-up a room; null unless a clock went back.
  select jsonb_object_agg(l.id, l.at) into ahead
  from (
    select u.id, coalesce(o.ordered_at, x.created_at) as at
    from unnest(entered) as u (id)
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
        when m.role is null or closed ? i.room_id then
          case when r.kind = 'channel' then 'not_member' else 'not_found' end
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

-- As in 0011, with rooms locked as above.
create or replace function change_messages(
  room_ids text[], batch jsonb, handed bigint[], window_ms bigint, max_kinds integer, max_versions integer
) returns table (
  n integer, outcome text, rev bigint, at timestamptz, total integer, outbox_id bigint,
  id uuid, sender_id text, name text, reply_to bigint, sent_at timestamptz, edited_at timestamptz, reactions text
)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off -- as append_messages
as $$
#variable_conflict use_column
declare
  part record;
  change record;
  room_kind text;
  archived timestamptz;
  room_window_ms bigint;
  first bigint;
  actor_role text;
  muted timestamptz;
  base bigint;
  head bigint;
  m messages;
  entries jsonb := '[]';
  noted bigint; -- the outbox row's id; the row is written last
  committed_at timestamptz;
  entered text[];
  locked boolean;
begin
  if cardinality(handed) > 0 then
    delete from outbox where id = any (handed);
  end if;
  select array_agg(p.v ->> 0) into entered
  from jsonb_array_elements(batch) as p (v)
  where exists (
    select from jsonb_array_elements(p.v -> 1) as c (v)
    join members x on x.room_id = p.v ->> 0 and x.user_id = c.v ->> 3);
  perform from rooms where id = any (entered) order by id for no key update;
  committed_at := date_trunc('milliseconds', clock_timestamp());
  noted := nextval(pg_get_serial_sequence('outbox', 'id'));
  for part in select p.v ->> 0 as room_id, p.v -> 1 as changes from jsonb_array_elements(batch) as p (v) loop
    select r.kind, r.last_rev, r.archived_at, coalesce(r.edit_window_s * 1000::bigint, window_ms), r.first_seq
    into room_kind, base, archived, room_window_ms, first from rooms r where r.id = part.room_id;
    head := base;
    locked := coalesce(part.room_id = any (entered), false);
    for change in
      select (c.v ->> 0)::integer as n, c.v ->> 1 as kind, (c.v ->> 2)::bigint as seq, c.v ->> 3 as actor,
        c.v -> 4 as body, c.v ->> 4 as emoji
      from jsonb_array_elements(part.changes) as c (v)
    loop
      n := change.n;
      outbox_id := null; total := null; id := null; sender_id := null; name := null; reply_to := null; sent_at := null; edited_at := null;
      reactions := null; rev := null; at := null;
      select x.role, x.muted_until into actor_role, muted from members x where x.room_id = part.room_id and x.user_id = change.actor;
      if base is null then
        outcome := 'not_found';
      elsif actor_role is null or not locked then
        outcome := case when room_kind = 'channel' then 'not_member' else 'not_found' end;
      elsif actor_role = 'guest' then
        outcome := 'forbidden';
      elsif archived is not null then
        outcome := 'archived';
      elsif muted > committed_at and change.kind in ('edit', 'add') then
        outcome := 'muted';
        at := nullif(muted, 'infinity');
      else
        select * into m from messages t where t.room_id = part.room_id and t.seq = change.seq and t.seq >= first;
        if not found then
          outcome := 'not_found';
        elsif change.kind = 'edit' then
          outcome := edit_message(
            m, change.actor, actor_role, change.body, head + 1, committed_at, room_window_ms, max_versions);
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
end $$;

-- As in 0026, but an edit needs the right to send.
create or replace function edit_message(
  m messages, actor text, actor_role text, new_body jsonb, next_rev bigint, changed_at timestamptz, window_ms bigint,
  max_versions integer
) returns text language plpgsql as $$
declare
  pause interval;
  free_at timestamptz;
begin
  if m.deleted_at is not null then
    return 'not_found';
  elsif m.sender_id <> actor and actor_role not in ('owner', 'admin') then
    return 'forbidden';
  elsif m.body = new_body then
    return 'unchanged';
  elsif actor_role = 'member' and exists (select from rooms r where r.id = m.room_id and r.senders = 'admins') then
    return 'forbidden';
  elsif actor_role not in ('owner', 'admin') and window_ms > 0
    and changed_at > m.created_at + window_ms * interval '1 millisecond' then
    return 'too_late';
  end if;
  if actor_role = 'member' then
    select r.slow_mode_s * interval '1 second' into pause from rooms r where r.id = m.room_id and r.slow_mode_s > 0;
    if pause is not null then
      select s.at + pause into free_at from slow_edits s where s.room_id = m.room_id and s.user_id = actor;
      if free_at > changed_at then
        return 'slow:' || ceil(extract(epoch from free_at - changed_at) * 1000)::bigint;
      end if;
      insert into slow_edits (room_id, user_id, at) values (m.room_id, actor, changed_at)
      on conflict (room_id, user_id) do update set at = excluded.at;
    end if;
  end if;
  perform keep_version(m, m.body, actor, changed_at, max_versions);
  update messages t set body = new_body, rev = next_rev, edited_at = changed_at, changed = true
  where t.room_id = m.room_id and t.seq = m.seq;
  return 'changed';
end $$;
