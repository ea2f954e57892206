-- The searched text of a body: `text` of an object, or a text; null for an encrypted body.
-- Takes the body. Returns text. Locks nothing. The rows of message_search are made with this function: after a change
-- the index must be made again.
create or replace function search_text(body jsonb)
returns text
language sql immutable parallel safe
as $$
  select case jsonb_typeof(body)
    when 'string' then body #>> '{}'
    when 'object' then case when not body ? 'encrypted' and jsonb_typeof(body -> 'text') = 'string' then body ->> 'text' end
  end
$$;
