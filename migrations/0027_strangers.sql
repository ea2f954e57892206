-- Strangers of a room are answered without its lock.
-- Runs beside: 0026

-- A stranger is a user who is no member of a room and may not join it. Strangers waited for the room's row, so the time of
-- the answer showed that the room exists, and many strangers kept the row from the members. Strangers now get the answer
-- of a missing room before the row is locked. Other users are checked again under the lock, because roles may change.

-- As in 0026.
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

-- As in 0026.
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

-- As in 0026.
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
