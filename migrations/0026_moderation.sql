-- Moderation that leaving a room, or another command, does not shed.
-- Runs beside: 0026

-- What a member had, so that coming back changes nothing of it.
alter table departures add column last_sent_at timestamptz; -- for slow mode
alter table departures add column was_guest boolean not null default false;

-- The last edit of a member in a room with slow mode. Not a column of members: only the room's lock guards these rows, and
-- mark_read locks those of members in an order of its own.
create table slow_edits (
  room_id text collate "C" not null,
  user_id text collate "C" not null,
  at timestamptz not null,
  primary key (room_id, user_id)
);
create index slow_edits_by_time on slow_edits (at);
create index slow_edits_by_user on slow_edits (user_id);

-- As in 0005. With `muted` false in rights, a muted member is refused: actor_muted. A user who is no member and may do nothing
-- here gets the answer before the room is locked: waiting for the lock would show that the room exists, and keep it from members.
create or replace function enter_room(
  room text, actor text, rights jsonb, out refusal text, out room_kind text, out actor_role text
) language plpgsql as $$
declare
  archived timestamptz;
  muted timestamptz;
begin
  select r.kind, m.role into room_kind, actor_role
  from rooms r left join members m on m.room_id = r.id and m.user_id = actor where r.id = room;
  if actor_role is null and not coalesce(rights -> 'may' -> room_kind ? 'nobody', false) then
    refusal := case when room_kind = 'channel' then 'not_member' else 'not_found' end;
    return;
  end if;
  select r.kind, r.archived_at into room_kind, archived from rooms r where r.id = room for no key update;
  if not found then
    refusal := 'not_found';
    return;
  end if;
  select m.role, m.muted_until into actor_role, muted from members m where m.room_id = room and m.user_id = actor;
  if not coalesce(rights -> 'may' -> room_kind ? coalesce(actor_role, 'nobody'), false) then
    refusal := case
      when actor_role is not null then 'forbidden'
      when room_kind = 'channel' then 'not_member'
      else 'not_found'
    end;
  elsif archived is not null and not (rights -> 'archived')::boolean then
    refusal := 'archived';
  elsif muted > now() and not coalesce((rights -> 'muted')::boolean, true) then
    refusal := 'actor_muted';
  end if;
end $$;

-- As in 0024, and keeps what slow mode and the role of a guest go by.
create or replace function put_out(room text, subject text) returns void language plpgsql as $$
declare
  was members;
begin
  delete from members m where m.room_id = room and m.user_id = subject returning m.* into was;
  update rooms r set member_count = r.member_count - 1 where r.id = room;
  insert into departures (room_id, user_id, last_sent_at, was_guest)
  values (room, subject, was.last_sent_at, was.role = 'guest')
  on conflict (room_id, user_id) do update set
    left_at = null, last_sent_at = excluded.last_sent_at, was_guest = excluded.was_guest;
  if was.muted_until > now() then
    insert into kept_mutes (room_id, user_id, muted_until) values (room, subject, was.muted_until)
    on conflict (room_id, user_id) do update set muted_until = excluded.muted_until;
  end if;
end $$;

-- The role of a user who comes without an admin's decision: whoever left as a guest comes back as one.
create function returning_role(room text, subject text, new_role text) returns text language sql stable as $$
  select case when new_role = 'member' and exists (
    select from departures d where d.room_id = room and d.user_id = subject and d.was_guest) then 'guest' else new_role end
$$;

-- As in 0025, and slow mode goes on where it was.
create or replace function admit(
  room text, subject text, new_role text, max_members integer, max_rooms integer, how text default 'own'
) returns text language plpgsql as $$
declare
  mute timestamptz;
  sent timestamptz;
begin
  if exists (select from bans b where b.room_id = room and b.user_id = subject) then
    return 'banned';
  elsif (select r.member_count from rooms r where r.id = room) >= max_members
    or not may_have_more(subject, how, room, max_rooms) then
    return 'limit_reached';
  end if;
  insert into users (id) values (subject) on conflict do nothing;
  delete from kept_mutes k where k.room_id = room and k.user_id = subject returning k.muted_until into mute;
  delete from departures d where d.room_id = room and d.user_id = subject returning d.last_sent_at into sent;
  -- what was said before they came is not unread
  insert into members (room_id, user_id, role, last_read_seq, muted_until, last_sent_at, via)
  select room, subject, new_role, r.last_seq, case when new_role in ('member', 'guest') then mute end, sent, how
  from rooms r where r.id = room;
  update rooms r set member_count = r.member_count + 1 where r.id = room;
  delete from invitations i where i.room_id = room and i.user_id = subject;
  delete from invitation_rests x where x.room_id = room and x.user_id = subject;
  return 'joined';
end $$;

-- As in 0025, for whoever was a guest.
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
    case when exists (select from members m where m.room_id = room and m.role <> 'guest')
      then returning_role(room, subject, 'member') else 'owner' end,
    max_members, max_rooms);
end $$;

-- As in 0005, for whoever was a guest.
create or replace function use_link(
  hash bytea, subject text, max_members integer, max_rooms integer, rights jsonb,
  out outcome text, out link_room text, out given_role text, out maker text
) language plpgsql as $$
declare
  e record;
  l join_links;
