-- The role of a user that comes without the decision of an owner or admin. A user that left as a guest comes back as a
-- guest.
-- Takes the room, the subject and the role that the user would get. Returns the role. Locks nothing.
create or replace function returning_role(room text, subject text, new_role text)
returns text
language sql stable
as $$
  select case when new_role = 'member' and exists (
    select from departures d where d.room_id = room and d.user_id = subject and d.was_guest) then 'guest' else new_role end
$$;
