-- Deletes rows of messages that have expired, and what belongs to them.
-- Takes the room and the most messages of one call.
-- Returns one row. removed: deleted messages. remain: whether there are more. changed: whether what remains was
-- changed after it had expired (expire_messages, redo).
-- Locks rows of messages and threads that are free, and skips the others. Takes no lock of the room, so no writer
-- waits.
create or replace function delete_expired(
  room text, most integer, out removed integer, out remain boolean, out changed boolean
)
returns record
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  first bigint;
  purged bigint;
  gone bigint[];
begin
  select r.first_seq, r.purged_rev into first, purged from rooms r where r.id = room;
  select coalesce(array_agg(v.seq), '{}') into gone
  from (
    select t.seq from messages t where t.room_id = room and t.seq < first and t.rev <= purged
    order by t.seq limit most for update skip locked
  ) v;
  gone := remove_messages(room, gone, purged);
  removed := cardinality(gone);
  remain := exists (select from messages where room_id = room and seq < first);
  -- the check reads all remaining rows, and so runs only if the call removed none
  changed := removed = 0 and exists (select from messages where room_id = room and seq < first and rev > purged);
  if removed > 0 or not remain then
    delete from message_order o
    where o.room_id = room and o.seq < first and (not remain or o.seq <= (select max(g) from unnest(gone) as g));
  end if;
end $$;
