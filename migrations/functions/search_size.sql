-- The words and operators of a parsed query. A word counts one, and so do `or` and `-`. In scripts without spaces
-- four characters count as a word.
-- Takes the query. Returns the number. Locks nothing.
create or replace function search_size(wanted tsquery)
returns integer
language sql immutable parallel safe
as $$
  select (count(*) filter (where t.m[1] in ('|', '!') or t.m[1] !~ ('^''[' || search_unspaced() || ']'))
    + ceil(count(*) filter (where t.m[1] ~ ('^''[' || search_unspaced() || ']')) / 4.0))::integer
  from regexp_matches(wanted::text, '(''[^'']*''|[|!])', 'g') as t (m)
$$;
