-- Ends the follows that users have had longest, where a user follows more threads than allowed.
-- Takes the users and the most threads of a user. Returns nothing.
-- Locks rows of thread_follows that are free, and skips the others until the next time. The rows are of other rooms
-- too, and a wait with a room locked could be a deadlock.
create or replace function trim_follows(users text[], most integer)
returns void
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
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
