-- Threads, mentions, pins. Keys begin with room_id, as those of messages do.
-- append_messages and change_messages do not know of any of it: what a batch means for threads and mentions is noted by
-- functions that are called with their outcomes, in the same statement, so in the same transaction and under the same
-- locks of rooms, and only for batches that have any.

alter table messages
  -- The root of the thread it is in: of a reply the message at the head, of a message that was answered its own seq.
  add column thread bigint,
  add column pinned_at timestamptz,
  add column pinned_by text collate "C";

create index messages_by_thread on messages (room_id, thread, seq) where thread is not null;
create index messages_pinned on messages (room_id, pinned_at) where pinned_at is not null;

-- A reply to a reply belongs to the root's thread. What it answers was stored before (append_messages sees to that), or
-- has expired since: then a thread without its root begins there. Written with the row, since an update would write all
-- of its indices a second time; plain messages pay for the `when` alone.
create function find_thread() returns trigger language plpgsql set enable_seqscan = off as $$
begin
  select coalesce(p.thread, p.seq) into new.thread from messages p
  where p.room_id = new.room_id and p.seq = new.reply_to;
  new.thread := coalesce(new.thread, new.reply_to);
  return new;
end $$;

create trigger find_thread before insert on messages
for each row when (new.reply_to is not null and new.thread is null) execute function find_thread();

-- What is told of a thread beside its messages, so that no page counts. A change of it is part of a change of one of its
-- replies, whose rev it takes.
create table threads (
  room_id text collate "C" not null,
  root bigint not null,
  replies integer not null, -- those that are not deleted
  last_reply_at timestamptz not null,
  repliers text[] collate "C" not null, -- who answered last, newest first, at most five
  rev bigint not null,
  primary key (room_id, root)
) with (fillfactor = 70);

create table thread_follows (
  room_id text collate "C" not null,
  root bigint not null,
  user_id text collate "C" not null,
  read_seq bigint not null,
  followed_at timestamptz not null,
  primary key (room_id, root, user_id)
) with (fillfactor = 80);

create index thread_follows_by_user on thread_follows (user_id, followed_at);

create table mentions (
  room_id text collate "C" not null,
  seq bigint not null,
  user_id text collate "C" not null, -- '*': everybody in the room, which is no user's id
  at timestamptz not null,
  primary key (room_id, seq, user_id)
);

create index mentions_by_user on mentions (user_id, at, room_id, seq);
create index mentions_of_rooms on mentions (room_id, at, seq) where user_id = '*';

-- Its clear text is not here: such a body is not searched and nothing in it is looked at but its envelope.
create function is_encrypted(body jsonb) returns boolean language sql immutable parallel safe as $$
  select coalesce(jsonb_typeof(body) = 'object' and body ? 'encrypted', false)
$$;

-- As it stands in the JSON of a message.
create function thread_state(t threads) returns text language sql stable as $$
  select concat(
    ',"thread":{"root":', t.root, ',"replies":', t.replies,
    ',"lastReplyAt":', (extract(epoch from t.last_reply_at) * 1000)::bigint,
    ',"repliers":', array_to_json(t.repliers), ',"rev":', t.rev, '}')
$$;

-- Of more than so many the threads that these users have followed longest are let go. The rows are of other rooms too:
-- what somebody else holds is left for the next time, for to wait for it with a room locked could be a deadlock.
create function trim_follows(users text[], most integer) returns void
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off -- as append_messages
as $$
begin
  with surplus as materialized (
    select o.* from unnest(users) as u (id) cross join lateral (
      select f.room_id, f.root, f.user_id from thread_follows f
      where f.user_id = u.id order by f.followed_at desc offset most
    ) o
  ), free as materialized (
    select f.room_id, f.root, f.user_id from surplus s
    join thread_follows f on f.room_id = s.room_id and f.root = s.root and f.user_id = s.user_id
    for update of f skip locked
  )
  delete from thread_follows f using free
  where f.room_id = free.room_id and f.root = free.root and f.user_id = free.user_id;
end $$;

