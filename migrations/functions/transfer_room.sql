-- Makes a member the owner, and the owner an admin.
-- Takes the room, the actor, the subject, and the rights (enter_room).
-- Returns transferred, already, no_subject, or a refusal of enter_room.
-- Locks the room's row (enter_room), then both rows of members in the order of room and user.
create or replace function transfer_room(room text, actor text, subject text, rights jsonb)
returns text
language plpgsql
as $$
declare
  e record;
begin
  select * into e from enter_room(room, actor, rights);
  if e.refusal is not null then
    return e.refusal;
  elsif actor = subject then
    return 'already';
  elsif not exists (select from members m where m.room_id = room and m.user_id = subject) then
    return 'no_subject';
  end if;
  -- in the order of mark_read, which locks rows of members too
  perform from members m where m.room_id = room and m.user_id in (actor, subject)
  order by m.room_id, m.user_id for no key update;
  update members m set role = case when m.user_id = actor then 'admin' else 'owner' end, muted_until = null
  where m.room_id = room and m.user_id in (actor, subject);
  return 'transferred';
end $$;
