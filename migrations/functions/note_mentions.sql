-- Makes these the mentions of messages. A part of note_sends and note_changes.
-- Takes `targets` and the time of the mentions. `targets` is `[[room, seq, sender, actor, names, everybody], …]`. The
-- actor is the user that sent or edited the message. In each list of names, `[[id, …], …]`, the first id of a member
-- counts.
-- Returns the mentions that are new. For a new mention of everybody a row '!' and id follows for each member that has
-- blocked the sender or the actor, at most 1,001. A message does not mention its sender. Nobody is mentioned by a user that is
-- blocked. Everybody in a group or channel is mentioned only by its owners and admins.
-- The caller holds the locks of the rooms.
create or replace function note_mentions(targets jsonb, noted_at timestamptz)
returns table (room_id text, seq bigint, user_id text)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
begin
  return query
  with target as materialized (
    select t.n, t.v ->> 0 as room_id, (t.v ->> 1)::bigint as seq, t.v ->> 2 as sender, t.v ->> 3 as actor,
      t.v -> 4 as names, (t.v ->> 5)::boolean as everybody
    from jsonb_array_elements(targets) with ordinality as t (v, n)
  ), person as (
    select distinct on (t.n, g.n) t.room_id, t.seq, t.sender, t.actor, m.user_id
    from target t
    cross join lateral jsonb_array_elements(t.names) with ordinality as g (forms, n)
    cross join lateral jsonb_array_elements_text(g.forms) with ordinality as f (id, n)
    join members m on m.room_id = t.room_id and m.user_id = f.id
    order by t.n, g.n, f.n
  ), wanted as materialized (
    select distinct p.room_id, p.seq, p.user_id, null::text as called_by from person p
    where p.user_id <> p.sender
      -- with offset, each block is found by both users, and the table is not read whole
      and not exists (select from blocks b where b.user_id = p.user_id and b.blocked_id = p.sender offset 0)
      and not exists (select from blocks b where b.user_id = p.user_id and b.blocked_id = p.actor offset 0)
    union all
    select t.room_id, t.seq, '*', nullif(t.actor, t.sender) from target t
    join rooms r on r.id = t.room_id
    join members m on m.room_id = t.room_id and m.user_id = t.actor
    where t.everybody and (r.kind = 'direct' or m.role in ('owner', 'admin'))
  ), dropped as (
    delete from mentions m using target t
    where m.room_id = t.room_id and m.seq = t.seq and not exists (
      select from wanted w where w.room_id = m.room_id and w.seq = m.seq and w.user_id = m.user_id)
  ), noted as (
    insert into mentions (room_id, seq, user_id, at, called_by)
    select w.room_id, w.seq, w.user_id, noted_at, w.called_by from wanted w
    on conflict do nothing
    returning mentions.room_id, mentions.seq, mentions.user_id
  )
  select n.room_id, n.seq, n.user_id from noted n
  union all
  select n.room_id, n.seq, '!' || x.user_id
  from noted n
  join target t on t.room_id = n.room_id and t.seq = n.seq
  join rooms r on r.id = n.room_id
  -- a small room is read by its members, as any number of users may block the sender. A large room is read by those users,
  -- unless there are more of them than members: the count ends there.
  cross join lateral (
    select case when r.member_count <= 1000 then true else (
      select count(*) from (
        select from blocks b where b.blocked_id = any (array[t.sender, t.actor]) limit r.member_count + 1
      ) c) > r.member_count end as by_members
    offset 0
  ) side
  cross join lateral (
    (select m.user_id from members m
     where side.by_members and m.room_id = n.room_id and (
       exists (select from blocks b where b.user_id = m.user_id and b.blocked_id = t.sender offset 0)
       or exists (select from blocks b where b.user_id = m.user_id and b.blocked_id = t.actor offset 0)))
    union all
    (select distinct b.user_id from blocks b
     where not side.by_members and b.blocked_id = any (array[t.sender, t.actor]) and exists (
       select from members m where m.room_id = n.room_id and m.user_id = b.user_id offset 0))
    limit 1001
  ) x
  where n.user_id = '*';
end $$;
