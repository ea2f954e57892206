-- The matches of a run of a script without spaces, between two marks. A part of search_marked. The result of a long run
-- is no more than a snippet shows.
-- Takes the run, the same folded, the runs of search_parse, and the two marks. Returns the text. Locks nothing.
create or replace function search_marked_run(run text, plain text, runs text[], opening text, closing text)
returns text
language plpgsql immutable parallel safe
as $$
declare
  first integer;
  at integer;
  hit boolean[];
  one text;
begin
  select min(strpos(plain, r)) into first from unnest(runs) as r where strpos(plain, r) > 0;
  if first is null or length(run) <> length(plain) then -- the matching characters are not known
    return opening || run || closing;
  end if;
  run := substr(run, greatest(first - 60, 1), 300);
  plain := substr(plain, greatest(first - 60, 1), 300);
  hit := array_fill(false, array[length(run)]);
  foreach one in array runs loop
    at := strpos(plain, one);
    while at > 0 loop
      for i in at .. at + length(one) - 1 loop
        hit[i] := true;
      end loop;
      at := case when strpos(substr(plain, at + 1), one) > 0 then at + strpos(substr(plain, at + 1), one) else 0 end;
    end loop;
  end loop;
  return (
    select string_agg(
      case when hit[u.n] and not coalesce(hit[u.n - 1], false) then opening else '' end || u.one
        || case when hit[u.n] and not coalesce(hit[u.n + 1], false) then closing else '' end, '' order by u.n)
    from unnest(string_to_array(run, null)) with ordinality as u (one, n));
end $$;
