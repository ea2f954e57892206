-- A block holds back every mention and looks like an absence, and a group with members always has an owner.
-- Runs beside: 0028

-- Of a mention of everybody: the user who wrote it into the message of another. Null: the sender of the message.
alter table mentions add column called_by text collate "C";
create index mentions_by_caller on mentions (called_by) where called_by is not null;

-- Whether the mention comes from a user whom the viewer has blocked.
create function is_from_blocked(viewer text, mention mentions) returns boolean language sql stable as $$
  select exists (
    select from messages t join blocks b on b.user_id = viewer and b.blocked_id in (t.sender_id, mention.called_by)
    where t.room_id = mention.room_id and t.seq = mention.seq)
$$;

-- As in 0024, with the caller. A mention of everybody brings a row for each member who has blocked its sender or its caller:
-- `!` and the user, so that the event passes them by. Of more than 1,000 such members 1,001 rows come.
create or replace function note_mentions(targets jsonb, noted_at timestamptz)
returns table (room_id text, seq bigint, user_id text)
language plpgsql set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
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
      and not exists (select from blocks b where b.user_id = p.user_id and b.blocked_id in (p.sender, p.actor))
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
  cross join lateral (
    select distinct b.user_id from blocks b join members m on m.room_id = n.room_id and m.user_id = b.user_id
    where b.blocked_id in (t.sender, t.actor) limit 1001
  ) x
  where n.user_id = '*';
end $$;

-- As in 0011, without the mentions by users whom the viewer has blocked.
create or replace function unread_rooms(viewer text, after text, max_rooms integer, max_unread integer)
returns table (room text, read bigint, seq bigint, unread bigint, mentions bigint, at timestamptz)
language plpgsql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  -- most users block nobody, and then no message is read for its sender
  blocks_some boolean := exists (select from blocks b where b.user_id = viewer);
begin
  return query
  select y.id, y.mark, y.last_seq, least(greatest(y.last_seq - y.mark, 0), max_unread),
    -- two look-ups: for both users in one it reads what mentions anybody. offset: the third goes by its whole key
    least(max_unread,
      (select count(*) from (
        select from mentions x
        where x.room_id collate "POSIX" = y.id and x.user_id = viewer and x.seq > y.mark
          and (not blocks_some or not is_from_blocked(viewer, x)) limit max_unread) own)
      + (select count(*) from (
        select from mentions x
        where x.room_id collate "POSIX" = y.id and x.user_id = '*' and x.seq > y.mark
          and (not blocks_some or not is_from_blocked(viewer, x))
          and not exists (
            select from mentions o where o.room_id = x.room_id and o.seq = x.seq and o.user_id = viewer offset 0)
        limit max_unread) everybody)),
    t.created_at
  from unread_marks(viewer, after, max_rooms) y
  left join messages t on t.room_id = y.id and t.seq = y.last_seq
  order by y.id;
end $$;

-- Which viewer may see the presence of which user: pairs without a room of both, and those whose viewer has blocked the user,
-- have no row. blocked_at: since then the user has blocked the viewer, to whom they are offline since that moment.
create function sights(viewers text[], users text[])
returns table (n integer, blocked_at timestamptz, blocked_ms bigint)
language plpgsql stable set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
#variable_conflict use_column
begin
  return query
  select p.n::integer, k.at, (extract(epoch from clock_timestamp() - k.at) * 1000)::bigint
  from unnest(viewers, users) with ordinality as p (viewer, user_id, n)
  left join lateral (
    select true as shared from members a join members b on b.room_id = a.room_id and b.user_id = p.user_id
    where p.viewer <> p.user_id and a.user_id = p.viewer limit 1
  ) s on true
  left join blocks k on k.user_id = p.user_id and k.blocked_id = p.viewer
  where p.viewer = p.user_id or s.shared and not exists (
    select from blocks o where o.user_id = p.viewer and o.blocked_id = p.user_id);
end $$;

-- For nodes of 0028: the pairs without a block.
create or replace function sharing_a_room(viewers text[], users text[]) returns setof integer language sql stable as $$
  select s.n from sights(viewers, users) s where s.blocked_at is null
$$;

-- As in 0026. Where only guests are left in a group, one of them becomes its owner: nobody could join it and take it over, as
-- a channel is taken over.
create or replace function remove_member(
  room text, subject text, closing boolean default true, out outcome text, out heir text
) language plpgsql as $$
declare
  r rooms;
  was text;
begin
  select x.kind, m.role into r.kind, was
  from rooms x left join members m on m.room_id = x.id and m.user_id = subject where x.id = room;
  if was is null then
    outcome := case when r.kind = 'channel' then 'not_member' else 'not_found' end;
    return;
  end if;
  select * into r from rooms x where x.id = room for no key update;
  select role into was from members where room_id = room and user_id = subject;
  if r.id is null then
    outcome := 'not_found';
    return;
  elsif was is null then
    outcome := case when r.kind = 'channel' then 'not_member' else 'not_found' end;
    return;
  end if;
  perform put_out(room, subject);
  update departures d set left_at = clock_timestamp() where d.room_id = room and d.user_id = subject;
  if closing and r.member_count = 1 and (r.kind = 'group' or r.kind = 'channel' and r.last_seq = 0) then
    if r.last_rev > 0 then
      perform close_room(room, subject);
      outcome := 'closed';
      return;
    end if;
    delete from rooms x where x.id = room;
    delete from bans x where x.room_id = room;
    delete from departures x where x.room_id = room;
    delete from invitation_rests x where x.room_id = room;
    delete from invitations x where x.room_id = room;
    delete from join_links x where x.room_id = room;
    delete from kept_mutes x where x.room_id = room;
    delete from slow_edits x where x.room_id = room;
    outcome := 'left';
    return;
  end if;
  if was = 'owner' then
    heir := give_owner(room);
  end if;
  outcome := 'left';
end $$;

-- Makes a member the owner of a room that has none: one who may write before a guest, and in a channel no guest at all. A muted
-- member comes last among their like. Null: the room has an owner, or nobody who may become it.
create function give_owner(room text) returns text language plpgsql as $$
declare
  heir text;
begin
  if exists (select from members m where m.room_id = room and m.role = 'owner') then
    return null;
  end if;
  update members m set role = 'owner', muted_until = null
  where m.room_id = room and m.user_id = (
    select x.user_id from members x join rooms r on r.id = x.room_id
    where x.room_id = room and (x.role in ('admin', 'member') and r.kind <> 'direct' or r.kind = 'group')
    order by x.role = 'guest', coalesce(x.muted_until > now(), false), x.role, x.joined_at, x.user_id limit 1)
  returning m.user_id into heir;
  return heir;
end $$;

-- Groups that guests alone were left in. Nodes learn of it as of every membership. An import stores members last, in pages.
select give_owner(x.id) from (
  select r.id from rooms r
  where r.kind = 'group' and r.member_count > 0
    and not exists (select from members m where m.room_id = r.id and m.role = 'owner')
    and not exists (select from imports i where i.room_id = r.id)
  order by r.id for no key update of r
) x;
