-- Expires messages that are older than the cutoff and have a younger one before them, where first_seq does not reach
-- them.
-- Takes the room, the cutoff, and the most messages of one call.
-- Returns one row. removed: how many. rev: the room's next rev, which the expiry takes; null: there are none, or
-- another transaction holds them. outbox_id: the outbox row.
-- Locks the room's row, then rows of messages that are free. The rows go at once, for no seq says that they have
-- expired.
create or replace function expire_late(
  room text, cutoff timestamptz, most integer, out removed integer, out rev bigint, out outbox_id bigint
)
returns record
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  head bigint;
  gone bigint[];
begin
  select r.last_rev + 1 into head from rooms r where r.id = room for no key update;
  select coalesce(array_agg(v.seq), '{}') into gone
  from (
    select m.seq from message_order o
    join rooms r on r.id = room
    join messages m on m.room_id = o.room_id and m.seq = o.seq
    where o.room_id = room and not o.expired and o.at < cutoff and o.seq >= r.first_seq
    limit most for update of m skip locked
  ) v;
  gone := remove_messages(room, gone, head);
  removed := cardinality(gone);
  if removed = 0 then
    return;
  end if;
  rev := head;
  update message_order o set expired = true where o.room_id = room and o.seq = any (gone);
  update rooms r set last_rev = head, purged_rev = head where r.id = room;
  insert into outbox (entries)
  values (jsonb_build_array(jsonb_build_object('room', room, 'from', head, 'to', head, 'lanes', null)))
  returning id into outbox_id;
end $$;
