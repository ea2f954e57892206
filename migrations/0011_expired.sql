-- Messages that expire are no more from the moment on that first_seq says so, whoever asks; who may pin; invitations.

-- As in 0005. What has expired is not_found, also while its row is there: a deletion of it may be under way, and a change
-- that waited for that would take a rev, and leave reactions, of a message that is no more. The room's lock keeps the line.
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
  first bigint;
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
    select r.kind, r.last_rev, r.archived_at, coalesce(r.edit_window_s * 1000::bigint, window_ms), r.first_seq
    into room_kind, base, archived, room_window_ms, first from rooms r where r.id = part.room_id;
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
        select * into m from messages t where t.room_id = part.room_id and t.seq = change.seq and t.seq >= first;
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

-- Pins a message, or takes its pin away; a change of the message, which takes the next rev and one outbox row.
-- outcome: changed, unchanged (rev: of the message's last change), not_found (deleted and expired ones too),
-- limit_reached, and those of enter_room, by the rights of the table of roles.
drop function pin_message(text, bigint, text, boolean, integer, bigint[]);
create function pin_message(
  room text, target bigint, actor text, pinning boolean, max_pins integer, handed bigint[], rights jsonb,
  out outcome text, out rev bigint, out at timestamptz, out id uuid, out outbox_id bigint
) language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  e record;
  first bigint;
  head bigint;
  m messages;
begin
  if cardinality(handed) > 0 then
    delete from outbox where id = any (handed);
  end if;
  select * into e from enter_room(room, actor, rights);
  if e.refusal is not null then
    outcome := e.refusal;
    return;
  end if;
  select r.last_rev + 1, r.first_seq into head, first from rooms r where r.id = room;
  select * into m from messages t where t.room_id = room and t.seq = target and t.seq >= first;
  if m.seq is null or m.deleted_at is not null then
    outcome := 'not_found';
  elsif pinning = (m.pinned_at is not null) then
    outcome := 'unchanged';
    rev := m.rev;
    at := coalesce(m.pinned_at, m.created_at);
    id := m.id;
  elsif pinning
    and (select count(*) from messages t where t.room_id = room and t.pinned_at is not null) >= max_pins then
    outcome := 'limit_reached';
  else
    outcome := 'changed';
    rev := head;
    at := date_trunc('milliseconds', clock_timestamp());
    id := m.id;
    update messages t set rev = head, changed = true,
      pinned_at = case when pinning then at end, pinned_by = case when pinning then actor end
    where t.room_id = room and t.seq = target;
    update rooms r set last_rev = head where r.id = room;
    insert into outbox (entries)
    values (jsonb_build_array(jsonb_build_object('room', room, 'from', head, 'to', head, 'lanes', null)))
    returning outbox.id into outbox_id;
  end if;
end $$;

-- Deletes rows of messages that have expired, and what belongs to them, at most so many. A thread lives as long as its last
-- message: its root expires first, and its replies are counted, followed and read on.
-- It takes no lock of the room, and waits for no message or thread that somebody holds: nobody who writes waits for it, two
-- that do it at once share the work, and a send into a thread, which holds what it changes, cannot deadlock with it. What is
-- held is left for the next time.
--   removed  how many; none, though some remain: somebody else is at them
--   changed  none, and some that remain were changed after they had expired: see `redo` of expire_messages
drop function delete_expired(text, integer);
create function delete_expired(room text, most integer, out removed integer, out remain boolean, out changed boolean)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  first bigint;
  purged bigint;
  gone bigint[];
  roots bigint[]; -- of the threads that they are in, or would be
  ours bigint[];
  held bigint[];
  ended bigint[];
begin
  select r.first_seq, r.purged_rev into first, purged from rooms r where r.id = room;
  select coalesce(array_agg(v.seq), '{}'), coalesce(array_agg(distinct coalesce(v.thread, v.seq)), '{}') into gone, roots
  from (
    select t.seq, t.thread from messages t where t.room_id = room and t.seq < first and t.rev <= purged
    order by t.seq limit most for update skip locked
  ) v;
  select coalesce(array_agg(f.root), '{}') into ours
  from (select t.root from threads t where t.room_id = room and t.root = any (roots) for update skip locked) f;
  select coalesce(array_agg(t.root), '{}') into held
  from threads t where t.room_id = room and t.root = any (roots) and t.root <> all (ours);
  with dead as (
    delete from messages m where m.room_id = room and m.seq = any (gone) and coalesce(m.thread, m.seq) <> all (held)
    returning m.seq, m.thread, m.reply_to is not null and m.deleted_at is null as counted
  ), recounted as (
    update threads t set replies = t.replies - d.replies, rev = greatest(t.rev, purged)
    from (select thread, count(*) as replies from dead where counted group by thread) d
    where t.room_id = room and t.root = d.thread
  )
  select coalesce(array_agg(seq), '{}') into gone from dead;
  removed := cardinality(gone);
  if removed > 0 then
    delete from message_versions v where v.room_id = room and v.seq = any (gone);
    delete from reactions r where r.room_id = room and r.seq = any (gone);
    delete from reaction_counts c where c.room_id = room and c.seq = any (gone);
    delete from message_search s where s.room_id = room and s.seq = any (gone);
    delete from mentions t where t.room_id = room and t.seq = any (gone);
    select coalesce(array_agg(x.root), '{}') into ended from unnest(roots) as x (root)
    where x.root <> all (held) and not exists (
      select from messages m where m.room_id collate "POSIX" = room and m.thread = x.root and m.seq >= first);
    delete from threads t where t.room_id = room and t.root = any (ended);
    -- a send that is under way holds its author's, and waits for the thread
    with free as materialized (
      select f.root, f.user_id from thread_follows f where f.room_id = room and f.root = any (ended) for update skip locked
    )
    delete from thread_follows f using free where f.room_id = room and f.root = free.root and f.user_id = free.user_id;
  end if;
  remain := exists (select from messages where room_id = room and seq < first);
  -- looked for at the end alone: it reads all that remain
  changed := removed = 0 and exists (select from messages where room_id = room and seq < first and rev > purged);
end $$;

-- Threads that went with their root before, or began anew since. Their rooms wait.
with parted as materialized (
  select r.id from rooms r
  where r.first_seq > 1
    and exists (select from messages m where m.room_id collate "POSIX" = r.id and m.thread < r.first_seq)
  order by r.id for no key update
)
select recount_threads(id, false) from parted;

-- As in 0005. Who may take back only the invitations they made makes none by somebody else theirs: it is renewed as it is.
create or replace function invite_user(
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
  update invitations i set expires_at = clock_timestamp() + valid
  where i.room_id = room and i.user_id = subject and i.expires_at > now() and i.invited_by <> actor
    and not is_below(rights, e.actor_role, 'member');
  if found then
    return 'invited';
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

-- As in 0008. A message that calls everybody and names the viewer too mentions them once.
create or replace function unread_rooms(viewer text, after text, max_rooms integer, max_unread integer)
returns table (room text, read bigint, seq bigint, unread bigint, mentions bigint, at timestamptz)
language plpgsql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
begin
  return query
  select y.id, y.mark, y.last_seq, least(greatest(y.last_seq - y.mark, 0), max_unread),
    -- two look-ups: asked for both users at once it reads what mentions anybody. offset: the third goes by its whole key
    least(max_unread,
      (select count(*) from (
        select from mentions x
        where x.room_id collate "POSIX" = y.id and x.user_id = viewer and x.seq > y.mark limit max_unread) own)
      + (select count(*) from (
        select from mentions x
        where x.room_id collate "POSIX" = y.id and x.user_id = '*' and x.seq > y.mark
          and not exists (
            select from mentions o where o.room_id = x.room_id and o.seq = x.seq and o.user_id = viewer offset 0)
        limit max_unread) everybody)),
    t.created_at
  from unread_marks(viewer, after, max_rooms) y
  left join messages t on t.room_id = y.id and t.seq = y.last_seq
  order by y.id;
end $$;
