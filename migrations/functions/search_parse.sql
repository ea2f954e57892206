-- Parses the text of a search: words, "words in this order", -without, and one side or the other of an `or`. The
-- last word may be the beginning of one, if it stands by itself.
-- Takes the language, the text, and every: all are words, and may be the beginning of one; then only wanted is
-- returned.
-- Returns one row. wanted: the query. hits: any of its words, for marks. runs: its runs of scripts without spaces,
-- for marks. Locks nothing.
create or replace function search_parse(
  lang text, query text, every boolean, out wanted tsquery, out hits tsquery, out runs text[]
)
returns record
language plpgsql stable parallel safe
set client_min_messages = warning
as $$
declare
  config regconfig := lang::regconfig;
  folded text := regexp_replace(search_fold(query), '[\u0001-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+', ' ', 'g');
  pattern text := '(-?)(?:"([^"]*)(?:"|$)|([^ "]+))';
  parts integer;
  part record;
  term tsquery;
  side tsquery;
  other boolean := false;
begin
  runs := '{}';
  if every then
    wanted := search_term(config, query, false, false, true);
    return;
  end if;
  select count(*) into parts from regexp_matches(folded, pattern, 'g');
  for part in
    select p.n, p.m[1] = '-' as without, p.m[2] is not null as quoted, coalesce(p.m[2], p.m[3]) as said
    from regexp_matches(folded, pattern, 'g') with ordinality as p (m, n)
  loop
    if part.said = 'or' and not part.quoted and not part.without and numnode(side) > 0 then
      other := true;
      continue;
    end if;
    term := search_term(
      config, part.said, part.quoted, part.n = parts and not part.without and not other and right(folded, 1) <> ' ', false);
    continue when numnode(term) = 0;
    if not part.without then
      select coalesce(hits || found.any, hits, found.any) into hits
      from (
        select string_agg(m[1], '|')::tsquery as any
        from regexp_matches(regexp_replace(
          case when term::text ~ ('[' || search_unspaced() || ']')
            then search_term(config, regexp_replace(search_plain(part.said), '[' || search_unspaced() || ']+', ' ', 'g'), false,
              part.n = parts and not other and not part.quoted and right(folded, 1) <> ' ', false)::text
            else term::text end, '!', '', 'g'), '(''[^'']+''(?::\*)?)', 'g') as m
      ) found;
      runs := runs || array(select m[1] from regexp_matches(search_plain(part.said), '[' || search_unspaced() || ']+', 'g') as m);
    end if;
    term := case when part.without then !!term else term end;
    if other then
      wanted := coalesce(wanted || side, side);
      side := null;
      other := false;
    end if;
    side := coalesce(side && term, term);
  end loop;
  wanted := coalesce(wanted || side, side, wanted, ''::tsquery);
end $$;
