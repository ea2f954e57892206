-- For nodes of an earlier release
--
-- Nodes that end with migration 0013 or earlier parse queries themselves.
-- Takes the language, the query, and a word of which only the beginning is typed. Returns the query. Locks nothing.
create or replace function search_query(lang text, query text, prefix text)
returns tsquery
language sql stable
as $$
  select wanted from search_parse(lang, query || prefix, false)
$$;
