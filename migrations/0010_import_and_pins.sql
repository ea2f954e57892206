-- Rooms whose import was begun and is not settled: another run finishes it (src/messaging/transfer/room-import.ts).
create table imports (
  room_id text collate "C" primary key,
  shared boolean not null, -- it was here before, with members
  begun_at timestamptz not null default now()
);

-- As in 0005. An id may be there already: imports from before this migration brought deleted rooms back.
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
  return 'deleted';
end $$;

-- As in 0005. A mute may be kept already, of members who came by an import from before this migration.
create or replace function put_out(room text, subject text) returns void language plpgsql as $$
declare
  mute timestamptz;
begin
  delete from members m where m.room_id = room and m.user_id = subject returning m.muted_until into mute;
  update rooms r set member_count = r.member_count - 1 where r.id = room;
  if mute > now() then
    insert into kept_mutes (room_id, user_id, muted_until) values (room, subject, mute)
    on conflict (room_id, user_id) do update set muted_until = excluded.muted_until;
  end if;
end $$;

-- Forgetting a user deleted messages and left their pins, which took places that nobody could free.
update messages set pinned_at = null, pinned_by = null where pinned_at is not null and deleted_at is not null;
