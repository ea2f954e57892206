-- Of pairs of a viewer and a user, those that share a room or are the same user. Neither of two users sees the
-- presence of the other while one has blocked the other.
-- Takes the viewers and the users, as many of each.
-- Returns the places of the pairs, from 1. Locks nothing. Left to the planner, the query joined all members with all
-- members: 1.1 s for 100 pairs in a room of 1,000. By key: 4 ms.
create or replace function sharing_a_room(viewers text[], users text[])
returns setof integer
language plpgsql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
begin
  return query
  select p.n::integer
  from unnest(viewers, users) with ordinality as p (viewer, user_id, n)
  left join lateral (
    select true as shared from members a join members b on b.room_id = a.room_id and b.user_id = p.user_id
    where p.viewer <> p.user_id and a.user_id = p.viewer limit 1
  ) s on true
  where p.viewer = p.user_id or s.shared and not exists (
    select from blocks k where k.user_id = p.viewer and k.blocked_id = p.user_id
      or k.user_id = p.user_id and k.blocked_id = p.viewer);
end $$;
