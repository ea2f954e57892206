-- Lifts a ban.
-- Takes the room, the actor, the subject, and the rights (enter_room).
-- Returns lifted, already (there is none), or a refusal of enter_room.
-- Locks the room's row (enter_room).
create or replace function lift_ban(room text, actor text, subject text, rights jsonb)
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
  delete from bans b where b.room_id = room and b.user_id = subject;
  return case when found then 'lifted' else 'already' end;
end $$;
