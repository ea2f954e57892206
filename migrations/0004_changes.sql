-- Messages that change: edits, deletions, reactions. Keys begin with room_id, as those of messages do.

-- The row is not as it was sent. A page of messages looks for reactions only where it says so, and who repairs a lost
-- event from the row must tell "something changed here" instead of "here is a message".
alter table messages add column changed boolean not null default false;

-- What a message said before: version 1 is the first body; edited_by and at tell who replaced it, and when. A deletion is
-- the last of them, and leaves no body in any.
create table message_versions (
  room_id text collate "C" not null,
  seq bigint not null,
  version integer not null,
  body jsonb,
  edited_by text collate "C" not null,
  at timestamptz not null,
  primary key (room_id, seq, version)
);

create table reactions (
  room_id text collate "C" not null,
  seq bigint not null,
  user_id text collate "C" not null,
  emoji text collate "C" not null,
  created_at timestamptz not null,
  primary key (room_id, seq, user_id, emoji)
);

-- Kept beside, so that no page counts. first_rev is the order in which they are shown: clocks may stand or go back.
create table reaction_counts (
  room_id text collate "C" not null,
  seq bigint not null,
  emoji text collate "C" not null,
  count integer not null,
  first_rev bigint not null,
  primary key (room_id, seq, emoji)
) with (fillfactor = 70);

-- The functions below are parts of change_messages, which holds the room's row lock while it calls them.

-- Puts the present body away. The first one is always kept, of the later ones the newest.
create function keep_version(m messages, kept jsonb, actor text, changed_at timestamptz, max_versions integer)
returns void language plpgsql as $$
declare
  added integer;
begin
  insert into message_versions (room_id, seq, version, body, edited_by, at)
  select m.room_id, m.seq, coalesce(max(v.version), 0) + 1, kept, actor, changed_at
  from message_versions v where v.room_id = m.room_id and v.seq = m.seq
  returning version into added;
  if added > max_versions then
    delete from message_versions v
    where v.room_id = m.room_id and v.seq = m.seq and v.version = added - max_versions + 1;
  end if;
end $$;

-- changed, unchanged (it says that already), not_found (deleted), forbidden, too_late
create function edit_message(
  m messages, actor text, actor_role text, new_body jsonb, next_rev bigint, changed_at timestamptz,
  window_ms bigint, max_versions integer
) returns text language plpgsql as $$
begin
  if m.deleted_at is not null then
    return 'not_found';
  elsif m.sender_id <> actor and actor_role not in ('owner', 'admin') then
    return 'forbidden';
  elsif m.body = new_body then
    return 'unchanged';
  elsif actor_role not in ('owner', 'admin') and window_ms > 0
    and changed_at > m.created_at + window_ms * interval '1 millisecond' then
    return 'too_late';
  end if;
  perform keep_version(m, m.body, actor, changed_at, max_versions);
  update messages t set body = new_body, rev = next_rev, edited_at = changed_at, changed = true
  where t.room_id = m.room_id and t.seq = m.seq;
  return 'changed';
end $$;

-- changed, unchanged (deleted before), forbidden
create function delete_message(
  m messages, actor text, actor_role text, next_rev bigint, changed_at timestamptz, max_versions integer
) returns text language plpgsql as $$
begin
  if m.sender_id <> actor and actor_role not in ('owner', 'admin') then
    return 'forbidden';
  elsif m.deleted_at is not null then
    return 'unchanged';
  end if;
  if m.changed then
    delete from reactions r where r.room_id = m.room_id and r.seq = m.seq;
    delete from reaction_counts c where c.room_id = m.room_id and c.seq = m.seq;
    update message_versions v set body = null where v.room_id = m.room_id and v.seq = m.seq;
  end if;
  perform keep_version(m, null, actor, changed_at, max_versions);
  update messages t set body = null, rev = next_rev, deleted_at = changed_at, changed = true
  where t.room_id = m.room_id and t.seq = m.seq;
  return 'changed';
