-- A search costs what its answer shows: the size of a query is bounded, and a snippet is made from an excerpt of the message.
-- Runs beside: 0017

-- The words and operators of a parsed query. A word counts one, and so do `or` and `-`. In scripts without spaces four
-- characters count as a word.
create function search_size(wanted tsquery) returns integer language sql immutable parallel safe as $$
  select (count(*) filter (where t.m[1] in ('|', '!') or t.m[1] !~ ('^''[' || search_unspaced() || ']'))
    + ceil(count(*) filter (where t.m[1] ~ ('^''[' || search_unspaced() || ']')) / 4.0))::integer
  from regexp_matches(wanted::text, '(''[^'']*''|[|!])', 'g') as t (m)
$$;

-- Whether a part of a text has one of the words, or one of the runs of scripts without spaces.
create function search_touches(config regconfig, plain text, hits tsquery, runs text[]) returns boolean
language plpgsql immutable parallel safe as $$
declare
  run text;
begin
  foreach run in array coalesce(runs, '{}') loop
    if strpos(plain, run) > 0 then
      return true;
    end if;
  end loop;
  if numnode(hits) is null or numnode(hits) = 0 then
    return false;
  elsif octet_length(plain) = length(plain) then
    return to_tsvector(config, plain) @@ hits;
  end if;
  return to_tsvector(config, regexp_replace(plain, '[' || search_unspaced() || ']+', ' ', 'g')) @@ hits;
end $$;

-- The excerpt of a text around its first match. The text is read in windows of 1000 characters, which overlap by 300 so that
-- no word of up to 300 characters is cut by all windows that have a part of it. Null: nothing in the text matches.
create function search_excerpt(config regconfig, content text, hits tsquery, runs text[]) returns text
language plpgsql immutable parallel safe as $$
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
      -- what stands in front of the match is shown too
      part := substr(content, start - 200, 1500);
      return coalesce(nullif(regexp_replace(left(part, 100), '^\S+\s', ''), ''), left(part, 100)) || right(part, -100);
    end if;
    exit when start + 1000 > size;
    start := start + 700;
  end loop;
  return null;
end $$;

-- As in 0014, but only an excerpt of the text is cut into pieces, and no piece behind those that are shown is compared.
create or replace function search_marked(lang text, content text, hits tsquery, runs text[], opening text, closing text) returns text
language plpgsql stable parallel safe as $$
declare
  config regconfig := lang::regconfig;
  unspaced text := '^[' || search_unspaced() || ']';
  excerpt text := search_excerpt(config, translate(content, E'\x1f', ' '), hits, runs);
  pieces text[]; -- runs of scripts without spaces, what parts words, and words
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
