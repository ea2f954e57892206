-- Direct rooms are asked for and can be left, limits count what a user made, and rooms that nobody is in have no place in lists.
-- Runs beside: 0025

-- Of a direct room: the user for whom created_by opened it, member or not. Null in rooms of an import, and after one of the
-- two was forgotten: then only members say who the other is.
alter table rooms add column peer_id text collate "C";
update rooms r set peer_id = (
  select m.user_id from members m where m.room_id = r.id and m.user_id <> r.created_by order by m.user_id limit 1)
where r.kind = 'direct';
create index rooms_by_maker on rooms (created_by);

-- How the user came into the room. Each has a limit of its own, so that nobody uses up what another may.
--   own    they made or opened it, joined it, or accepted an invitation
--   added  somebody added them
--   peer   a direct room that the other user opened
alter table members add column via text not null default 'own' check (via in ('own', 'added', 'peer'));
update members m set via = 'peer' from rooms r where r.kind = 'direct' and r.id = m.room_id and m.user_id = r.peer_id;

-- Who had made the room. For a day a deleted room counts as one that they made.
alter table deleted_rooms add column made_by text collate "C";
create index deleted_rooms_by_maker on deleted_rooms (made_by, deleted_at);
create index deleted_rooms_by_time on deleted_rooms (deleted_at);

-- Whether a user may be in one more room, besides this one.
create function may_have_more(subject text, how text, room text, max_rooms integer) returns boolean language sql stable as $$
  select case when how = 'own' then (
    select count(*) from (
      select m.room_id from members m where m.user_id = subject and m.via = 'own'
      union
      select r.id from rooms r where r.created_by = subject
      union
      select d.id from deleted_rooms d where d.made_by = subject and d.deleted_at > now() - interval '1 day'
    ) x (id) where x.id <> room
  ) else (
    select count(*) from members m where m.user_id = subject and m.via = how and m.room_id <> room
  ) end < max_rooms
$$;

-- As in 0024, and says how the user came.
drop function admit(text, text, text, integer, integer);
create function admit(
  room text, subject text, new_role text, max_members integer, max_rooms integer, how text default 'own'
) returns text language plpgsql as $$
declare
  mute timestamptz;
begin
  if exists (select from bans b where b.room_id = room and b.user_id = subject) then
    return 'banned';
  elsif (select r.member_count from rooms r where r.id = room) >= max_members
    or not may_have_more(subject, how, room, max_rooms) then
    return 'limit_reached';
  end if;
  insert into users (id) values (subject) on conflict do nothing;
  -- what was said before they came is not unread
  delete from kept_mutes k where k.room_id = room and k.user_id = subject returning k.muted_until into mute;
  insert into members (room_id, user_id, role, last_read_seq, muted_until, via)
  select room, subject, new_role, r.last_seq, case when new_role in ('member', 'guest') then mute end, how
  from rooms r where r.id = room;
  update rooms r set member_count = r.member_count + 1 where r.id = room;
  delete from invitations i where i.room_id = room and i.user_id = subject;
  delete from invitation_rests x where x.room_id = room and x.user_id = subject;
  delete from departures d where d.room_id = room and d.user_id = subject;
  return 'joined';
end $$;

-- As in 0024: one who is added came so.
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
  return admit(room, subject, new_role, max_members, max_rooms, 'added');
end $$;

-- As in 0005. Whoever joins a channel in which nobody may write becomes its owner.
create or replace function join_room(room text, subject text, max_members integer, max_rooms integer, rights jsonb)
returns text language plpgsql as $$
declare
  e record;
begin
  select * into e from enter_room(room, subject, rights);
  if e.actor_role is not null then
    return case when e.room_kind = 'channel' then 'already' else 'not_found' end;
  elsif e.refusal is not null then
    return e.refusal;
  end if;
  return admit(
    room, subject,
    case when exists (select from members m where m.room_id = room and m.role <> 'guest') then 'member' else 'owner' end,
    max_members, max_rooms);
end $$;

-- As in 0015, with who had made the room.
create or replace function delete_room(room text, actor text, rights jsonb) returns text language plpgsql as $$
declare
  e record;
begin
  select * into e from enter_room(room, actor, rights);
  if e.refusal is not null then
    return e.refusal;
  end if;
  perform close_room(room, actor);
  return 'deleted';
end $$;

create function close_room(room text, actor text) returns void language plpgsql as $$
declare
  maker text;
begin
  delete from rooms r where r.id = room returning r.created_by into maker;
  insert into deleted_rooms (id, deleted_by, made_by) values (room, actor, maker)
  on conflict (id) do update set
    deleted_by = excluded.deleted_by, made_by = excluded.made_by, deleted_at = clock_timestamp(), purged_at = null;
  insert into membership_changes (room_id, user_id) values (room, '*');
end $$;

-- As in 0024. Direct rooms can be left. A group that its last member leaves, to which nobody could come again, is deleted, and
-- so is a channel without messages: closed. One that never had a rev is gone without a trace, and its id is free: no client has
-- a cursor in it. closing: false leaves such rooms as they are.
drop function remove_member(text, text);
create function remove_member(
  room text, subject text, closing boolean default true, out outcome text, out heir text
) language plpgsql as $$
declare
  r rooms;
  was text;
begin
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
    outcome := 'left';
    return;
  end if;
  if was = 'owner' and not exists (select from members where room_id = room and role = 'owner') then
    update members set role = 'owner', muted_until = null
    where room_id = room and user_id = (
      select user_id from members where room_id = room and role in ('admin', 'member')
      order by role, joined_at, user_id limit 1)
    returning user_id into heir;
  end if;
  outcome := 'left';
