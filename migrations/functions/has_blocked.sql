-- Whether a user has blocked another one.
-- Takes both users. Returns a boolean. Locks nothing.
create or replace function has_blocked(blocker text, other text)
returns boolean
language sql stable
as $$
  select exists (select from blocks b where b.user_id = blocker and b.blocked_id = other offset 0)
$$;
