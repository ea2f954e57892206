-- Marks outbox rows as published, and deletes those that have notified their recipients already.
-- Takes the ids of the rows. Returns nothing.
-- Locks the rows in the order of their ids, by the index. The notifier holds them only at the end of its transaction, see src/notifications/notifier.ts.
-- Two statements: the first waits for a notifier that sets the other mark, and the second sees that mark.
create or replace function mark_published(published bigint[])
returns void
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off
as $$
begin
  update outbox set fanned_out = true, relay = null where id = any (published);
  delete from outbox where id = any (published) and notified;
end $$;