-- Makes these the mentions of messages, and returns those that are new.
--   targets  [[room, seq, sender, actor, names, everybody], …]; actor: who sent or edited it; names: [[id, …], …], of each the first that is a member counts
-- A message does not mention its sender; everybody in a group or channel is called by its owners and admins alone.
create function note_mentions(targets jsonb, noted_at timestamptz)
returns table (room_id text, seq bigint, user_id text)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
begin
  return query
  with target as materialized (
    select t.n, t.v ->> 0 as room_id, (t.v ->> 1)::bigint as seq, t.v ->> 2 as sender, t.v ->> 3 as actor,
      t.v -> 4 as names, (t.v ->> 5)::boolean as everybody
    from jsonb_array_elements(targets) with ordinality as t (v, n)
  ), person as (
    select distinct on (t.n, g.n) t.room_id, t.seq, t.sender, m.user_id
    from target t
    cross join lateral jsonb_array_elements(t.names) with ordinality as g (forms, n)
    cross join lateral jsonb_array_elements_text(g.forms) with ordinality as f (id, n)
    join members m on m.room_id = t.room_id and m.user_id = f.id
    order by t.n, g.n, f.n
  ), wanted as materialized (
    select distinct p.room_id, p.seq, p.user_id from person p where p.user_id <> p.sender
    union all
    select t.room_id, t.seq, '*' from target t
    join rooms r on r.id = t.room_id
    join members m on m.room_id = t.room_id and m.user_id = t.actor
    where t.everybody and (r.kind = 'direct' or m.role in ('owner', 'admin'))
  ), dropped as (
    delete from mentions m using target t
    where m.room_id = t.room_id and m.seq = t.seq and not exists (
      select from wanted w where w.room_id = m.room_id and w.seq = m.seq and w.user_id = m.user_id)
  )
  insert into mentions (room_id, seq, user_id, at)
  select w.room_id, w.seq, w.user_id, noted_at from wanted w
  on conflict do nothing
  returning mentions.room_id, mentions.seq, mentions.user_id;
end $$;

-- What a batch of append_messages means for threads and mentions; called in its statement with its outcomes.
--   seqs         one an input of that batch: stored now; negative: stored before; 0: refused
--   asked        [[n, room, sender, names, everybody], …] of those that answer or mention, n from 1
--   noted        the batch's outbox row: a message that mentions somebody gets the lane high, unless its sender named one
--   max_follows  threads that a user may follow
-- Returns, for what was asked: the thread's state, and of messages stored now whom they mention (JSON; '*': everybody).
create function note_sends(seqs bigint[], asked jsonb, noted bigint, max_follows integer)
returns table (n integer, thread text, mentioned text)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  stored_at timestamptz;
  newcomers text[];
  mentions_noted jsonb;
