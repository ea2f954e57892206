-- The rooms of a user in id order, with what the user has not read.
-- Takes the user, the room after which to begin, the most rooms, and the most that a count says.
-- Returns one row a room: the room, the read mark, its last seq, the unread messages, and the unread mentions. `at` is
-- the time of its last message. Mentions of everybody count too. A message that mentions everybody and the user counts
-- once. Locks nothing.
create or replace function unread_rooms(viewer text, after text, max_rooms integer, max_unread integer)
returns table (room text, read bigint, seq bigint, unread bigint, mentions bigint, at timestamptz)
language plpgsql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  -- most users block nobody, and then no message is read for its sender
  blocks_some boolean := exists (select from blocks b where b.user_id = viewer);
begin
  return query
  select y.id, y.mark, y.last_seq, least(greatest(y.last_seq - y.mark, 0), max_unread),
    -- two lookups, because one lookup of the user and of everybody reads the mentions of all users. With offset, here
    -- and below, a lookup goes by the whole key
    least(max_unread,
      (select count(*) from (
        select from mentions x
        where x.room_id collate "POSIX" = y.id and x.user_id = viewer and x.seq > y.mark
          and (not blocks_some or not is_from_blocked(viewer, x)) limit max_unread) own)
      + (select count(*) from (
        -- select: a plain '*' fits the partial index, of which every room would be read
        select from mentions x
        where x.room_id collate "POSIX" = y.id and x.user_id = (select '*') and x.seq > y.mark
          and (not blocks_some or not is_from_blocked(viewer, x))
          and not exists (
            select from mentions o where o.room_id = x.room_id and o.seq = x.seq and o.user_id = viewer offset 0)
        limit max_unread) everybody)),
    t.created_at
  from unread_marks(viewer, after, max_rooms) y
  left join lateral (
    select l.created_at from messages l where l.room_id = y.id and l.seq = y.last_seq offset 0) t on true
  order by y.id;
end $$;
