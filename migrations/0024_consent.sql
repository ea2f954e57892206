-- Consent: users block others, invitations are not repeated at will, and nobody is added to a room that they left.
-- Runs beside: 0024

create table blocks (
  user_id text collate "C" not null,
  blocked_id text collate "C" not null,
  at timestamptz not null default clock_timestamp(),
  primary key (user_id, blocked_id)
);
create index blocks_by_blocked on blocks (blocked_id, user_id);

create function has_blocked(blocker text, other text) returns boolean language sql stable as $$
  select exists (select from blocks b where b.user_id = blocker and b.blocked_id = other)
$$;

-- blocked, already, limit_reached. pair: the id of the direct room of both. Its lock is the one that create_room takes: of
-- a block and a direct room that are made at once, the later one sees the earlier one.
create function block_user(actor text, subject text, pair text, max_blocks integer) returns text language plpgsql as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('parley:blocks:' || actor, 0));
  perform pg_advisory_xact_lock(hashtextextended('parley:pair:' || pair, 0));
  if has_blocked(actor, subject) then
    return 'already';
  elsif (select count(*) from blocks b where b.user_id = actor) >= max_blocks then
    return 'limit_reached';
  end if;
  insert into blocks (user_id, blocked_id) values (actor, subject);
  return 'blocked';
end $$;

-- What stays of a membership after its end. left_at: the user left the room; null: they were removed or banned.
create table departures (
  room_id text collate "C" not null,
  user_id text collate "C" not null,
  left_at timestamptz,
  primary key (room_id, user_id)
);
create index departures_by_user on departures (user_id);

-- Of users who were invited to a room lately. Until rests_until they get no other event of an invitation to this room, and
-- if they declined one, nobody may invite them.
create table invitation_rests (
  room_id text collate "C" not null,
  user_id text collate "C" not null,
  declined boolean not null,
  rests_until timestamptz not null,
  primary key (room_id, user_id)
);
create index invitation_rests_by_end on invitation_rests (rests_until);
create index invitation_rests_by_user on invitation_rests (user_id);

-- As in 0010, and notes the end.
create or replace function put_out(room text, subject text) returns void language plpgsql as $$
declare
  mute timestamptz;
begin
  delete from members m where m.room_id = room and m.user_id = subject returning m.muted_until into mute;
  update rooms r set member_count = r.member_count - 1 where r.id = room;
  insert into departures (room_id, user_id) values (room, subject)
  on conflict (room_id, user_id) do update set left_at = null;
  if mute > now() then
    insert into kept_mutes (room_id, user_id, muted_until) values (room, subject, mute)
    on conflict (room_id, user_id) do update set muted_until = excluded.muted_until;
  end if;
end $$;

-- As in 0001, and notes that the user left.
create or replace function remove_member(room text, subject text, out outcome text, out heir text) language plpgsql as $$
declare
  room_kind text;
  was text;
begin
  select kind into room_kind from rooms where id = room for no key update;
  select role into was from members where room_id = room and user_id = subject;
  if room_kind is null then
    outcome := 'not_found';
    return;
  elsif was is null then
    outcome := case when room_kind = 'channel' then 'not_member' else 'not_found' end;
    return;
  elsif room_kind = 'direct' then
    outcome := 'forbidden';
    return;
  end if;
  perform put_out(room, subject);
  update departures d set left_at = clock_timestamp() where d.room_id = room and d.user_id = subject;
  if was = 'owner' and not exists (select from members where room_id = room and role = 'owner') then
    update members set role = 'owner', muted_until = null
    where room_id = room and user_id = (
      select user_id from members where room_id = room and role in ('admin', 'member')
      order by role, joined_at, user_id limit 1)
    returning user_id into heir;
  end if;
  outcome := 'left';
end $$;

-- As in 0005, and the departure is void.
create or replace function admit(room text, subject text, new_role text, max_members integer, max_rooms integer)
returns text language plpgsql as $$
declare
  mute timestamptz;
begin
  if exists (select from bans b where b.room_id = room and b.user_id = subject) then
    return 'banned';
  elsif (select r.member_count from rooms r where r.id = room) >= max_members
    or (select count(*) from members m where m.user_id = subject) >= max_rooms then
    return 'limit_reached';
  end if;
  insert into users (id) values (subject) on conflict do nothing;
  -- what was said before they came is not unread
  delete from kept_mutes k where k.room_id = room and k.user_id = subject returning k.muted_until into mute;
  insert into members (room_id, user_id, role, last_read_seq, muted_until)
  select room, subject, new_role, r.last_seq, case when new_role in ('member', 'guest') then mute end
  from rooms r where r.id = room;
  update rooms r set member_count = r.member_count + 1 where r.id = room;
  delete from invitations i where i.room_id = room and i.user_id = subject;
  delete from invitation_rests x where x.room_id = room and x.user_id = subject;
  delete from departures d where d.room_id = room and d.user_id = subject;
  return 'joined';
end $$;

-- As in 0005, and not_asked: the user left the room, or has blocked the actor. They may only be invited.
create or replace function add_member(
  room text, actor text, subject text, new_role text, max_members integer, max_rooms integer, rights jsonb
) returns text language plpgsql as $$
declare
  e record;
  was text;
begin
  select * into e from enter_room(room, actor, rights);
  select m.role into was from members m where m.room_id = room and m.user_id = subject;
  if e.refusal is not null then
    return e.refusal;
  elsif was is not null then
    return case when was = new_role then 'already' else 'another_role' end;
  elsif not may_give(rights, e.actor_role, new_role) then
    return 'forbidden';
  elsif has_blocked(subject, actor) or has_blocked(actor, subject) or exists (
    select from departures d where d.room_id = room and d.user_id = subject and d.left_at is not null) then
    return 'not_asked';
  end if;
  return admit(room, subject, new_role, max_members, max_rooms);
