-- Counts the threads of a room whose messages came by an import. Roots and replies that say nothing of their thread
-- have it from find_thread, since they come in the order of their seqs.
-- Takes the room, and following: whether users that wrote in a thread follow it. An import that names the followers
-- does not need this.
-- Returns nothing. Locks rows of messages and threads of the room; only the import writes to the room meanwhile.
create or replace function recount_threads(room text, following boolean)
returns void
language plpgsql
set enable_seqscan = off set enable_mergejoin = off set jit = off
as $$
begin
  update messages m set thread = m.seq
  from (select distinct r.thread from messages r where r.room_id = room and r.thread is not null) as x
  where m.room_id = room and m.seq = x.thread and m.thread is null;
  delete from threads t where t.room_id = room;
  insert into threads (room_id, root, replies, last_reply_at, repliers, rev)
  select room, r.root, sum(r.replies), max(r.at), (array_agg(r.sender_id order by r.last desc))[1:5], max(r.rev)
  from (
    select m.thread as root, m.sender_id, count(*) filter (where m.deleted_at is null) as replies,
      max(m.created_at) as at, max(m.seq) as last, max(m.rev) as rev
    from messages m where m.room_id = room and m.thread is not null and m.reply_to is not null
    group by m.thread, m.sender_id
  ) r group by r.root;
  if following then
    insert into thread_follows (room_id, root, user_id, read_seq, followed_at)
    select room, m.thread, m.sender_id, max(r.last_seq), max(m.created_at)
    from messages m join rooms r on r.id = m.room_id
    join members x on x.room_id = m.room_id and x.user_id = m.sender_id
    where m.room_id = room and m.thread is not null
    group by m.thread, m.sender_id
    on conflict do nothing;
  end if;
end $$;
