-- The number of the four days of a moment: four digits, until the year 2079. search_keys has the same calculation,
-- and an index has its results.
-- Takes the moment. Returns the number. Locks nothing.
create or replace function search_bucket(moment timestamptz)
returns integer
language sql immutable parallel safe
as $$
  select floor(extract(epoch from moment) / 345600)::integer
$$;
