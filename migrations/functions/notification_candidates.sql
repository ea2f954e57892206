-- The users whom messages may notify, with all facts for the decision. A part of the notifier, see src/notifications/.
-- Takes `entries`, a position, and the most rows. `entries` is `[[room, first seq, last seq, first rev, last rev], …]`, as the
-- outbox has them. Without seqs the entry is of changes, and only the mentions that an edit made new count.
-- The rows come in the order of room, seq and user, behind the position.
-- Returns one row for a user and a message: the most personal kind, and the facts. gone: deleted, expired, or null.
-- Nobody is notified of an own message. Locks nothing.
-- A room where nothing can notify anybody costs one lookup of each kind, and no message of the room is read.
create or replace function notification_candidates(
  entries jsonb, after_room text, after_seq bigint, after_user text, most integer
)
returns table (
  room_id text, seq bigint, user_id text, kind text, at timestamptz, room_kind text, gone text, is_member boolean,
  has_blocked boolean, read_seq bigint, of_room jsonb, of_user jsonb
)
language plpgsql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  eager boolean; -- some users want each message of all their rooms
  targets jsonb; -- the messages that concern anybody
begin
  eager := exists (select from preferences p where p.room_id = '' and p.wants_all);
  select jsonb_agg(jsonb_build_array(r.id, m.seq, m.edited)) into targets
  from (
    select e.v ->> 0 as room_id, (e.v ->> 1)::bigint as first, (e.v ->> 2)::bigint as last,
      (e.v ->> 3)::bigint as first_rev, (e.v ->> 4)::bigint as last_rev
    from jsonb_array_elements(entries) as e (v)
  ) e
  join rooms r on r.id = e.room_id
  cross join lateral (
    select e.first is not null and (r.kind = 'direct' or eager or exists (
        select from preferences p where p.room_id = r.id and p.wants_all offset 0)) as whole,
      e.first is not null and exists (select from thread_follows f where f.room_id = r.id offset 0) as threads
    offset 0
  ) w
  cross join lateral (
    select t.seq, false as edited from messages t
    where w.whole and t.room_id = r.id and t.seq between e.first and e.last
    union
    select t.seq, false from messages t
    where w.threads and not w.whole and t.room_id = r.id and t.seq between e.first and e.last and t.thread is not null
    union
    select n.seq, false from mentions n
    where e.first is not null and not w.whole and n.room_id = r.id and n.seq between e.first and e.last
    union
    select t.seq, true from messages t
    where e.first is null and t.room_id collate "POSIX" = r.id and t.rev between e.first_rev and e.last_rev
      and t.edited_at is not null and exists (
        select from mentions n where n.room_id = t.room_id and n.seq = t.seq and n.at >= t.edited_at offset 0)
  ) m
  where (r.id, m.seq) >= (after_room collate "C", after_seq);
  if targets is null then
    return;
  end if;
  return query
  with target as materialized (
    select m.room_id, m.seq, m.sender_id, m.created_at, m.thread, r.kind,
      case when (t.v ->> 2)::boolean then m.edited_at else '-infinity' end as since,
      (t.v ->> 2)::boolean as edited,
      case when m.deleted_at is not null then 'deleted' when m.seq < r.first_seq then 'expired' end as gone
    from jsonb_array_elements(targets) as t (v)
    join rooms r on r.id = t.v ->> 0
    join messages m on m.room_id = t.v ->> 0 and m.seq = (t.v ->> 1)::bigint
  ), candidate as (
    select t.*, n.user_id, 1 as rank
    from target t join mentions n on n.room_id = t.room_id and n.seq = t.seq
    where n.user_id <> '*' and n.at >= t.since
    union all
    select t.*, m.user_id, 2
    from target t
    join mentions n on n.room_id = t.room_id and n.seq = t.seq and n.user_id = '*'
    join members m on m.room_id = t.room_id
    where n.at >= t.since
    union all
    select t.*, m.user_id, 3
    from target t join members m on m.room_id = t.room_id
    where t.kind = 'direct' and not t.edited
    union all
    select t.*, f.user_id, 4
    from target t join thread_follows f on f.room_id = t.room_id and f.root = t.thread
    where not t.edited
    union all
    select t.*, p.user_id, 5
    from target t join preferences p on p.room_id = t.room_id and p.wants_all
    where not t.edited
    union all
    select t.*, m.user_id, 5
    from target t
    join members m on m.room_id = t.room_id
    join preferences p on p.user_id = m.user_id and p.room_id = '' and p.wants_all
    where eager and not t.edited
  ), chosen as (
    select distinct on (c.room_id, c.seq, c.user_id) c.*
    from candidate c
    where c.user_id <> c.sender_id
      and (c.room_id, c.seq, c.user_id) > (after_room collate "C", after_seq, after_user collate "C")
    order by c.room_id, c.seq, c.user_id, c.rank
    limit most
  )
  select c.room_id, c.seq, c.user_id, (array['mention', 'everybody', 'direct', 'thread', 'message'])[c.rank],
    c.created_at, c.kind, c.gone, m.user_id is not null,
    exists (select from blocks b where b.user_id = c.user_id and b.blocked_id = c.sender_id offset 0),
    coalesce(m.last_read_seq, 0), p.document, u.document
  from chosen c
  left join members m on m.room_id = c.room_id and m.user_id = c.user_id
  left join preferences p on p.user_id = c.user_id and p.room_id = c.room_id
  left join preferences u on u.user_id = c.user_id and u.room_id = ''
  order by c.room_id, c.seq, c.user_id;
end $$;
