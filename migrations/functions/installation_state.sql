-- Reads the identity of the installation and of its history.
-- Takes nothing.
-- Returns one row: id, epoch, since, lsn, intact and complete. Without an installation there is no row.
-- `intact` says that the row describes the storage that holds it. `complete` says that no restore is under way: a
-- restore makes primary keys after all rows.
-- Locks nothing.
create or replace function installation_state()
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
