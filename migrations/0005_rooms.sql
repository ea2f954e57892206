-- Rooms: settings, roles, moderation, invitations, join links, archive, deletion.
--
-- Who may do what stands in src/messaging/roles.ts. Functions get their part of it as `rights`:
--   {"may": {kind: [role, …]}, "archived": bool, "below": {role: [role, …]}, "gives": {role: [role, …]}}
-- Refusals that they share: not_found, not_member, forbidden, archived.

alter table rooms
  add column topic text,
  add column archived_at timestamptz,
  add column retention_days integer, -- null: kept for ever
  add column slow_mode_s integer not null default 0,
  add column senders text not null default 'all' check (senders in ('all', 'admins')),
  add column edit_window_s integer; -- null: the server's; 0: no limit

alter table members
  add column muted_until timestamptz, -- infinity: until it is lifted
  add column last_sent_at timestamptz; -- only of rooms in slow mode

-- A room goes by one row; what hangs on it follows in batches (src/messaging/room-purge.ts). Rows of a room that is not
-- there are nobody's: whoever reads joins rooms, and whoever writes holds the room's row.
alter table members drop constraint members_room_id_fkey;

-- Few have another role than member: a page of them must not read a large room whole.
create index members_by_role on members (room_id, role, user_id) where role <> 'member';

-- Ids that were rooms and never are again: a cursor of the old room must not fit a new one.
create table deleted_rooms (
  id text collate "C" primary key,
  deleted_by text collate "C" not null,
  deleted_at timestamptz not null default clock_timestamp(),
  purged_at timestamptz -- null: rows with this room_id may be left
);

create index deleted_rooms_unpurged on deleted_rooms (deleted_at) where purged_at is null;

create table bans (
  room_id text collate "C" not null,
  user_id text collate "C" not null,
  banned_by text collate "C" not null,
  reason text,
  at timestamptz not null default clock_timestamp(),
  primary key (room_id, user_id)
);

-- Mutes of who left or was removed: they are muted again when they come back.
create table kept_mutes (
  room_id text collate "C" not null,
  user_id text collate "C" not null,
  muted_until timestamptz not null,
  primary key (room_id, user_id)
);

create index kept_mutes_by_end on kept_mutes (muted_until);

create table invitations (
  room_id text collate "C" not null,
  user_id text collate "C" not null,
  role text not null check (role in ('admin', 'member', 'guest')),
  invited_by text collate "C" not null,
  at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  primary key (room_id, user_id)
);

create index invitations_by_user on invitations (user_id, room_id);
create index invitations_by_expiry on invitations (expires_at);

create table join_links (
  room_id text collate "C" not null,
  id text collate "C" not null,
  token_hash bytea not null unique, -- sha256; the token is given out once and not kept
  role text not null check (role in ('admin', 'member', 'guest')),
  made_by text collate "C" not null,
  at timestamptz not null default clock_timestamp(),
  expires_at timestamptz, -- null: never
  max_uses integer, -- null: any number
  uses integer not null default 0,
  primary key (room_id, id)
);

-- Names and topics of open channels by the words in them. Punctuation parts words here as it does in searches: the parser
-- of Postgres would take `node.js` for one word, a host.
create function room_words(name text, topic text) returns tsvector language sql immutable as $$
  select to_tsvector('simple', translate(coalesce(name, '') || ' ' || coalesce(topic, ''),
    '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', '                                '))
$$;

create index rooms_by_words on rooms using gin (room_words(name, topic)) where kind = 'channel' and archived_at is null;

-- Mutes are changes of a membership too: nodes keep signals of the muted back.
alter table membership_changes add column updated boolean not null default false; -- the role or a mute, of who stays

create or replace function note_membership() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    insert into membership_changes (room_id, user_id) values (old.room_id, old.user_id);
  else
    insert into membership_changes (room_id, user_id, updated) values (new.room_id, new.user_id, tg_op = 'UPDATE');
  end if;
  return null;
end $$;

drop trigger note_membership on members;
create trigger note_membership after insert or delete or update of role, muted_until on members
for each row execute function note_membership();

-- Locks a room and says whether the actor may. The lock puts this before or after any commit of messages there.
create function enter_room(
  room text, actor text, rights jsonb, out refusal text, out room_kind text, out actor_role text
) language plpgsql as $$
declare
  archived timestamptz;
