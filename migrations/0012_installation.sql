-- The identity of the installation and of its history. One row.
--
-- `id` names the installation: nodes that share one Redis with another installation drop its envelopes by it.
-- `epoch` names the history of the database. It changes when the database goes back in time: a restore, a failover that
-- lost commits. Revs are then given out again, and a cursor of another epoch means nothing.
--
-- `timeline`, `database` and `xid` say where the row was written and by which transaction. A promoted standby and a
-- point-in-time recovery begin another timeline. A copied database has another oid. A restored dump writes the row in
-- another transaction, which the system column xmin shows. In each case the row no longer describes itself.
-- Nothing but renew_epoch may update the row.
create table installation (
  one boolean primary key default true check (one),
  id uuid not null default gen_random_uuid(),
  epoch uuid not null default gen_random_uuid(),
  since timestamptz not null default clock_timestamp(),
  timeline text not null,
  database oid not null,
  xid xid8 not null
);

-- Where the log of changes ends now. Services that keep no such log of their own say nothing, and nothing is compared.
create function wal_position(out timeline text, out lsn bigint)
language plpgsql
as $$
begin
  timeline := substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8);
  lsn := (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint;
exception when feature_not_supported or insufficient_privilege or undefined_function then
  timeline := '';
  lsn := 0;
end $$;

-- `intact`: the row describes itself. `complete`: no restore is under way, which makes primary keys after all rows.
create function installation_state()
returns table (id uuid, epoch uuid, since timestamptz, intact boolean, complete boolean, lsn bigint)
language sql
as $$
  select i.id, i.epoch, i.since,
    i.timeline = w.timeline
      and i.database = (select d.oid from pg_database d where d.datname = current_database())
      and i.xmin::text = (i.xid::text::numeric % 4294967296)::text,
    (select count(*) = 9 from pg_constraint c where c.contype = 'p' and c.conrelid in (
      'installation'::regclass, 'members'::regclass, 'mentions'::regclass, 'messages'::regclass, 'reactions'::regclass,
      'rooms'::regclass, 'schema_migrations'::regclass, 'threads'::regclass, 'users'::regclass)),
    w.lsn
  from installation i, wal_position() w
$$;

-- Begins another epoch, unless another caller has done so: of many nodes that notice the same, one succeeds.
-- Cursors into changes of memberships and rooms are transaction ids, and may be from beyond the point of the restore. All
-- nodes read memberships anew, so the rows before that say nothing any more. Revocations count as new.
create function renew_epoch(expected uuid)
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

insert into installation (timeline, database, xid)
select w.timeline, (select d.oid from pg_database d where d.datname = current_database()), pg_current_xact_id()
from wal_position() w;
