-- Invites the other user of a direct room.
-- Takes the room, the actor (a member), the subject (the other user), how long the invitation is valid, and the most
-- invitations of the subject.
-- Returns true if the subject gets an event. False: the subject got one lately, declined, has blocked the actor, or
-- has as many invitations as allowed. The actor cannot see which.
-- Locks the room's row.
create or replace function ask_peer(room text, actor text, subject text, valid interval, user_max integer)
returns boolean
language plpgsql
as $$
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
