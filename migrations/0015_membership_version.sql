-- Each change of a membership takes the next version, while its room is locked: of two changes of one membership the later
-- has the higher version, whatever the order in which nodes receive them. Memberships from before have version 0.
create sequence membership_version;
alter table members add column version bigint not null default 0;
alter table membership_changes add column version bigint not null default 0;

create function number_membership() returns trigger language plpgsql as $$
begin
  new.version := nextval('membership_version');
  return new;
end $$;

create trigger number_membership before insert or update of role, muted_until on members
for each row execute function number_membership();

-- As in 0005, with the version. The end of a membership has one too.
create or replace function note_membership() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    insert into membership_changes (room_id, user_id, version)
    values (old.room_id, old.user_id, nextval('membership_version'));
  else
    insert into membership_changes (room_id, user_id, updated, version)
    values (new.room_id, new.user_id, tg_op = 'UPDATE', new.version);
  end if;
  return null;
end $$;

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