begin
  select r.kind, r.archived_at into room_kind, archived from rooms r where r.id = room for no key update;
  if not found then
    refusal := 'not_found';
    return;
  end if;
  select m.role into actor_role from members m where m.room_id = room and m.user_id = actor;
  if not coalesce(rights -> 'may' -> room_kind ? coalesce(actor_role, 'nobody'), false) then
    refusal := case
      when actor_role is not null then 'forbidden'
      when room_kind = 'channel' then 'not_member'
      else 'not_found'
    end;
  elsif archived is not null and not (rights -> 'archived')::boolean then
    refusal := 'archived';
  end if;
end $$;

create function is_below(rights jsonb, actor_role text, subject_role text) returns boolean language sql immutable as $$
  select coalesce(rights -> 'below' -> actor_role ? subject_role, false)
$$;

create function may_give(rights jsonb, actor_role text, new_role text) returns boolean language sql immutable as $$
  select coalesce(rights -> 'gives' -> actor_role ? new_role, false)
$$;

-- Puts a user into a room that the caller has locked, whose member they are not: joined, banned, limit_reached.
create function admit(room text, subject text, new_role text, max_members integer, max_rooms integer)
returns text language plpgsql as $$
declare
  mute timestamptz;
begin
  if exists (select from bans b where b.room_id = room and b.user_id = subject) then
    return 'banned';
  elsif (select r.member_count from rooms r where r.id = room) >= max_members
    or (select count(*) from members m where m.user_id = subject) >= max_rooms then
    return 'limit_reached';
  end if;
  insert into users (id) values (subject) on conflict do nothing;
  -- what was said before they came is not unread
  delete from kept_mutes k where k.room_id = room and k.user_id = subject returning k.muted_until into mute;
  insert into members (room_id, user_id, role, last_read_seq, muted_until)
  select room, subject, new_role, r.last_seq, case when new_role in ('member', 'guest') then mute end
  from rooms r where r.id = room;
  update rooms r set member_count = r.member_count + 1 where r.id = room;
  delete from invitations i where i.room_id = room and i.user_id = subject;
  return 'joined';
end $$;

-- Takes a member out of a room that the caller has locked.
create function put_out(room text, subject text) returns void language plpgsql as $$
declare
  mute timestamptz;
begin
  delete from members m where m.room_id = room and m.user_id = subject returning m.muted_until into mute;
  update rooms r set member_count = r.member_count - 1 where r.id = room;
  if mute > now() then
    insert into kept_mutes (room_id, user_id, muted_until) values (room, subject, mute);
  end if;
end $$;

-- As before, but a mute is kept.
create or replace function remove_member(room text, subject text, out outcome text, out heir text) language plpgsql as $$
declare
  room_kind text;
  was text;
begin
  select kind into room_kind from rooms where id = room for no key update;
  select role into was from members where room_id = room and user_id = subject;
  if room_kind is null then
    outcome := 'not_found';
    return;
  elsif was is null then
    outcome := case when room_kind = 'channel' then 'not_member' else 'not_found' end;
    return;
  elsif room_kind = 'direct' then
    outcome := 'forbidden';
    return;
  end if;
  perform put_out(room, subject);
  if was = 'owner' and not exists (select from members where room_id = room and role = 'owner') then
    update members set role = 'owner', muted_until = null
    where room_id = room and user_id = (
      select user_id from members where room_id = room and role in ('admin', 'member')
      order by role, joined_at, user_id limit 1)
    returning user_id into heir;
  end if;
  outcome := 'left';
end $$;

