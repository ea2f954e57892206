-- Adds a user to a group or channel on the decision of a member.
-- Takes the room, the actor, the subject (the user to add) and the new role. Then the most members of the room, the
-- most rooms to which others may add the subject, and the rights (enter_room).
-- Returns joined, already (the subject has that role), another_role, or forbidden (the actor may not give that role).
-- Other results are not_asked, banned, limit_reached (admit), and the refusals of enter_room. not_asked: the subject
-- left the room, or one of the two has blocked the other; an invitation is still possible.
-- Locks the room's row (enter_room), so the counts are true and the change stands before or after any commit of
-- messages.
create or replace function add_member(
  room text, actor text, subject text, new_role text, max_members integer, max_rooms integer, rights jsonb
)
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
