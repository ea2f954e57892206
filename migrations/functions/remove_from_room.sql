-- Removes a member on the decision of another one. The invitations by the removed member are deleted.
-- Takes the room, the actor, the subject, and the rights (enter_room).
-- Returns removed, no_subject, forbidden, or a refusal of enter_room.
-- Locks the room's row (enter_room).
create or replace function remove_from_room(room text, actor text, subject text, rights jsonb)
returns text
language plpgsql
as $$
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