-- As before, but the id of a deleted room is not given again.
create or replace function create_room(
  room text, room_kind text, room_name text, creator text, peer text, max_rooms integer
) returns text language plpgsql as $$
begin
  insert into users (id) select u from unnest(array[creator, peer]) as u where u is not null order by u on conflict do nothing;
  if (select count(*) from members where user_id = creator) >= max_rooms
    and not exists (select from members where room_id = room and user_id = creator) then
    return 'limit_reached';
  end if;
  insert into rooms (id, kind, name, created_by, member_count)
  values (room, room_kind, room_name, creator, case when peer is null or peer = creator then 1 else 2 end)
  on conflict (id) do nothing;
  if not found then
    if exists (select from rooms r join members m on m.room_id = r.id and m.user_id = creator
               where r.id = room and r.kind = room_kind and (r.kind = 'direct' or r.created_by = creator)) then
      return 'exists';
    end if;
    return 'conflict';
  end if;
  -- looked at after the insert, which waits for a deletion that is under way
  if exists (select from deleted_rooms d where d.id = room) then
    delete from rooms r where r.id = room;
    return 'conflict';
  end if;
  insert into members (room_id, user_id, role)
  select room, u, case when room_kind = 'direct' then 'member' else 'owner' end
  from (select distinct u from unnest(array[creator, peer]) as u where u is not null) as founders;
  return 'created';
end $$;

-- Somebody joins by themselves: joined, already, banned, archived, limit_reached, not_found.
create function join_room(room text, subject text, max_members integer, max_rooms integer, rights jsonb)
returns text language plpgsql as $$
declare
  e record;
begin
  select * into e from enter_room(room, subject, rights);
  if e.actor_role is not null then
    return case when e.room_kind = 'channel' then 'already' else 'not_found' end;
  elsif e.refusal is not null then
    return e.refusal;
  end if;
  return admit(room, subject, 'member', max_members, max_rooms);
end $$;

-- Adds a member: joined, already, another_role (a member has another one), banned, limit_reached, or a refusal.
drop function add_member(text, text, text, text, integer, integer);
create function add_member(
  room text, actor text, subject text, new_role text, max_members integer, max_rooms integer, rights jsonb
) returns text language plpgsql as $$
declare
  e record;
  was text;
begin
  select * into e from enter_room(room, actor, rights);
  select m.role into was from members m where m.room_id = room and m.user_id = subject;
  if e.refusal is not null then
    return e.refusal;
  elsif was is not null then
    return case when was = new_role then 'already' else 'another_role' end;
  elsif not may_give(rights, e.actor_role, new_role) then
    return 'forbidden';
  end if;
  return admit(room, subject, new_role, max_members, max_rooms);
end $$;

-- role, already, no_subject (no member), or a refusal. Who rises above those that mute is muted no more.
create function set_role(room text, actor text, subject text, new_role text, rights jsonb)
returns text language plpgsql as $$
declare
  e record;
  was text;
begin
  select * into e from enter_room(room, actor, rights);
  select m.role into was from members m where m.room_id = room and m.user_id = subject;
  if e.refusal is not null then
    return e.refusal;
  elsif was is null then
    return 'no_subject';
  elsif was = new_role then
    return 'already';
  elsif not is_below(rights, e.actor_role, was) or not may_give(rights, e.actor_role, new_role) then
    return 'forbidden';
  end if;
  update members m set role = new_role, muted_until = case when new_role in ('member', 'guest') then m.muted_until end
  where m.room_id = room and m.user_id = subject;
  return 'role';
end $$;

-- transferred, already, no_subject, or a refusal. The old owner is an admin then.
create function transfer_room(room text, actor text, subject text, rights jsonb) returns text language plpgsql as $$
declare
  e record;
begin
  select * into e from enter_room(room, actor, rights);
  if e.refusal is not null then
    return e.refusal;
  elsif actor = subject then
    return 'already';
  elsif not exists (select from members m where m.room_id = room and m.user_id = subject) then
    return 'no_subject';
  end if;
  -- in the order of mark_read, which locks rows of members too
  perform from members m where m.room_id = room and m.user_id in (actor, subject)
  order by m.room_id, m.user_id for no key update;
  update members m set role = case when m.user_id = actor then 'admin' else 'owner' end, muted_until = null
  where m.room_id = room and m.user_id in (actor, subject);
  return 'transferred';
end $$;

-- removed, no_subject, or a refusal.
create function remove_from_room(room text, actor text, subject text, rights jsonb) returns text language plpgsql as $$
declare
  e record;
  was text;
begin
  select * into e from enter_room(room, actor, rights);
  select m.role into was from members m where m.room_id = room and m.user_id = subject;
  if e.refusal is not null then
    return e.refusal;
  elsif was is null then
    return 'no_subject';
  elsif not is_below(rights, e.actor_role, was) then
    return 'forbidden';
  end if;
  perform put_out(room, subject);
  return 'removed';
