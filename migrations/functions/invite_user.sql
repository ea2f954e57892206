-- Invites a user into a room.
-- Takes the room, the actor, the subject, the new role and the time for which the invitation is valid. Then the most
-- invitations of the room, the most of the subject, and the rights (enter_room).
-- Returns one of these, or a refusal of enter_room.
--   invited        the subject gets an event
--   invited_again  the subject gets no event, because of an event lately or a block; the actor cannot see which
--   already        the subject is a member
--   banned         the subject is banned
--   blocked        the actor has blocked the subject
--   resting        the subject declined
--   forbidden      the actor may not give that role
--   limit_reached  the room or the subject has as many invitations as allowed
--
-- Locks the room's row (enter_room). An actor that may take back only its own invitations renews an invitation of
-- another member as it is. A user that was never here gets no row of users.
create or replace function invite_user(
  room text, actor text, subject text, new_role text, valid interval, room_max integer, user_max integer, rights jsonb
)
returns text
language plpgsql
as $$
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
  -- a plain member, and an actor that the subject has blocked, only renew an invitation of another member that the
  -- subject can see
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
