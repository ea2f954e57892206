-- Lets a user join a channel. A user that joins a channel in which nobody may write becomes its owner.
-- Takes the room, the subject, the most members of the room, the most rooms of the subject, and the rights
-- (enter_room).
-- Returns joined, already, not_found, banned or limit_reached (admit), or a refusal of enter_room.
-- Locks the room's row (enter_room).
create or replace function join_room(room text, subject text, max_members integer, max_rooms integer, rights jsonb)
returns text
language plpgsql
as $$
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