end $$;

-- Bans a user, who need not be a member: outcome banned, already, limit_reached, or a refusal; removed: a member was.
create function ban_user(
  room text, actor text, subject text, why text, max_bans integer, rights jsonb, out outcome text, out removed boolean
) language plpgsql as $$
declare
  e record;
  was text;
begin
  removed := false;
  select * into e from enter_room(room, actor, rights);
  select m.role into was from members m where m.room_id = room and m.user_id = subject;
  if e.refusal is not null then
    outcome := e.refusal;
    return;
  elsif was is not null and not is_below(rights, e.actor_role, was) then
    outcome := 'forbidden';
    return;
  elsif exists (select from bans b where b.room_id = room and b.user_id = subject) then
    outcome := 'already';
    return;
  elsif (select count(*) from bans b where b.room_id = room) >= max_bans then
    outcome := 'limit_reached';
    return;
  end if;
  insert into bans (room_id, user_id, banned_by, reason) values (room, subject, actor, why);
  delete from invitations i where i.room_id = room and i.user_id = subject;
  if was is not null then
    perform put_out(room, subject);
    removed := true;
  end if;
  outcome := 'banned';
end $$;

-- lifted, already (there is none), or a refusal.
create function lift_ban(room text, actor text, subject text, rights jsonb) returns text language plpgsql as $$
declare
  e record;
begin
  select * into e from enter_room(room, actor, rights);
  if e.refusal is not null then
    return e.refusal;
  end if;
  delete from bans b where b.room_id = room and b.user_id = subject;
  return case when found then 'lifted' else 'already' end;
end $$;

-- Mutes a member until then, or with null lifts it: muted, unmuted, already, no_subject, or a refusal. The kept mute of who
-- is gone is lifted too: already, for there is nobody to tell.
create function mute_member(room text, actor text, subject text, until timestamptz, rights jsonb)
returns text language plpgsql as $$
declare
  e record;
  m members;
begin
  select * into e from enter_room(room, actor, rights);
  select * into m from members x where x.room_id = room and x.user_id = subject;
  if e.refusal is not null then
    return e.refusal;
  elsif m.role is null then
    delete from kept_mutes k where until is null and k.room_id = room and k.user_id = subject;
    return case when found then 'already' else 'no_subject' end;
  elsif not is_below(rights, e.actor_role, m.role) then
    return 'forbidden';
  elsif m.muted_until is not distinct from until then
    return 'already';
  end if;
  update members x set muted_until = until where x.room_id = room and x.user_id = subject;
  return case when until is null then 'unmuted' else 'muted' end;
end $$;

-- Sets what the keys of changes name: updated, unchanged, or a refusal.
create function update_room(room text, actor text, changes jsonb, rights jsonb) returns text language plpgsql as $$
declare
  e record;
begin
  select * into e from enter_room(room, actor, rights);
  if e.refusal is not null then
    return e.refusal;
  end if;
  update rooms r set (name, topic, retention_days, slow_mode_s, senders, edit_window_s) =
    (w.name, w.topic, w.retention_days, w.slow_mode_s, w.senders, w.edit_window_s)
  from (
    select
      case when changes ? 'name' then changes ->> 'name' else x.name end as name,
      case when changes ? 'topic' then changes ->> 'topic' else x.topic end as topic,
      case when changes ? 'retentionDays' then (changes ->> 'retentionDays')::integer else x.retention_days end as retention_days,
      case when changes ? 'slowMode' then (changes ->> 'slowMode')::integer else x.slow_mode_s end as slow_mode_s,
      case when changes ? 'senders' then changes ->> 'senders' else x.senders end as senders,
      case when changes ? 'editWindow' then (changes ->> 'editWindow')::integer else x.edit_window_s end as edit_window_s
    from rooms x where x.id = room
  ) w
  where r.id = room
    and (r.name, r.topic, r.retention_days, r.slow_mode_s, r.senders, r.edit_window_s)
      is distinct from (w.name, w.topic, w.retention_days, w.slow_mode_s, w.senders, w.edit_window_s);
  return case when found then 'updated' else 'unchanged' end;
