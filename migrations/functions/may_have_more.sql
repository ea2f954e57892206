-- Whether a user may be in one more room. Each way into rooms has a limit of its own, so nobody uses up the limit of
-- another user.
-- Takes the subject, the way into the room (`how`), the room (not counted), and the most rooms. The ways are:
--   own    the subject made or joined the room, or accepted an invitation
--   added  another member added the subject
--   peer   the other user opened the direct room
--
-- Returns a boolean. Locks nothing. A deleted room counts for a day as one that its maker made.
create or replace function may_have_more(subject text, how text, room text, max_rooms integer)
returns boolean
language sql stable
as $$
  select case when how = 'own' then (
    select count(*) from (
      select m.room_id from members m where m.user_id = subject and m.via = 'own'
      union
      select r.id from rooms r where r.created_by = subject
      union
      select d.id from deleted_rooms d where d.made_by = subject and d.deleted_at > now() - interval '1 day'
    ) x (id) where x.id <> room
  ) else (
    select count(*) from members m where m.user_id = subject and m.via = how and m.room_id <> room
  ) end < max_rooms
$$;