end $$;

-- outcome: changed, unchanged, not_found (deleted), limit_reached (as many kinds as may be); total: users of this emoji now
create function react(
  m messages, actor text, mark text, adding boolean, next_rev bigint, changed_at timestamptz, max_kinds integer,
  out outcome text, out total integer
) language plpgsql as $$
begin
  if m.deleted_at is not null then
    outcome := 'not_found';
    return;
  end if;
  select c.count into total from reaction_counts c where c.room_id = m.room_id and c.seq = m.seq and c.emoji = mark;
  if total is null and adding
    and (select count(*) from reaction_counts c where c.room_id = m.room_id and c.seq = m.seq) >= max_kinds then
    outcome := 'limit_reached';
    return;
  end if;
  total := coalesce(total, 0);
  if adding then
    insert into reactions (room_id, seq, user_id, emoji, created_at)
    values (m.room_id, m.seq, actor, mark, changed_at) on conflict do nothing;
  else
    delete from reactions r
    where r.room_id = m.room_id and r.seq = m.seq and r.user_id = actor and r.emoji = mark;
  end if;
  if not found then
    outcome := 'unchanged';
    return;
  end if;
  total := total + case when adding then 1 else -1 end;
  if total = 0 then
    delete from reaction_counts c where c.room_id = m.room_id and c.seq = m.seq and c.emoji = mark;
  elsif adding and total = 1 then
    insert into reaction_counts (room_id, seq, emoji, count, first_rev) values (m.room_id, m.seq, mark, 1, next_rev);
  else
    update reaction_counts c set count = total where c.room_id = m.room_id and c.seq = m.seq and c.emoji = mark;
  end if;
  update messages t set rev = next_rev, changed = true where t.room_id = m.room_id and t.seq = m.seq;
  outcome := 'changed';
end $$;

-- Commits a batch of changes, in their order within each room.
--   room_ids  the rooms of the batch, each once
--   batch     [[room, [[n, kind, seq, actor, value], …]], …]; kind: edit (value: the body), delete, add, remove (an emoji)
--   handed    as append_messages has it
-- Returns one row an input:
--   changed     took a rev of the room; rev, at
--   unchanged   was so before; rev of the message's last change, at of its last edit or deletion
--   not_found, not_member, forbidden, too_late, limit_reached
-- and what its event tells: total, or the message as it stands at that rev.
-- A loop, not one statement: changes of one message build on each other. Rooms are locked as append_messages locks them,
-- so the two wait for each other and neither can deadlock; the room's row is written once a batch.
create function change_messages(
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
  actor_role text;
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
    select r.kind, r.last_rev into room_kind, base from rooms r where r.id = part.room_id;
    head := base;
    for change in
      select (c.v ->> 0)::integer as n, c.v ->> 1 as kind, (c.v ->> 2)::bigint as seq, c.v ->> 3 as actor,
        c.v -> 4 as body, c.v ->> 4 as emoji
      from jsonb_array_elements(part.changes) as c (v)
    loop
      n := change.n;
      outbox_id := null; total := null; id := null; sender_id := null; name := null; reply_to := null; sent_at := null; edited_at := null;
      reactions := null; rev := null; at := null;
      select x.role into actor_role from members x where x.room_id = part.room_id and x.user_id = change.actor;
      if base is null then
        outcome := 'not_found';
      elsif actor_role is null then
        outcome := case when room_kind = 'channel' then 'not_member' else 'not_found' end;
      elsif actor_role = 'guest' then
        outcome := 'forbidden';
      else
        select * into m from messages t where t.room_id = part.room_id and t.seq = change.seq;
        if not found then
          outcome := 'not_found';
        elsif change.kind = 'edit' then
          outcome := edit_message(
            m, change.actor, actor_role, change.body, head + 1, committed_at, window_ms, max_versions);
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
