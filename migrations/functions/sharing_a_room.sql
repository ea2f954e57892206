-- For nodes of an earlier release: the pairs of a viewer and a user that share a room without a block; see sights.
-- Takes the viewers and the users, as many of each. Returns the places of the pairs, from 1. Locks nothing.
create or replace function sharing_a_room(viewers text[], users text[])
returns setof integer
language sql stable
as $$
  select s.n from sights(viewers, users) s where s.blocked_at is null
$$;
