-- Takes an invitation back.
-- Takes the room, the actor, the subject (the invited user), and the rights (enter_room).
-- Returns cancelled, no_subject (there is none that the actor may take back), or a refusal of enter_room. An actor
-- that ranks above members takes back any invitation. Another actor takes back only its own.
-- Locks the room's row (enter_room).
create or replace function cancel_invitation(room text, actor text, subject text, rights jsonb)
returns text
language plpgsql
as $$
declare
  e record;
begin
  select * into e from enter_room(room, actor, rights);
  if e.refusal is not null then
    return e.refusal;
  end if;
  delete from invitations i where i.room_id = room and i.user_id = subject
    and (i.invited_by = actor or is_below(rights, e.actor_role, 'member'));
  return case when found then 'cancelled' else 'no_subject' end;
end $$;