end $$;

-- updated, unchanged, or a refusal.
create function archive_room(room text, actor text, archive boolean, rights jsonb) returns text language plpgsql as $$
declare
  e record;
begin
  select * into e from enter_room(room, actor, rights);
  if e.refusal is not null then
    return e.refusal;
  end if;
  update rooms r set archived_at = case when archive then date_trunc('milliseconds', clock_timestamp()) end
  where r.id = room and (r.archived_at is null) = archive;
  return case when found then 'updated' else 'unchanged' end;
end $$;

-- deleted, or a refusal. One row goes, whatever the size of the room, so that no commit waits.
create function delete_room(room text, actor text, rights jsonb) returns text language plpgsql as $$
declare
  e record;
begin
  select * into e from enter_room(room, actor, rights);
  if e.refusal is not null then
    return e.refusal;
  end if;
  delete from rooms r where r.id = room;
  insert into deleted_rooms (id, deleted_by) values (room, actor);
  return 'deleted';
end $$;

-- invited, already (a member), banned, limit_reached, or a refusal. Inviting again renews the invitation.
create function invite_user(
  room text, actor text, subject text, new_role text, valid interval, room_max integer, user_max integer, rights jsonb
) returns text language plpgsql as $$
declare
  e record;
begin
  select * into e from enter_room(room, actor, rights);
  if e.refusal is not null then
    return e.refusal;
  elsif not may_give(rights, e.actor_role, new_role) then
    return 'forbidden';
  elsif exists (select from members m where m.room_id = room and m.user_id = subject) then
    return 'already';
  elsif exists (select from bans b where b.room_id = room and b.user_id = subject) then
    return 'banned';
  end if;
  delete from invitations i where i.room_id = room and (i.user_id = subject or i.expires_at <= now());
  if (select count(*) from invitations i where i.room_id = room) >= room_max
    or (select count(*) from invitations i where i.user_id = subject and i.expires_at > now()) >= user_max then
    return 'limit_reached';
  end if;
  insert into users (id) values (subject) on conflict do nothing;
  insert into invitations (room_id, user_id, role, invited_by, expires_at)
  values (room, subject, new_role, actor, clock_timestamp() + valid);
  return 'invited';
end $$;

-- outcome: joined, declined, banned, archived, limit_reached, not_found. With the invitation's role and inviter.
create function answer_invitation(
  room text, subject text, accept boolean, max_members integer, max_rooms integer,
  out outcome text, out given_role text, out inviter text
) language plpgsql as $$
declare
  archived timestamptz;
begin
  select r.archived_at into archived from rooms r where r.id = room for no key update;
  if not found then
    outcome := 'not_found';
    return;
  end if;
  select i.role, i.invited_by into given_role, inviter from invitations i
  where i.room_id = room and i.user_id = subject and i.expires_at > now();
  if not found then
    outcome := 'not_found';
  elsif not accept then
    delete from invitations i where i.room_id = room and i.user_id = subject;
    outcome := 'declined';
  elsif archived is not null then
    outcome := 'archived';
  else
    outcome := admit(room, subject, given_role, max_members, max_rooms);
  end if;
end $$;

-- cancelled, no_subject (there is none), or a refusal. Who acts upon nobody takes back their own alone.
create function cancel_invitation(room text, actor text, subject text, rights jsonb) returns text language plpgsql as $$
declare
  e record;
begin
  select * into e from enter_room(room, actor, rights);
  if e.refusal is not null then
    return e.refusal;
  end if;
  delete from invitations i where i.room_id = room and i.user_id = subject
    and (i.invited_by = actor or is_below(rights, e.actor_role, 'member'));
  return case when found then 'cancelled' else 'no_subject' end;
end $$;

-- made, limit_reached, or a refusal. Links that can bring in nobody any more make room.
create function make_link(
  room text, actor text, link text, hash bytea, new_role text, ends timestamptz, most_uses integer, max_links integer,
  rights jsonb
) returns text language plpgsql as $$
declare
  e record;
