-- A query for the words that a message must have, in one bucket (search_bucket). Excluded words and the order of
-- quoted words are for the check of the message itself.
-- Takes the words (search_needed) and the bucket. Returns a query for search_keys. Locks nothing.
create or replace function search_in(needed text, bucket integer)
returns tsquery
language sql immutable parallel safe
as $$
  select regexp_replace(needed, '''([^'']+)''', '''' || lpad(bucket::text, 4, '0') || '\1''', 'g')::tsquery
$$;
