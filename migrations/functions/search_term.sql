-- The query of one part of a search text. A part of search_parse.
-- Takes the configuration, the part, and three flags. quoted: its words must stand in this order. prefix: its last
-- word may be the beginning of one. every: all of its words may be.
-- Returns the query. Locks nothing.
create or replace function search_term(config regconfig, part text, quoted boolean, prefix boolean, every boolean)
returns tsquery
language plpgsql immutable parallel safe
set client_min_messages = warning
as $$
declare
  plain text := search_plain(part);
  unspaced text := '[' || search_unspaced() || ']+';
  words text;
  last text;
  term tsquery;
  run text;
begin
  words := regexp_replace(plain, unspaced, ' ', 'g');
  if every then
    select string_agg('''' || w || ''':*', ' & ') into last from string_to_table(words, ' ') as w where w <> '';
    term := to_tsquery(config, coalesce(last, ''));
  else
    last := case when prefix and not quoted and right(words, 1) <> ' ' then substring(words from '[^ ]+$') end;
    if length(last) < 2 then
      last := null;
    end if;
    if last is not null then
      words := left(words, -length(last));
    end if;
    term := case when quoted then phraseto_tsquery(config, words) else plainto_tsquery(config, words) end;
    if last is not null then
      term := term && to_tsquery(config, '''' || last || ''':*');
    end if;
  end if;
  for run in select m[1] from regexp_matches(plain, unspaced, 'g') as m loop
    term := term && case when length(run) = 1 then ('''' || run || ''':*')::tsquery
      else (
        select string_agg('''' || substr(run, i, 2) || '''', '<->' order by i) from generate_series(1, length(run) - 1) as i
      )::tsquery end;
  end loop;
  return term;
end $$;
