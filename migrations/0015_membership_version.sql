-- Up to which snapshot each node has applied changes of membership and revocations. The acknowledgement of a removal waits
-- for these rows (src/storage/confirmations.ts): a row is there for as long as its node may deliver.
create table node_confirmations (
  node text collate "C" primary key,
  confirmed pg_snapshot not null,
  at timestamptz not null default clock_timestamp()
);

-- As in 0010. A change of membership for user * stands for every member of the room: the rows of the members go later.
create or replace function delete_room(room text, actor text, rights jsonb) returns text language plpgsql as $$
declare
  e record;
begin
  select * into e from enter_room(room, actor, rights);
  if e.refusal is not null then
    return e.refusal;
  end if;
  delete from rooms r where r.id = room;
  insert into deleted_rooms (id, deleted_by) values (room, actor)
  on conflict (id) do update set deleted_by = excluded.deleted_by, deleted_at = excluded.deleted_at, purged_at = null;
  insert into membership_changes (room_id, user_id) values (room, '*');
  return 'deleted';
end $$;
