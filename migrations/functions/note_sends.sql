-- Keeps threads, followers and mentions for a batch of append_messages. Called in the same statement, with its
-- outcomes.
-- Takes `seqs`, `asked`, `noted`, and the most threads that a user may follow.
-- `seqs` has one number for each input of that batch: the seq of its message, or 0 if the input was refused. The seq of
-- a message that was stored before is negative.
-- `asked` is `[[n, room, sender, names, everybody, published], …]` of the inputs that answer or mention, n from 1.
-- `published` is as in append_messages.
-- `noted` is the batch's outbox row. There a message that mentions a user gets the lane high, unless its sender named a
-- lane.
-- Returns one row for each element of `asked`: n, and two columns with JSON. `thread` is the state of the thread.
-- `mentioned` has the mentioned users of a message that is stored now (`*`: everybody).
-- The rooms are locked by append_messages. trim_follows locks rows of other rooms.
create or replace function note_sends(seqs bigint[], asked jsonb, noted bigint, max_follows integer)
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
    select m.room_id, m.thread as root, m.seq, m.rev, m.sender_id, m.created_at, a.v ->> 5 is not null as published
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
      -- only members follow a thread
      where not r.published or exists (
        select from members m where m.room_id = r.room_id and m.user_id = r.sender_id offset 0)
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