begin
  select * into e from enter_room(room, actor, rights);
  if e.refusal is not null then
    return e.refusal;
  elsif not may_give(rights, e.actor_role, new_role) then
    return 'forbidden';
  end if;
  delete from join_links l where l.room_id = room and (l.expires_at <= now() or l.uses >= l.max_uses);
  if (select count(*) from join_links l where l.room_id = room) >= max_links then
    return 'limit_reached';
  end if;
  insert into join_links (room_id, id, token_hash, role, made_by, expires_at, max_uses)
  values (room, link, hash, new_role, actor, ends, most_uses);
  return 'made';
end $$;

-- revoked, no_subject (there is none), or a refusal.
create function revoke_link(room text, actor text, link text, rights jsonb) returns text language plpgsql as $$
declare
  e record;
begin
  select * into e from enter_room(room, actor, rights);
  if e.refusal is not null then
    return e.refusal;
  end if;
  delete from join_links l where l.room_id = room and l.id = link;
  return case when found then 'revoked' else 'no_subject' end;
end $$;

-- Joins by a link: outcome joined, already, banned, archived, limit_reached, not_found (none that works); with room, role
-- and who made the link. It works while its maker may make links. Only who comes in uses it up.
create function use_link(
  hash bytea, subject text, max_members integer, max_rooms integer, rights jsonb,
  out outcome text, out link_room text, out given_role text, out maker text
) language plpgsql as $$
declare
  e record;
  l join_links;
begin
  select x.room_id, x.made_by into link_room, maker from join_links x where x.token_hash = hash;
  if not found then
    outcome := 'not_found';
    return;
  end if;
  select * into e from enter_room(link_room, maker, rights);
  -- again, for the room was not locked
  select * into l from join_links x where x.token_hash = hash;
  given_role := l.role;
  if l.id is null or l.expires_at <= now() or l.uses >= l.max_uses or not may_give(rights, e.actor_role, l.role) then
    outcome := 'not_found';
  elsif exists (select from members m where m.room_id = link_room and m.user_id = subject) then
    outcome := 'already';
  elsif e.refusal is not null then
    outcome := case e.refusal when 'archived' then 'archived' else 'not_found' end;
  else
    outcome := admit(link_room, subject, l.role, max_members, max_rooms);
    if outcome = 'joined' then
      update join_links x set uses = x.uses + 1 where x.room_id = link_room and x.id = l.id;
    end if;
  end if;
end $$;

-- Which inputs of a batch (their places) come too soon after the sender's last message in a room in slow mode; notes the
-- time of those who may send. Called for batches with such a room alone, by who holds the rooms' locks.
create function slow_down(batch jsonb, committed_at timestamptz) returns integer[]
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  slowed integer[];
begin
  -- in the order of mark_read, which locks rows of members too
  perform from members m where (m.room_id, m.user_id) in (
    select e.v ->> 0, e.v ->> 2 from jsonb_array_elements(batch) as e (v)
    join rooms r on r.id = e.v ->> 0 where r.slow_mode_s > 0)
  order by m.room_id, m.user_id for no key update;
  with input as materialized (
    select e.n::integer as n, e.v ->> 0 as room_id, (e.v ->> 1)::uuid as id, e.v ->> 2 as sender_id,
      (e.v ->> 4)::bigint as reply_to
    from jsonb_array_elements(batch) with ordinality as e (v, n)
  ), concerned as materialized (
    -- those that append_messages would store
    select i.n, i.room_id, i.sender_id, m.last_sent_at + r.slow_mode_s * interval '1 second' as free_at,
      row_number() over (partition by i.room_id, i.sender_id order by i.n) as nth
    from input i
    join rooms r on r.id = i.room_id
    join members m on m.room_id = i.room_id and m.user_id = i.sender_id
    where r.slow_mode_s > 0 and m.role = 'member' and r.archived_at is null and r.senders = 'all'
      and (m.muted_until is null or m.muted_until <= committed_at) and (i.reply_to is null or i.reply_to <= r.last_seq)
      and not exists (select from messages d where d.room_id = i.room_id and d.id = i.id)
  ), noted as (
    update members m set last_sent_at = committed_at from concerned c
    where c.nth = 1 and (c.free_at is null or c.free_at <= committed_at)
      and m.room_id = c.room_id and m.user_id = c.sender_id
  )
  select array_agg(c.n) into slowed from concerned c where c.nth > 1 or c.free_at > committed_at;
  return coalesce(slowed, '{}');
