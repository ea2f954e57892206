-- The rooms of a user in id order, with the read mark. Messages that have expired count as read.
-- Takes the user, the room after which to begin, and the most rooms. Returns id, last_seq and mark of each room.
-- Locks nothing.
create or replace function unread_marks(viewer text, after text, max_rooms integer)
returns table (id text, last_seq bigint, mark bigint)
language sql stable
as $$
  -- offset: the rooms of the user by key. A join may read the rooms of everybody in their order.
  select r.id, r.last_seq, greatest(m.last_read_seq, r.first_seq - 1)
  from members m
  cross join lateral (select x.id, x.last_seq, x.first_seq from rooms x where x.id = m.room_id offset 0) r
  where m.user_id = viewer and m.room_id > after
  order by m.room_id limit max_rooms
$$;
