-- Strangers of a room are answered without its lock.
-- Runs beside: 0017

-- A stranger is a user who is no member of a room and may not join it. Strangers waited for the room's row, so the time of
-- the answer showed that the room exists, and many strangers kept the row from the members. Strangers now get the answer
-- of a missing room before the row is locked. Other users are checked again under the lock, because roles may change.

create or replace function enter_room(room text, actor text, rights jsonb, out refusal text, out room_kind text, out actor_role text)
 returns record
 language plpgsql
as $$
declare
  archived timestamptz;
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
  select m.role into actor_role from members m where m.room_id = room and m.user_id = actor;
  if not coalesce(rights -> 'may' -> room_kind ? coalesce(actor_role, 'nobody'), false) then
    refusal := case
      when actor_role is not null then 'forbidden'
      when room_kind = 'channel' then 'not_member'
      else 'not_found'
    end;
  elsif archived is not null and not (rights -> 'archived')::boolean then
    refusal := 'archived';
  end if;
end $$;

create or replace function remove_member(room text, subject text, out outcome text, out heir text)
 returns record
 language plpgsql
as $$
declare
  room_kind text;
  was text;
begin
  select r.kind, m.role into room_kind, was
  from rooms r left join members m on m.room_id = r.id and m.user_id = subject where r.id = room;
  if was is null then
    outcome := case when room_kind = 'channel' then 'not_member' else 'not_found' end;
    return;
  end if;
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
  if was = 'owner' and not exists (select from members where room_id = room and role = 'owner') then
    update members set role = 'owner', muted_until = null
    where room_id = room and user_id = (
      select user_id from members where room_id = room and role in ('admin', 'member')
      order by role, joined_at, user_id limit 1)
    returning user_id into heir;
  end if;
  outcome := 'left';
end $$;

create or replace function answer_invitation(room text, subject text, accept boolean, max_members integer, max_rooms integer, out outcome text, out given_role text, out inviter text)
 returns record
 language plpgsql
as $$
declare
  archived timestamptz;
begin
  if not exists (select from invitations i where i.room_id = room and i.user_id = subject) then
    outcome := 'not_found';
    return;
  end if;
  select r.archived_at into archived from rooms r where r.id = room for no key update;
  if not found then
    outcome := 'not_found';
    return;
  end if;
  select i.role, i.invited_by into given_role, inviter from invitations i
  where i.room_id = room and i.user_id = subject and i.expires_at > now();
  if not found then
    outcome := 'not_found';
  elsif not accept then
    delete from invitations i where i.room_id = room and i.user_id = subject;
    outcome := 'declined';
  elsif archived is not null then
    outcome := 'archived';
  else
    outcome := admit(room, subject, given_role, max_members, max_rooms);
  end if;
end $$;
