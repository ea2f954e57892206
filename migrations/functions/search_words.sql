-- The words by which a text is found (search_vector).
-- Takes the language and the text. Returns the words. Locks nothing. The rows of message_search are made with this
-- function: after a change the index must be made again.
create or replace function search_words(lang text, content text)
returns tsvector
language sql stable parallel safe
as $$
  select search_vector(lang::regconfig, content)
$$;
