-- Archives a room, or takes it out of the archive.
-- Takes the room, the actor, whether to archive, and the rights (enter_room).
-- Returns updated, unchanged, or a refusal of enter_room.
-- Locks the room's row (enter_room).
create or replace function archive_room(room text, actor text, archive boolean, rights jsonb)
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
  update rooms r set archived_at = case when archive then date_trunc('milliseconds', clock_timestamp()) end
  where r.id = room and (r.archived_at is null) = archive;
  return case when found then 'updated' else 'unchanged' end;
end $$;
