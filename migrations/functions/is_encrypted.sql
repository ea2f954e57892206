-- For nodes of an earlier release
--
-- Whether a body is encrypted. No function and no node of this release calls this function.
-- Takes the body. Returns a boolean. Locks nothing.
create or replace function is_encrypted(body jsonb)
returns boolean
language sql immutable parallel safe
as $$
  select coalesce(jsonb_typeof(body) = 'object' and body ? 'encrypted', false)
$$;
