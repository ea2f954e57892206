-- The bytes of a value as JSON text without spaces, as nodes count them. Postgres writes a space behind each comma and
-- colon.
-- Takes the value. Returns the number of bytes. Locks nothing.
create or replace function json_size(value jsonb)
returns integer
language sql immutable parallel safe
as $$
  select (octet_length(value::text) - coalesce(sum(case jsonb_typeof(p.part)
    when 'array' then greatest(jsonb_array_length(p.part) - 1, 0)
    when 'object' then greatest(2 * (select count(*) from jsonb_object_keys(p.part)) - 1, 0)
    else 0 end), 0))::integer
  from jsonb_path_query(value, 'strict $.**') as p (part)
$$;
