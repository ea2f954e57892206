-- Settings of rooms that changed, for nodes that were not told of it: as membership_changes, which says how it is read.
create table room_changes (
  xid xid8 not null default pg_current_xact_id(),
  room_id text collate "C" not null,
  change text not null check (change in ('updated', 'archived', 'unarchived')),
  changed_by text collate "C" not null,
  at timestamptz not null default clock_timestamp()
);

create index room_changes_by_xid on room_changes (xid);
