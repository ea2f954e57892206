-- Marks outbox rows as notified, and deletes those whose events are published already. The counterpart of mark_published.
-- Takes the ids of the rows. Returns nothing.
-- Locks the rows in the order of their ids, and may wait for the commit of a writer.
create or replace function mark_notified(expanded bigint[])
returns void
language plpgsql
as $$
begin
  perform from outbox where id = any (expanded) order by id for update;
  update outbox set notified = true where id = any (expanded);
  delete from outbox where id = any (expanded) and fanned_out;
end $$;
