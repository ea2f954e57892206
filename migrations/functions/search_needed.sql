-- The words of a query that a message must have one or all of, as text for search_in.
-- Takes the query. Returns text. Locks nothing.
create or replace function search_needed(look_for tsquery)
returns text
language sql immutable parallel safe
as $$
  select regexp_replace(querytree(look_for), '<(-|[0-9]+)>', '&', 'g')
$$;