begin
  select max(m.created_at) into stored_at
  from jsonb_array_elements(asked) as a (v)
  join messages m on m.room_id = a.v ->> 1 and m.seq = seqs[(a.v ->> 0)::integer];

  with reply as materialized (
    select m.room_id, m.thread as root, m.seq, m.rev, m.sender_id, m.created_at
    from jsonb_array_elements(asked) as a (v)
    join messages m on m.room_id = a.v ->> 1 and m.seq = seqs[(a.v ->> 0)::integer]
    where m.reply_to is not null
  ), counted as (
    insert into threads as t (room_id, root, replies, last_reply_at, repliers, rev)
    select r.room_id, r.root, sum(r.replies), max(r.at), (array_agg(r.sender_id order by r.last desc))[1:5], max(r.rev)
    from (
      select room_id, root, sender_id, count(*) as replies, max(created_at) as at, max(seq) as last, max(rev) as rev
      from reply group by room_id, root, sender_id
    ) r group by r.room_id, r.root
    on conflict (room_id, root) do update set
      replies = t.replies + excluded.replies, last_reply_at = excluded.last_reply_at, rev = excluded.rev,
      repliers = (excluded.repliers || array(select u from unnest(t.repliers) u where u <> all (excluded.repliers)))[1:5]
  ), started as (
    update messages m set thread = m.seq
    from (select distinct r.room_id, r.root from reply r) as x
    where m.room_id = x.room_id and m.seq = x.root and m.thread is null
    returning m.room_id, m.seq as root, m.sender_id
  ), following as (
    insert into thread_follows as f (room_id, root, user_id, read_seq, followed_at)
    select x.room_id, x.root, x.user_id, max(x.seq), stored_at
    from (
      select r.room_id, r.root, r.sender_id as user_id, r.seq from reply r
      union all
      select s.room_id, s.root, s.sender_id, s.root from started s
      join members m on m.room_id = s.room_id and m.user_id = s.sender_id
    ) x group by x.room_id, x.root, x.user_id
    on conflict (room_id, root, user_id) do update set read_seq = greatest(f.read_seq, excluded.read_seq)
    returning f.user_id, f.xmax = 0 as is_new
  )
  select array_agg(distinct f.user_id) filter (where f.is_new) into newcomers from following f;
  if newcomers is not null then
    perform trim_follows(newcomers, max_follows);
  end if;

  if stored_at is not null and exists (
    select from jsonb_array_elements(asked) as a (v) where a.v -> 3 <> '[]' or a.v -> 4 = 'true'
  ) then
    select jsonb_object_agg(x.room_id, x.by_seq) into mentions_noted from (
      select y.room_id, jsonb_object_agg(y.seq, y.users) as by_seq from (
        select m.room_id, m.seq, jsonb_agg(m.user_id order by m.user_id) as users
        from note_mentions((
          select jsonb_agg(jsonb_build_array(a.v -> 1, seqs[(a.v ->> 0)::integer], a.v -> 2, a.v -> 2, a.v -> 3, a.v -> 4))
          from jsonb_array_elements(asked) as a (v) where seqs[(a.v ->> 0)::integer] > 0
        ), stored_at) as m
        group by m.room_id, m.seq
      ) y group by y.room_id
    ) x;
    if mentions_noted is not null then
      update outbox o set entries = (
        select jsonb_agg(
          case when mentions_noted ? (e.v ->> 'room') then jsonb_set(e.v, '{lanes}', (
            select jsonb_object_agg(k.seq, 'high') from jsonb_object_keys(mentions_noted -> (e.v ->> 'room')) as k (seq)
          ) || coalesce(nullif(e.v -> 'lanes', 'null'), '{}')) else e.v end order by e.n)
        from jsonb_array_elements(o.entries) with ordinality as e (v, n)
      ) where o.id = noted;
    end if;
  end if;

  return query
  select (a.v ->> 0)::integer, case when t.root is not null then thread_state(t) end, mentions_noted -> (a.v ->> 1) ->> seqs[(a.v ->> 0)::integer]::text
  from jsonb_array_elements(asked) as a (v)
  left join messages m on m.room_id = a.v ->> 1 and m.seq = abs(seqs[(a.v ->> 0)::integer])
  left join threads t on t.room_id = m.room_id and t.root = m.thread;
end $$;

-- What a batch of change_messages means for threads, mentions and pins; called in its statement with its outcomes.
--   made   one a change of that batch: 1 if it was made, else 0
--   asked  [[n, kind, room, seq, actor, names, everybody], …] of its edits and deletions, n from 0, in their order
-- Returns, for those that were made: the message's pin, its thread's state, and whom an edit mentions anew (JSON).
create function note_changes(made integer[], asked jsonb)
returns table (n integer, pinned text, thread text, mentioned text)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  change record;
  m messages;
begin
  for change in
    select (a.v ->> 0)::integer as n, a.v ->> 1 as kind, a.v ->> 2 as room_id, (a.v ->> 3)::bigint as seq, a.v -> 4 as actor,
      a.v -> 5 as names, a.v -> 6 as everybody
    from jsonb_array_elements(asked) with ordinality as a (v, ord)
    where made[(a.v ->> 0)::integer + 1] = 1 order by a.ord
  loop
    n := change.n; pinned := null; thread := null; mentioned := null;
    select * into m from messages t where t.room_id = change.room_id and t.seq = change.seq;
    if change.kind = 'delete' then
      delete from mentions x where x.room_id = m.room_id and x.seq = m.seq;
      if m.pinned_at is not null then
        update messages t set pinned_at = null, pinned_by = null where t.room_id = m.room_id and t.seq = m.seq;
      end if;
      if m.reply_to is not null then
        update threads t set replies = t.replies - 1, rev = m.rev where t.room_id = m.room_id and t.root = m.thread;
      end if;
    else
      -- one that the same batch deletes afterwards mentions nobody
      if m.deleted_at is null then
        select jsonb_agg(x.user_id order by x.user_id)::text into mentioned from note_mentions(
          jsonb_build_array(jsonb_build_array(m.room_id, m.seq, m.sender_id, change.actor, change.names, change.everybody)), m.edited_at) as x;
      end if;
      pinned := pin_state(m);
    end if;
    if m.thread is not null then
      select thread_state(t) into thread from threads t where t.room_id = m.room_id and t.root = m.thread;
    end if;
    return next;
  end loop;
