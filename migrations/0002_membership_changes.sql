-- Who joined, left or got another role, so that a node that was not told (Pub/Sub may lose it) finds out.
-- A node asks for rows with xid >= pg_snapshot_xmin() of its last look: whatever that look could not see yet has such an
-- xid, however late it committed. The row says only that something changed; the role is read from members.
create table membership_changes (
  xid xid8 not null default pg_current_xact_id(),
  room_id text collate "C" not null,
  user_id text collate "C" not null,
  at timestamptz not null default clock_timestamp()
);

create index membership_changes_by_xid on membership_changes (xid);

create function note_membership() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    insert into membership_changes (room_id, user_id) values (old.room_id, old.user_id);
  else
    insert into membership_changes (room_id, user_id) values (new.room_id, new.user_id);
  end if;
  return null;
end $$;

-- Read marks do not come here: they change nobody's place.
create trigger note_membership after insert or delete or update of role on members
for each row execute function note_membership();