end $$;

-- As in 0005 for groups and channels: created, exists, conflict, limit_reached.
-- Of a direct room: created, exists, returned (the creator had left), each with `_alone` where the other is not in it and is to
-- be asked (ask_peer); limit_reached; blocked (the creator has blocked the other).
-- asking: a peer is asked; without it they are in the room at once, unless they have blocked the creator or left it.
drop function create_room(text, text, text, text, text, integer);
create function create_room(
  room text, room_kind text, room_name text, creator text, peer text, max_rooms integer, asking boolean default false
) returns text language plpgsql as $$
declare
  r rooms;
  alone boolean;
  entered text;
begin
  insert into users (id) values (creator) on conflict do nothing;
  if room_kind = 'direct' then
    perform pg_advisory_xact_lock(hashtextextended('parley:pair:' || room, 0));
    if has_blocked(creator, peer) then
      return 'blocked';
    end if;
    select * into r from rooms x where x.id = room for no key update;
    if r.id is not null then
      if r.peer_id is null and r.created_by in (creator, peer) then
        update rooms x set peer_id = case r.created_by when creator then peer else creator end where x.id = room;
      end if;
      if exists (select from members m where m.room_id = room and m.user_id = creator) then
        return case when r.member_count < 2 then 'exists_alone' else 'exists' end;
      end if;
      entered := admit(
        room, creator, 'member', 2, max_rooms, case when r.created_by = creator then 'own' else 'peer' end);
      return case when entered <> 'joined' then entered when r.member_count = 0 then 'returned_alone' else 'returned' end;
    end if;
  end if;
  if not may_have_more(creator, 'own', room, max_rooms) then
    return 'limit_reached';
  end if;
  alone := peer is null or asking or has_blocked(peer, creator) or not may_have_more(peer, 'peer', room, max_rooms);
  insert into rooms (id, kind, name, created_by, peer_id, member_count)
  values (room, room_kind, room_name, creator, peer, case when alone then 1 else 2 end)
  on conflict (id) do nothing;
  if not found then
    if exists (select from rooms x join members m on m.room_id = x.id and m.user_id = creator
               where x.id = room and x.kind = room_kind and x.created_by = creator) then
      return 'exists';
    end if;
    return 'conflict';
  end if;
  -- looked at after the insert, which waits for a deletion that is under way
  if exists (select from deleted_rooms d where d.id = room) then
    delete from rooms x where x.id = room;
    return 'conflict';
  end if;
  if not alone then
    insert into users (id) values (peer) on conflict do nothing;
    insert into members (room_id, user_id, role, via) values (room, peer, 'member', 'peer');
  end if;
  insert into members (room_id, user_id, role)
  values (room, creator, case when room_kind = 'direct' then 'member' else 'owner' end);
  return case when room_kind = 'direct' and alone then 'created_alone' else 'created' end;
end $$;

-- Invites the other user of a direct room. True: they are to be told. False: they were told lately, or declined, or have blocked
-- the actor, or have as many invitations as they may: the actor cannot see which.
create function ask_peer(room text, actor text, subject text, valid interval, user_max integer) returns boolean
language plpgsql as $$
declare
  is_resting boolean;
begin
  perform from rooms r where r.id = room for no key update;
  select x.declined into is_resting from invitation_rests x
  where x.room_id = room and x.user_id = subject and x.rests_until > now();
  if is_resting or not exists (select from members m where m.room_id = room and m.user_id = actor)
    or exists (select from members m where m.room_id = room and m.user_id = subject)
    or (select count(*) from invitations i
        where i.user_id = subject and i.room_id <> room and i.expires_at > now() and not has_blocked(subject, i.invited_by)
       ) >= user_max then
    return false;
  end if;
  insert into invitations (room_id, user_id, role, invited_by, expires_at)
  values (room, subject, 'member', actor, clock_timestamp() + valid)
  on conflict (room_id, user_id) do update set
    role = excluded.role, invited_by = excluded.invited_by, at = clock_timestamp(), expires_at = excluded.expires_at;
  if is_resting is not null or has_blocked(subject, actor) then
    return false;
  end if;
  insert into invitation_rests (room_id, user_id, declined, rests_until)
  values (room, subject, false, clock_timestamp() + interval '1 day')
  on conflict (room_id, user_id) do update set declined = false, rests_until = excluded.rests_until;
  return true;
end $$;

-- As in 0024, and says how the user came.
create or replace function answer_invitation(
  room text, subject text, accept boolean, rest interval, max_members integer, max_rooms integer,
  out outcome text, out given_role text, out inviter text
) language plpgsql as $$
declare
  r rooms;
begin
  select * into r from rooms x where x.id = room for no key update;
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
  elsif r.archived_at is not null then
    outcome := 'archived';
  else
    outcome := admit(
      room, subject, given_role, max_members, max_rooms,
      case when r.kind = 'direct' and r.created_by <> subject then 'peer' else 'own' end);
  end if;
end $$;

-- As in 0024, and left: the actor was in the direct room of both, and has left it.
create or replace function block_user(actor text, subject text, pair text, max_blocks integer) returns text
language plpgsql as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('parley:blocks:' || actor, 0));
  perform pg_advisory_xact_lock(hashtextextended('parley:pair:' || pair, 0));
  if has_blocked(actor, subject) then
    return 'already';
  elsif (select count(*) from blocks b where b.user_id = actor) >= max_blocks then
    return 'limit_reached';
  end if;
  insert into blocks (user_id, blocked_id) values (actor, subject);
  return coalesce((select l.outcome from remove_member(pair, actor) l where l.outcome = 'left'), 'blocked');
end $$;