begin
  select x.room_id, x.made_by into link_room, maker from join_links x where x.token_hash = hash;
  if not found then
    outcome := 'not_found';
    return;
  end if;
  select * into e from enter_room(link_room, maker, rights);
  -- again, for the room was not locked
  select * into l from join_links x where x.token_hash = hash;
  given_role := returning_role(link_room, subject, l.role);
  if l.id is null or l.expires_at <= now() or l.uses >= l.max_uses or not may_give(rights, e.actor_role, l.role) then
    outcome := 'not_found';
  elsif exists (select from members m where m.room_id = link_room and m.user_id = subject) then
    outcome := 'already';
  elsif e.refusal is not null then
    outcome := case e.refusal when 'archived' then 'archived' else 'not_found' end;
  else
    outcome := admit(link_room, subject, given_role, max_members, max_rooms);
    if outcome = 'joined' then
      update join_links x set uses = x.uses + 1 where x.room_id = link_room and x.id = l.id;
    end if;
  end if;
end $$;

-- As in 0025. Whoever was a guest becomes a member by an invitation of an owner or admin.
create or replace function answer_invitation(
  room text, subject text, accept boolean, rest interval, max_members integer, max_rooms integer,
  out outcome text, out given_role text, out inviter text
) language plpgsql as $$
declare
  r rooms;
begin
  if not exists (select from invitations i where i.room_id = room and i.user_id = subject) then
    outcome := 'not_found';
    return;
  end if;
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
    if not exists (
      select from members m where m.room_id = room and m.user_id = inviter and m.role in ('owner', 'admin')) then
      given_role := returning_role(room, subject, given_role);
    end if;
    outcome := admit(
      room, subject, given_role, max_members, max_rooms,
      case when r.kind = 'direct' and r.created_by <> subject then 'peer' else 'own' end);
  end if;
end $$;

-- As in 0005. The invitations of whoever is removed go with them.
create or replace function remove_from_room(room text, actor text, subject text, rights jsonb) returns text
language plpgsql as $$
declare
  e record;
  was text;
begin
  select * into e from enter_room(room, actor, rights);
  select m.role into was from members m where m.room_id = room and m.user_id = subject;
  if e.refusal is not null then
    return e.refusal;
  elsif was is null then
    return 'no_subject';
  elsif not is_below(rights, e.actor_role, was) then
    return 'forbidden';
  end if;
  perform put_out(room, subject);
  delete from invitations i where i.room_id = room and i.invited_by = subject;
  return 'removed';
end $$;

-- As in 0005. The invitations of whoever is banned go with them, also of one who left before.
create or replace function ban_user(
  room text, actor text, subject text, why text, max_bans integer, rights jsonb, out outcome text, out removed boolean
) language plpgsql as $$
declare
  e record;
  was text;
begin
  removed := false;
  select * into e from enter_room(room, actor, rights);
  select m.role into was from members m where m.room_id = room and m.user_id = subject;
  if e.refusal is not null then
    outcome := e.refusal;
    return;
  elsif was is not null and not is_below(rights, e.actor_role, was) then
    outcome := 'forbidden';
    return;
  elsif exists (select from bans b where b.room_id = room and b.user_id = subject) then
    outcome := 'already';
    return;
  elsif (select count(*) from bans b where b.room_id = room) >= max_bans then
    outcome := 'limit_reached';
    return;
  end if;
  insert into bans (room_id, user_id, banned_by, reason) values (room, subject, actor, why);
  delete from invitations i where i.room_id = room and (i.user_id = subject or i.invited_by = subject);
  if was is not null then
    perform put_out(room, subject);
    removed := true;
  end if;
  outcome := 'banned';
end $$;

-- As in 0005. The invitations of whoever gets a lower role go: they may not be for them to give any more.
create or replace function set_role(room text, actor text, subject text, new_role text, rights jsonb) returns text
language plpgsql as $$
declare
  e record;
  was text;
begin
  select * into e from enter_room(room, actor, rights);
  select m.role into was from members m where m.room_id = room and m.user_id = subject;
  if e.refusal is not null then
    return e.refusal;
  elsif was is null then
    return 'no_subject';
  elsif was = new_role then
    return 'already';
  elsif not is_below(rights, e.actor_role, was) or not may_give(rights, e.actor_role, new_role) then
    return 'forbidden';
  end if;
  update members m set role = new_role, muted_until = case when new_role in ('member', 'guest') then m.muted_until end
  where m.room_id = room and m.user_id = subject;
  if new_role = 'guest' or is_below(rights, was, new_role) then
    delete from invitations i where i.room_id = room and i.invited_by = subject;
  end if;
  return 'role';
end $$;

-- As in 0004, and in slow mode: 'slow:' and the milliseconds until the member may edit again. One edit in the time between two
-- messages, apart from these: a slip can be mended at once.
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

-- As in 0025. A muted member becomes the owner only if there is no other: an owner is muted no more.
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
  if was = 'owner' and not exists (select from members where room_id = room and role = 'owner') then
    update members set role = 'owner', muted_until = null
    where room_id = room and user_id = (
      select user_id from members where room_id = room and role in ('admin', 'member')
      order by coalesce(muted_until > now(), false), role, joined_at, user_id limit 1)
    returning user_id into heir;
  end if;
  outcome := 'left';
end $$;