end $$;

-- As in 0001, with what a room's settings and mutes forbid. Further outcomes, of which sent_at tells the end if there is one:
--   archived, muted, admins_only, slow
-- What was stored before is still a duplicate.
create or replace function append_messages(room_ids text[], batch jsonb, handed bigint[])
returns table (n integer, outcome text, seq bigint, rev bigint, sent_at timestamptz, outbox_id bigint)
language plpgsql
-- Every table here is reached by a key. A plan made while tables are small would scan them, and a function keeps its plan
-- while they grow, until the next analyze.
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  committed_at timestamptz;
  any_slow boolean;
  slowed integer[] := '{}';
begin
  if cardinality(handed) > 0 then
    delete from outbox where id = any (handed);
  end if;
  select bool_or(l.slow_mode_s > 0) into any_slow
  from (select slow_mode_s from rooms where id = any (room_ids) order by id for no key update) l;
  committed_at := date_trunc('milliseconds', clock_timestamp());
  if any_slow then
    slowed := slow_down(batch, committed_at);
  end if;
  return query
  with input as materialized (
    select e.n::integer as n, e.v ->> 0 as room_id, (e.v ->> 1)::uuid as id, e.v ->> 2 as sender_id, e.v -> 3 as body,
      (e.v ->> 4)::bigint as reply_to, e.v ->> 5 as lane
    from jsonb_array_elements(batch) with ordinality as e (v, n)
  ), judged as (
    select i.*, r.last_seq, r.last_rev, d.seq as old_seq, d.rev as old_rev, d.created_at as old_at,
      m.muted_until, m.last_sent_at, r.slow_mode_s,
      case
        when r.id is null then 'not_found'
        when m.role is null then case when r.kind = 'channel' then 'not_member' else 'not_found' end
        when m.role = 'guest' then 'forbidden'
        when d.seq is not null then case when d.sender_id = i.sender_id then 'duplicate' else 'conflict' end
        when r.archived_at is not null then 'archived'
        when m.muted_until > committed_at then 'muted'
        when r.senders = 'admins' and m.role = 'member' then 'admins_only'
        when i.reply_to > r.last_seq then 'no_reply_target'
        when i.n = any (slowed) then 'slow'
        else 'fresh'
      end as outcome
    from input i
    left join rooms r on r.id = i.room_id
    left join members m on m.room_id = i.room_id and m.user_id = i.sender_id
    left join messages d on d.room_id = i.room_id and d.id = i.id
  ), numbered as materialized (
    select *, count(*) filter (where outcome = 'fresh') over (partition by room_id order by n) as step from judged
  ), inserted as (
    insert into messages (room_id, seq, id, rev, sender_id, body, reply_to, created_at)
    select room_id, last_seq + step, id, last_rev + step, sender_id, body, reply_to, committed_at
    from numbered where outcome = 'fresh'
  ), moved as (
    select room_id, count(*) as steps, min(last_rev) as before,
      jsonb_object_agg(last_seq + step, lane) filter (where lane is not null) as lanes
    from numbered where outcome = 'fresh' group by room_id
  ), bumped as (
    update rooms set last_seq = last_seq + steps, last_rev = last_rev + steps from moved where id = moved.room_id
  ), noted as (
    insert into outbox (entries)
    select jsonb_agg(jsonb_build_object('room', room_id, 'from', before + 1, 'to', before + steps, 'lanes', lanes))
    from moved having count(*) > 0
    returning id
  )
  select s.n, s.outcome,
    case s.outcome when 'fresh' then s.last_seq + s.step else s.old_seq end,
    case s.outcome when 'fresh' then s.last_rev + s.step else s.old_rev end,
    case s.outcome
      when 'fresh' then committed_at
      when 'muted' then nullif(s.muted_until, 'infinity')
      when 'slow' then s.last_sent_at + s.slow_mode_s * interval '1 second'
      else s.old_at
    end,
    (select id from noted)
  from numbered s
  order by s.n;
end $$;