end $$;

-- invited: the user is to be told. invited_again: they are not, because they were told lately, or have blocked the actor:
-- the actor cannot see which. already, banned, blocked (by the actor), resting (they declined), limit_reached, or a refusal.
-- Whoever was never here gets no row of users.
create or replace function invite_user(
  room text, actor text, subject text, new_role text, valid interval, room_max integer, user_max integer, rights jsonb
) returns text language plpgsql as $$
declare
  e record;
  hidden boolean := has_blocked(subject, actor);
  is_resting boolean;
begin
  select * into e from enter_room(room, actor, rights);
  select x.declined into is_resting from invitation_rests x
  where x.room_id = room and x.user_id = subject and x.rests_until > now();
  if e.refusal is not null then
    return e.refusal;
  elsif not may_give(rights, e.actor_role, new_role) then
    return 'forbidden';
  elsif exists (select from members m where m.room_id = room and m.user_id = subject) then
    return 'already';
  elsif exists (select from bans b where b.room_id = room and b.user_id = subject) then
    return 'banned';
  elsif has_blocked(actor, subject) then
    return 'blocked';
  elsif is_resting then
    return 'resting';
  end if;
  -- one of somebody else that the user can see: plain members, and whom the user blocked, leave it as it is
  update invitations i set expires_at = clock_timestamp() + valid
  where i.room_id = room and i.user_id = subject and i.expires_at > now() and i.invited_by <> actor
    and not has_blocked(subject, i.invited_by) and (hidden or not is_below(rights, e.actor_role, 'member'));
  if found then
    return 'invited_again';
  end if;
  delete from invitations i where i.room_id = room and (i.user_id = subject or i.expires_at <= now());
  if (select count(*) from invitations i where i.room_id = room) >= room_max
    or (select count(*) from invitations i
        where i.user_id = subject and i.expires_at > now() and not has_blocked(subject, i.invited_by)) >= user_max then
    return 'limit_reached';
  end if;
  insert into invitations (room_id, user_id, role, invited_by, expires_at)
  values (room, subject, new_role, actor, clock_timestamp() + valid);
  if hidden or is_resting is not null then
    return 'invited_again';
  end if;
  insert into invitation_rests (room_id, user_id, declined, rests_until)
  values (room, subject, false, clock_timestamp() + interval '1 day')
  on conflict (room_id, user_id) do update set declined = false, rests_until = excluded.rests_until;
  return 'invited';
end $$;

-- As in 0005. An invitation by somebody whom the user has blocked is none. A declined one rests for so long.
drop function answer_invitation(text, text, boolean, integer, integer);
create function answer_invitation(
  room text, subject text, accept boolean, rest interval, max_members integer, max_rooms integer,
  out outcome text, out given_role text, out inviter text
) language plpgsql as $$
declare
  archived timestamptz;
begin
  select r.archived_at into archived from rooms r where r.id = room for no key update;
  if not found then
    outcome := 'not_found';
    return;
  end if;
  select i.role, i.invited_by into given_role, inviter from invitations i
  where i.room_id = room and i.user_id = subject and i.expires_at > now() and not has_blocked(subject, i.invited_by);
  if not found then
    outcome := 'not_found';
  elsif not accept then
    delete from invitations i where i.room_id = room and i.user_id = subject;
    insert into invitation_rests (room_id, user_id, declined, rests_until)
    values (room, subject, true, clock_timestamp() + rest)
    on conflict (room_id, user_id) do update set declined = true, rests_until = excluded.rests_until;
    outcome := 'declined';
  elsif archived is not null then
    outcome := 'archived';
  else
    outcome := admit(room, subject, given_role, max_members, max_rooms);
  end if;
end $$;

-- As in 0006. Nobody is mentioned by whom they have blocked.
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
    select distinct p.room_id, p.seq, p.user_id from person p
    where p.user_id <> p.sender
      and not exists (select from blocks b where b.user_id = p.user_id and b.blocked_id in (p.sender, p.actor))
    union all
    select t.room_id, t.seq, '*' from target t
    join rooms r on r.id = t.room_id
    join members m on m.room_id = t.room_id and m.user_id = t.actor
    where t.everybody and (r.kind = 'direct' or m.role in ('owner', 'admin'))
  ), dropped as (
    delete from mentions m using target t
    where m.room_id = t.room_id and m.seq = t.seq and not exists (
      select from wanted w where w.room_id = m.room_id and w.seq = m.seq and w.user_id = m.user_id)
  )
  insert into mentions (room_id, seq, user_id, at)
  select w.room_id, w.seq, w.user_id, noted_at from wanted w
  on conflict do nothing
  returning mentions.room_id, mentions.seq, mentions.user_id;
end $$;

-- As in 0003. Neither of two users sees the presence of the other while one has blocked the other.
create or replace function sharing_a_room(viewers text[], users text[]) returns setof integer
language plpgsql stable set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
begin
  return query
  select p.n::integer
  from unnest(viewers, users) with ordinality as p (viewer, user_id, n)
  left join lateral (
    select true as shared from members a join members b on b.room_id = a.room_id and b.user_id = p.user_id
    where p.viewer <> p.user_id and a.user_id = p.viewer limit 1
  ) s on true
  where p.viewer = p.user_id or s.shared and not exists (
    select from blocks k where k.user_id = p.viewer and k.blocked_id = p.user_id
      or k.user_id = p.user_id and k.blocked_id = p.viewer);
end $$;
