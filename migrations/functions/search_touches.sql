-- Whether a part of a text has one of the words, or one of the runs of scripts without spaces.
-- Takes the configuration, the folded text, and the hits and runs of search_parse. Returns a boolean. Locks nothing.
create or replace function search_touches(config regconfig, plain text, hits tsquery, runs text[])
returns boolean
language plpgsql immutable parallel safe
as $$
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
