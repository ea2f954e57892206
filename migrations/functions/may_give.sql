-- Whether a role may give another role.
-- Takes the rights (enter_room), the actor's role and the new role. Returns a boolean. Locks nothing.
create or replace function may_give(rights jsonb, actor_role text, new_role text)
returns boolean
language sql immutable
as $$
  select coalesce(rights -> 'gives' -> actor_role ? new_role, false)
$$;