end $$;

-- As it stands in the JSON of a message; null if it is not pinned.
create function pin_state(m messages) returns text language sql stable as $$
  select ',"pinnedAt":' || (extract(epoch from m.pinned_at) * 1000)::bigint || ',"pinnedBy":"' || m.pinned_by || '"'
$$;

-- Pins a message, or takes its pin away; a change of the message, which takes the next rev and one outbox row.
-- outcome: changed, unchanged (rev: of the message's last change), not_found (deleted too), not_member, forbidden,
-- limit_reached. In groups and channels owners and admins may, in a direct room both.
create function pin_message(
  room text, target bigint, actor text, pinning boolean, max_pins integer, handed bigint[],
  out outcome text, out rev bigint, out at timestamptz, out id uuid, out outbox_id bigint
) language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  room_kind text;
  head bigint;
  actor_role text;
  m messages;
begin
  if cardinality(handed) > 0 then
    delete from outbox where id = any (handed);
  end if;
  select r.kind, r.last_rev + 1 into room_kind, head from rooms r where r.id = room for no key update;
  select x.role into actor_role from members x where x.room_id = room and x.user_id = actor;
  select * into m from messages t where t.room_id = room and t.seq = target;
  if actor_role is null then
    outcome := case when room_kind = 'channel' then 'not_member' else 'not_found' end;
  elsif actor_role not in ('owner', 'admin') and (room_kind <> 'direct' or actor_role = 'guest') then
    outcome := 'forbidden';
  elsif m.seq is null or m.deleted_at is not null then
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

-- Threads of rooms whose messages came in another way than by append_messages (an import, or before there were threads).
-- Who wrote in one follows it, and has read it.
create function rebuild_threads(room_ids text[]) returns void language plpgsql as $$
declare
  reply record;
begin
  -- what is answered comes before the answer
  for reply in
    select m.room_id, m.seq, m.reply_to from messages m
    where m.room_id = any (room_ids) and m.reply_to is not null order by m.room_id, m.seq
  loop
    update messages m set thread = coalesce(
      (select coalesce(p.thread, p.seq) from messages p where p.room_id = reply.room_id and p.seq = reply.reply_to),
      reply.reply_to)
    where m.room_id = reply.room_id and m.seq = reply.seq;
  end loop;
  update messages m set thread = m.seq
  where m.room_id = any (room_ids) and m.thread is null and exists (
    select from messages r where r.room_id = m.room_id and r.thread = m.seq);
  delete from threads t where t.room_id = any (room_ids);
  insert into threads (room_id, root, replies, last_reply_at, repliers, rev)
  select r.room_id, r.root, sum(r.replies), max(r.at), (array_agg(r.sender_id order by r.last desc))[1:5], max(r.rev)
  from (
    select m.room_id, m.thread as root, m.sender_id, count(*) filter (where m.deleted_at is null) as replies,
      max(m.created_at) as at, max(m.seq) as last, max(m.rev) as rev
    from messages m where m.room_id = any (room_ids) and m.reply_to is not null
    group by m.room_id, m.thread, m.sender_id
  ) r group by r.room_id, r.root;
  insert into thread_follows (room_id, root, user_id, read_seq, followed_at)
  select m.room_id, m.thread, m.sender_id, max(r.last_seq), max(m.created_at)
  from messages m join rooms r on r.id = m.room_id
  join members x on x.room_id = m.room_id and x.user_id = m.sender_id
  where m.room_id = any (room_ids) and m.thread is not null
  group by m.room_id, m.thread, m.sender_id
  on conflict do nothing;
end $$;

select rebuild_threads(array(select distinct room_id from messages where reply_to is not null));
