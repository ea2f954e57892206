-- Finds the first message that was sent at a moment or later. Messages that come after it may be older.
-- Takes the room and the moment.
-- Returns the seq; past the last message if there is none; null without the room.
-- Locks nothing. Seqs are in the order of time, or message_order has their place. So the seq is found by halving: 20
-- lookups in a room of a million messages.
create or replace function first_since(room text, moment timestamptz)
returns bigint
language plpgsql stable
set enable_seqscan = off
as $$
declare
  low bigint;
  high bigint;
  middle bigint;
  sent timestamptz;
  start bigint;
  mixed boolean := exists (select from message_order o where o.room_id = room);
begin
  select first_seq, last_seq + 1 into start, high from rooms where id = room;
  low := start;
  while low < high loop
    middle := (low + high) / 2;
    sent := null;
    if mixed then
      select o.ordered_at into sent from message_order o where o.room_id = room and o.seq = middle;
    end if;
    if sent is null then
      select m.created_at into sent from messages m where m.room_id = room and m.seq = middle;
    end if;
    if sent >= moment then
      high := middle;
    else
      low := middle + 1;
    end if;
  end loop;
  if mixed then
    -- a time in the future, which counts as an earlier one in the order
    low := least(low, (
      select min(o.seq) from message_order o
      where o.room_id = room and o.at >= moment and o.seq >= start and not o.expired));
  end if;
  return low;
end $$;
