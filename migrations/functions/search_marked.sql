-- The text around its first match, with its matches between two marks.
-- Takes the language, the text, the hits and runs of search_parse, and the two marks.
-- Returns the excerpt, or the first 300 characters if nothing matches. Locks nothing. Only an excerpt of the text is
-- cut into pieces, and no piece behind those that are shown is compared.
create or replace function search_marked(lang text, content text, hits tsquery, runs text[], opening text, closing text)
returns text
language plpgsql stable parallel safe
as $$
declare
  config regconfig := lang::regconfig;
  unspaced text := '^[' || search_unspaced() || ']';
  excerpt text := search_excerpt(config, translate(content, E'\x1f', ' '), hits, runs);
  pieces text[]; -- runs of scripts without spaces, separators of words, and words
  plain text[];
  matched boolean[] := '{}';
  first integer;
  marked text := '';
begin
  if excerpt is null then
    return left(content, 300);
  end if;
  select array_agg(m[1]) into pieces
  from regexp_matches(
    excerpt,
    -- selectors and joiners stay with what they belong to
    '([' || search_unspaced() || '][' || search_unspaced() || '\u200b-\u200f\ufe00-\ufe0f]*|[' || search_between() || ']+|[^' || search_unspaced() || search_between() || ']+)', 'g') as m;
  -- all at once; no class has the character between them
  plain := string_to_array(search_plain(array_to_string(pieces, E'\x1f')), E'\x1f');
  for i in 1 .. coalesce(cardinality(pieces), 0) loop
    exit when i > first + 80;
    matched[i] := plain[i] not in ('', ' ') and search_touches(config, plain[i], hits, runs);
    if matched[i] and first is null then
      first := i;
    end if;
  end loop;
  first := coalesce(first, 1);
  for i in greatest(first - 30, 1) .. least(first + 80, coalesce(cardinality(pieces), 0)) loop
    marked := marked || case when not coalesce(matched[i], false) then pieces[i]
      when pieces[i] ~ unspaced then search_marked_run(pieces[i], plain[i], runs, opening, closing)
      else opening || pieces[i] || closing end;
  end loop;
  return marked;
end $$;
