-- Revokes a join link.
-- Takes the room, the actor, the link's id, and the rights (enter_room).
-- Returns revoked, no_subject (there is none), or a refusal of enter_room.
-- Locks the room's row (enter_room).
create or replace function revoke_link(room text, actor text, link text, rights jsonb)
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
  delete from join_links l where l.room_id = room and l.id = link;
  return case when found then 'revoked' else 'no_subject' end;
end $$;
