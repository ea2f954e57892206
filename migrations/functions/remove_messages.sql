-- Deletes rows of messages, and what belongs to them. A part of delete_expired and expire_late, which hold the rows.
-- Takes the room, the seqs, and the rev at which the messages expired.
-- Returns the seqs that were deleted. Messages of threads that another transaction holds are left out.
-- Locks rows of threads that are free, then rows of message_search, then rows of thread_follows that are free. The
-- order of the rows of message_search is that of seqs, as in index_messages.
create or replace function remove_messages(room text, gone bigint[], purged bigint)
returns bigint[]
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  first bigint;
  roots bigint[]; -- the root of each message's thread; without a thread, the seq of the message
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
    -- a send that is under way holds the row of its author, and waits for the thread
    with free as materialized (
      select f.root, f.user_id from thread_follows f where f.room_id = room and f.root = any (ended) for update skip locked
    )
    delete from thread_follows f using free where f.room_id = room and f.root = free.root and f.user_id = free.user_id;
  end if;
  return gone;
end $$;
