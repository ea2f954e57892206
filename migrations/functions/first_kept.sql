-- Finds the first message that is not older than the cutoff, from a seq on. Each message before it is read, so none
-- of them is younger, whatever the order of times.
-- Takes the room, the cutoff, the seq to start from, and the most messages of one call.
-- Returns one row. more: whether another call goes on at first. first: otherwise the seq that was found, or the one
-- after the last message.
-- Locks nothing.
create or replace function first_kept(
  room text, cutoff timestamptz, start bigint, most integer, out first bigint, out more boolean
)
returns record
language plpgsql stable
set enable_seqscan = off set enable_sort = off
as $$
declare
  passed integer;
begin
  select min(p.seq) filter (where p.kept), coalesce(max(p.seq) + 1, start), count(*)
  into first, start, passed
  from (
    select w.seq, w.created_at >= cutoff and not exists (
      select from message_order o where o.room_id = room and o.seq = w.seq and o.ordered_at < cutoff) as kept
    from (
      select m.seq, m.created_at from messages m where m.room_id = room and m.seq >= start order by m.seq limit most
    ) w
  ) p;
  more := first is null and passed = most;
  first := coalesce(first, start);
end $$;
