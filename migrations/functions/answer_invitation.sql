-- Accepts or declines an invitation.
-- Takes the room, the subject (the invited user) and whether the subject accepts. Then the time without invitations
-- after a refusal, the most members of the room, and the most rooms of the subject.
-- Returns one row. outcome: joined, declined, archived, not_found (no valid invitation, or its maker is blocked),
-- banned or limit_reached (admit). given_role: the role of the invitation; a user that left as a guest stays one
-- unless an owner or admin invites. inviter: the maker of the invitation.
-- Locks the room's row. A user without an invitation gets the answer before the lock, so no wait shows that the room
-- exists.
create or replace function answer_invitation(
  room text, subject text, accept boolean, rest interval, max_members integer, max_rooms integer, out outcome text,
  out given_role text, out inviter text
)
returns record
language plpgsql
as $$
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
