-- Whether a role may act on members of another role.
-- Takes the rights (enter_room), the actor's role and the subject's role. Returns a boolean. Locks nothing.
create or replace function is_below(rights jsonb, actor_role text, subject_role text)
returns boolean
language sql immutable
as $$
  select coalesce(rights -> 'below' -> actor_role ? subject_role, false)
$$;
