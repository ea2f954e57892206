-- Deletes a room: its row goes, and its id stays taken. Retention deletes the other rows later, so no commit waits.
-- Takes the room and the actor.
-- Returns nothing.
-- The caller holds the lock of the room's row. A change of membership of the user * stands for every member.
-- The id may be in deleted_rooms already: imports from before migration 0010 brought deleted rooms back.
create or replace function close_room(room text, actor text)
returns void
language plpgsql
as $$
declare
  maker text;
begin
  delete from rooms r where r.id = room returning r.created_by into maker;
  insert into deleted_rooms (id, deleted_by, made_by) values (room, actor, maker)
  on conflict (id) do update set
    deleted_by = excluded.deleted_by, made_by = excluded.made_by, deleted_at = clock_timestamp(), purged_at = null;
  insert into membership_changes (room_id, user_id) values (room, '*');
end $$;
