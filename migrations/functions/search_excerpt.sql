-- The excerpt of a text around its first match. The text is read in windows of 1000 characters. They overlap by 300,
-- so no word of up to 300 characters is cut by all windows that have a part of it.
-- Takes the configuration, the text, and the hits and runs of search_parse.
-- Returns the excerpt; null: nothing in the text matches. Locks nothing.
create or replace function search_excerpt(config regconfig, content text, hits tsquery, runs text[])
returns text
language plpgsql immutable parallel safe
as $$
declare
  size integer := coalesce(length(content), 0); -- a body may have no text, although the index still knows one
  start integer := 1;
  part text;
begin
  while start <= size loop
    part := substr(content, start, 1000);
    -- a word that the window cuts could match by a part of it
    if start + 1000 <= size then
      part := left(part, 700) || coalesce(substring(right(part, -700) from '^.*\s'), right(part, -700));
    end if;
    if start > 1 then
      part := coalesce(nullif(regexp_replace(left(part, 300), '^\S+', ''), ''), left(part, 300)) || right(part, -300);
    end if;
    if search_touches(config, search_plain(part), hits, runs) then
      if start = 1 then
        return substr(content, 1, 1300);
      end if;
      -- the text in front of the match is shown too
      part := substr(content, start - 200, 1500);
      return coalesce(nullif(regexp_replace(left(part, 100), '^\S+\s', ''), ''), left(part, 100)) || right(part, -100);
    end if;
    exit when start + 1000 > size;
    start := start + 700;
  end loop;
  return null;
end $$;