-- As in 0004, with the room's own edit window, and further outcomes:
--   archived, muted (edits and new reactions; at: until when, if that is known)
create or replace function change_messages(
  room_ids text[], batch jsonb, handed bigint[], window_ms bigint, max_kinds integer, max_versions integer
) returns table (
  n integer, outcome text, rev bigint, at timestamptz, total integer, outbox_id bigint,
  id uuid, sender_id text, name text, reply_to bigint, sent_at timestamptz, edited_at timestamptz, reactions text
)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off -- as append_messages
as $$
#variable_conflict use_column
declare
  part record;
  change record;
  room_kind text;
  archived timestamptz;
  room_window_ms bigint;
  actor_role text;
  muted timestamptz;
  base bigint;
  head bigint;
  m messages;
  entries jsonb := '[]';
  noted bigint; -- the outbox row's id; the row is written last
  committed_at timestamptz;
begin
  if cardinality(handed) > 0 then
    delete from outbox where id = any (handed);
  end if;
  perform from rooms where id = any (room_ids) order by id for no key update;
  committed_at := date_trunc('milliseconds', clock_timestamp());
  noted := nextval(pg_get_serial_sequence('outbox', 'id'));
  for part in select p.v ->> 0 as room_id, p.v -> 1 as changes from jsonb_array_elements(batch) as p (v) loop
    select r.kind, r.last_rev, r.archived_at, coalesce(r.edit_window_s * 1000::bigint, window_ms)
    into room_kind, base, archived, room_window_ms from rooms r where r.id = part.room_id;
    head := base;
    for change in
      select (c.v ->> 0)::integer as n, c.v ->> 1 as kind, (c.v ->> 2)::bigint as seq, c.v ->> 3 as actor,
        c.v -> 4 as body, c.v ->> 4 as emoji
      from jsonb_array_elements(part.changes) as c (v)
    loop
      n := change.n;
      outbox_id := null; total := null; id := null; sender_id := null; name := null; reply_to := null; sent_at := null; edited_at := null;
      reactions := null; rev := null; at := null;
      select x.role, x.muted_until into actor_role, muted from members x where x.room_id = part.room_id and x.user_id = change.actor;
      if base is null then
        outcome := 'not_found';
      elsif actor_role is null then
        outcome := case when room_kind = 'channel' then 'not_member' else 'not_found' end;
      elsif actor_role = 'guest' then
        outcome := 'forbidden';
      elsif archived is not null then
        outcome := 'archived';
      elsif muted > committed_at and change.kind in ('edit', 'add') then
        outcome := 'muted';
        at := nullif(muted, 'infinity');
      else
        select * into m from messages t where t.room_id = part.room_id and t.seq = change.seq;
        if not found then
          outcome := 'not_found';
        elsif change.kind = 'edit' then
          outcome := edit_message(
            m, change.actor, actor_role, change.body, head + 1, committed_at, room_window_ms, max_versions);
        elsif change.kind = 'delete' then
          outcome := delete_message(m, change.actor, actor_role, head + 1, committed_at, max_versions);
        else
          select x.outcome, x.total into outcome, total
          from react(m, change.actor, change.emoji, change.kind = 'add', head + 1, committed_at, max_kinds) as x;
        end if;
      end if;
      if outcome = 'changed' then
        head := head + 1;
        outbox_id := noted;
        rev := head;
        at := committed_at;
        id := m.id;
        if change.kind = 'edit' then
          sender_id := m.sender_id;
          reply_to := m.reply_to;
          sent_at := m.created_at;
          edited_at := committed_at;
          select u.name into name from users u where u.id = m.sender_id;
          select '[' || string_agg(
            '{"emoji":' || to_json(c.emoji)::text || ',"count":' || c.count || '}', ',' order by c.first_rev) || ']'
          into reactions from reaction_counts c where c.room_id = m.room_id and c.seq = m.seq;
        end if;
      elsif outcome = 'unchanged' then
        rev := m.rev;
        at := coalesce(m.deleted_at, m.edited_at, m.created_at);
      end if;
      return next;
    end loop;
    if head > base then
      update rooms r set last_rev = head where r.id = part.room_id;
      entries := entries || jsonb_build_object('room', part.room_id, 'from', base + 1, 'to', head, 'lanes', null);
    end if;
  end loop;
  if entries <> '[]' then
    insert into outbox (id, entries) overriding system value values (noted, entries);
  end if;
end $$;
