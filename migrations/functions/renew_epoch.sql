-- Begins another epoch, unless another caller has done so: of many nodes that notice the same restore, one succeeds.
-- Takes the epoch that the caller knows.
-- Returns whether this call began the new epoch.
-- Locks the row of the installation, then the revocations. Cursors into changes of memberships and rooms are
-- transaction ids, and may be from beyond the point of the restore. All nodes read memberships again, so the older
-- rows are deleted. Revocations count as new.
create or replace function renew_epoch(expected uuid)
returns boolean
language plpgsql
as $$
declare
  place text := (select w.timeline from wal_position() w);
begin
  update installation i set
    epoch = gen_random_uuid(), since = clock_timestamp(), timeline = place,
    database = (select d.oid from pg_database d where d.datname = current_database()), xid = pg_current_xact_id()
  where i.epoch = expected;
  if not found then
    return false;
  end if;
  delete from membership_changes;
  delete from room_changes;
  update revocations set xid = pg_current_xact_id();
  return true;
end $$;
