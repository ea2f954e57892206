-- Rows of message_search are locked in the order of their seqs by everybody. The search index took them in the order of revs,
-- so that a batch of retention, or a user who was forgotten, could meet it in a deadlock.
-- Runs beside: 0017

-- As in 0008.
create or replace function index_messages(room_ids text[], lang text, most integer)
returns table (room text, indexed integer, more boolean)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  head bigint;
  reached bigint;
  seqs bigint[];
  top bigint;
begin
  insert into search_rooms (room_id, language)
  select id, lang from rooms where id = any (room_ids) order by id on conflict do nothing;
  for room, reached in
    select s.room_id, s.rev from search_rooms s where s.room_id = any (room_ids) order by s.room_id for no key update
  loop
    select last_rev into head from rooms where id = room;
    select array_agg(p.seq), max(p.rev), count(*) into seqs, top, indexed from (
      select t.seq, t.rev from messages t
      where t.room_id collate "POSIX" = room and t.rev > reached order by t.rev limit most
    ) p;
    perform from message_search x where x.room_id = room and x.seq = any (seqs) order by x.seq for update;
    -- a message that has got a later rev meanwhile comes again
    with changed as materialized (
      select t.seq, t.sender_id, t.created_at, search_text(t.body) as content
      from messages t where t.room_id = room and t.seq = any (seqs)
    ), dropped as (
      delete from message_search x using changed c
      where c.content is null and x.room_id = room and x.seq = c.seq
    )
    insert into message_search (room_id, seq, at, words)
    select room, c.seq, c.created_at,
      search_words(lang, c.content) || array_to_tsvector(array[E'\x01r' || room, E'\x01u' || c.sender_id])
    from changed c where c.content is not null order by c.seq
    on conflict (room_id, seq) do update set words = excluded.words;
    reached := coalesce(top, reached);
    more := indexed = most;
    -- short of a full page all up to the head was seen; a rev beyond the head read before it comes again, which does no harm
    update search_rooms s set rev = case when more then reached else greatest(head, reached) end, language = lang
    where s.room_id = room;
    return next;
  end loop;
end $$;

-- As in 0013.
create or replace function remove_messages(room text, gone bigint[], purged bigint) returns bigint[]
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  first bigint;
  roots bigint[]; -- of the threads that they are in, or would be
  ours bigint[];
  held bigint[];
  ended bigint[];
begin
  select r.first_seq into first from rooms r where r.id = room;
  select coalesce(array_agg(distinct coalesce(t.thread, t.seq)), '{}') into roots
  from messages t where t.room_id = room and t.seq = any (gone);
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
  if cardinality(gone) > 0 then
    delete from message_versions v where v.room_id = room and v.seq = any (gone);
    delete from reactions r where r.room_id = room and r.seq = any (gone);
    delete from reaction_counts c where c.room_id = room and c.seq = any (gone);
    perform from message_search s where s.room_id = room and s.seq = any (gone) order by s.seq for update;
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
  return gone;
end $$;
