-- Deletes a room. One row goes, whatever the size of the room, so no commit waits.
-- Takes the room, the actor, and the rights (enter_room).
-- Returns deleted, or a refusal of enter_room.
-- Locks the room's row (enter_room).
create or replace function delete_room(room text, actor text, rights jsonb)
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
  perform close_room(room, actor);
  return 'deleted';
end $$;
