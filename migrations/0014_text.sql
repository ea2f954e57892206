-- Text of all languages. One folding for what is said and for what is looked for, and words of scripts without spaces.

-- The classes of characters below stand inside of brackets of a regular expression. They are listed by code point: what Postgres
-- takes for a letter depends on the locale of the database.

-- Scripts that are written without spaces, or whose words are looked for by a part of them: Thai, Lao, Tibetan, Myanmar, Hangul,
-- Khmer, Tai, kana, Bopomofo, Yi, Javanese, Han, and nearly all beyond the first 65,536;
-- and symbols and pictographs. Not what NFKC turns into Latin letters and digits. Letters and numbers that the locale of PGlite
-- does not know are among them: to its parser they are no words.
create function search_unspaced() returns text language sql immutable parallel safe as $$
  select '\u0870-\u0887\u0889-\u088f\u08b5\u08be-\u08c9\u09f4-\u09f9\u0b72-\u0b77\u0bf0-\u0bf2\u0c5c\u0c5d\u0c78-\u0c7e\u0cdc\u0cdd\u0d04\u0d58-\u0d5e\u0d70-\u0d78\u0e00-\u0fff\u1000-\u109f\u1100-\u11ff\u1369-\u137c\u170d\u171f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u1b4c\u1c89\u1c8a\u20a0-\u20a7\u20a9-\u20cf\u2190-\u245f\u24eb-\u2bff\u2c2f\u2c5f\u2cfd\u2e80-\u2fdf\u3004-\u3007\u3012\u3013\u3020-\u302f\u3031-\u303c\u303e-\u309f\u30a1-\u30fa\u30fc-\u31ff\u3248-\u324f\u3400-\u4dbf\u4dc0-\u9fff\ua000-\ua4cf\ua7c0\ua7c1\ua7c7-\ua7ca\ua7cc-\ua7db\ua7f1\ua7f5\ua7f6\ua830-\ua835\ua960-\ua9ff\uaa60-\uaadf\uab68\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdf\U00010000-\U0001d3ff\U0001d800-\U0001f0ff\U0001f10b\U0001f10c\U0001f1e6-\U0001fbef\U0001fc00-\U0010ffff'
$$;

-- Spaces, control characters and punctuation: what parts words.
create function search_between() returns text language sql immutable parallel safe as $$
  select '\u0001-\u001e\u0020-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb\u00bf\u00d7\u00f7\u02c2-\u02c5\u037e\u0387\u055a-\u055f\u0589\u058a\u05be\u05c0\u05c3\u05c6\u05f3\u05f4\u0600-\u060f\u061b-\u061f\u066a-\u066d\u06d4\u0964\u0965\u0970\u10fb\u1360-\u1368\u1680\u1800-\u180a\u2000-\u200a\u2010-\u2029\u202f-\u205f\u2e00-\u2e7f\u3000-\u3003\u3008-\u3011\u3014-\u301f\u3030\u303d\u30a0\u30fb\ufd3e\ufd3f\ufe10-\ufe6f\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65'
$$;

-- One form for all ways to write the same: compatible forms (full width, ligatures, Roman numerals) and composed letters by
-- NFKC; small letters; without characters that nobody sees and without vowel marks of Hebrew and Arabic, which are optional.
-- The sigma at the end of a word is a sigma, the dotted I of Turkish an i, and ß is ss.
create function search_fold(content text) returns text language sql immutable parallel safe as $$
  select case when octet_length(content) = length(content) then lower(content collate search_letters) collate "default"
  else normalize(replace(replace(translate(lower(translate(regexp_replace(
    normalize(content, NFKC),
    '[\u00ad\u034f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u061c\u0640\u064b-\u065f\u0670\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]+', '', 'g'),
    E'\u0130', 'i') collate search_letters), E'\u03c2', E'\u03c3'), E'\u00df', 'ss'), E'i\u0307', 'i'), NFKC) collate "default"
  end
$$;

-- Folded, with a space where words part.
create function search_plain(content text) returns text language plpgsql immutable parallel safe as $$
declare
  folded text := search_fold(content);
begin
  if octet_length(folded) = length(folded) then
    return translate(folded, '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', '                                ');
  end if;
  return regexp_replace(folded, '[' || search_between() || ']+', ' ', 'g');
end $$;

-- Of each run of characters of scripts without spaces: each two that are side by side, and the last one alone. So each character
-- begins one entry, in order: one is found by a prefix, more as a phrase.
create function search_runs(plain text) returns tsvector language sql immutable parallel safe as $$
  select coalesce(string_agg('''' || c.one || coalesce(c.next, '') || ''':' || least(c.place, 16383), ' ')::tsvector, '')
  from (
    select u.one, lead(u.one) over (partition by r.n order by u.i) as next, row_number() over (order by r.n, u.i) + r.n as place
    from regexp_matches(plain, '[' || search_unspaced() || ']+', 'g') with ordinality as r (m, n)
    cross join lateral unnest(string_to_array(r.m[1], null)) with ordinality as u (one, i)
  ) c
$$;

create function search_vector(config regconfig, content text) returns tsvector
language plpgsql immutable parallel safe as $$
declare
  plain text := search_plain(content);
begin
  if octet_length(plain) = length(plain) then
    return to_tsvector(config, plain);
  end if;
  return to_tsvector(config, regexp_replace(plain, '[' || search_unspaced() || ']+', ' ', 'g')) || search_runs(plain);
end $$;

-- As in 0007, but folded.
create or replace function search_words(lang text, content text) returns tsvector language sql stable parallel safe as $$
  select search_vector(lang::regconfig, content)
$$;

-- The same for a part of a query.
--   quoted  its words must stand in this order
--   prefix  the last of its words is still being typed: what begins with it is meant too
--   every   all of its words are
create function search_term(config regconfig, part text, quoted boolean, prefix boolean, every boolean) returns tsquery
language plpgsql immutable parallel safe
set client_min_messages = warning -- a part may have no word, which is no news
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

-- What somebody looks for: words, "words in this order", -without, and one side or the other of an `or`. The last word may be
-- the beginning of one, if it stands by itself.
--   every   all are words, and may be the beginning of one; then `wanted` alone is returned
--   wanted  the query
--   hits    any of its words, for who marks them
--   runs    its runs of scripts without spaces
create function search_parse(
  lang text, query text, every boolean, out wanted tsquery, out hits tsquery, out runs text[]
) language plpgsql stable parallel safe
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

-- As in 0007, for nodes of the version before: they write queries themselves.
create or replace function search_query(lang text, query text, prefix text) returns tsquery language sql stable as $$
  select wanted from search_parse(lang, query || prefix, false)
$$;

-- The text around its first match, with its matches between these marks.
create function search_marked(lang text, content text, hits tsquery, runs text[], opening text, closing text) returns text
language plpgsql stable parallel safe as $$
declare
  config regconfig := lang::regconfig;
  unspaced text := '^[' || search_unspaced() || ']';
  pieces text[]; -- runs of scripts without spaces, what parts words, and words
  plain text[];
  found bigint[];
  first integer;
  marked text := '';
begin
  select array_agg(m[1]) into pieces
  from regexp_matches(
    translate(content, E'\x1f', ' '),
    -- selectors and joiners stay with what they belong to
    '([' || search_unspaced() || '][' || search_unspaced() || '\u200b-\u200f\ufe00-\ufe0f]*|[' || search_between() || ']+|[^' || search_unspaced() || search_between() || ']+)', 'g') as m;
  -- all at once; no class has the character between them
  plain := string_to_array(search_plain(array_to_string(pieces, E'\x1f')), E'\x1f');
  select array_agg(f.n) into found
  from (
    select u.n from unnest(plain) with ordinality as u (w, n)
    where case when u.w = '' or u.w = ' ' then false
      when exists (select from unnest(runs) as r where strpos(u.w, r) > 0) then true
      when numnode(hits) = 0 then false
      when octet_length(u.w) = length(u.w) then to_tsvector(config, u.w) @@ hits
      else to_tsvector(config, regexp_replace(u.w, '[' || search_unspaced() || ']+', ' ', 'g')) @@ hits end
    order by u.n limit 100
  ) f;
  first := coalesce(found[1], 1);
  for i in greatest(first - 30, 1) .. least(first + 80, coalesce(cardinality(pieces), 0)) loop
    marked := marked || case when i <> all (coalesce(found, '{}')) then pieces[i]
      when pieces[i] ~ unspaced then search_marked_run(pieces[i], plain[i], runs, opening, closing)
      else opening || pieces[i] || closing end;
  end loop;
  return marked;
end $$;

-- A part of search_marked: of a long run no more than what a snippet shows.
create function search_marked_run(run text, plain text, runs text[], opening text, closing text) returns text
language plpgsql immutable parallel safe as $$
declare
  first integer;
  at integer;
  hit boolean[];
  one text;
begin
  select min(strpos(plain, r)) into first from unnest(runs) as r where strpos(plain, r) > 0;
  if first is null or length(run) <> length(plain) then -- which of its characters match cannot be said
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

-- All messages are taken in anew, in the background (search-index.ts); until then each is found as it was before.
update search_rooms set rev = 0;

-- As in 0008, but where times are not in the order of seqs (0013) it goes by the times alone.
create or replace function search_messages(
  viewer text, look_for tsquery, room text, sender text, since timestamptz, until timestamptz,
  last_at timestamptz, last_room text, last_seq bigint, most integer, look integer
) returns table (room_id text, seq bigint)
language plpgsql stable rows 20 -- of 1000, the default, who asks would join all messages by hash
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_sort = off set jit = off
as $$
#variable_conflict use_column
declare
  wanted tsquery := look_for;
  needed text;
  -- clocks may have been ahead
  latest timestamptz := least(until, last_at, clock_timestamp() + interval '10 days');
  oldest timestamptz := coalesce(since, '-infinity');
  ids text[];
  firsts bigint[];
  lasts bigint[];
  amount bigint;
  scope jsonb;
  horizon timestamptz;
  found_rooms text[];
  found_seqs bigint[];
  more_rooms text[];
  more_seqs bigint[];
  first_at timestamptz;
  said integer := 0;
  mixed boolean;
  low integer;
  high integer;
  span integer := 1;
begin
  select array_agg(r.id order by r.id), array_agg(r.first_seq order by r.id), array_agg(r.last_seq order by r.id),
    sum(r.last_seq - r.first_seq + 1), jsonb_object_agg(r.id, null)
  into ids, firsts, lasts, amount, scope
  from members m join rooms r on r.id = m.room_id
  where m.user_id = viewer and (room is null or m.room_id = room) and r.last_seq >= r.first_seq;
  if ids is null then
    return;
  end if;
  if sender is not null then
    wanted := wanted && ('''' || E'\x01u' || sender || '''')::tsquery;
  end if;
  -- where times are not in the order of seqs the newest of a room are not its last
  mixed := exists (select from message_order o where o.room_id = any (ids));
  if cardinality(ids) <= 8 and latest < now() and not mixed then
    -- where the newest of them are is a few look-ups a room
    lasts := array(
      select first_since(o.id, latest + interval '1 millisecond') - 1 from unnest(ids) with ordinality as o (id, n) order by o.n);
  end if;
  if amount <= look or (cardinality(ids) <= 8 and not mixed) then
    with room as materialized (
      select o.id collate "C" as id, o.first, o.last, ceil(look * (o.last - o.first + 1)::float / amount)::integer as share
      from unnest(ids, firsts, lasts) as o (id, first, last) where o.last >= o.first
    ), looked as materialized (
      select r.id, r.first, r.share, x.* from room r cross join lateral (
        select s.seq, s.at, s.words @@ wanted as hit from message_search s
        where s.room_id = r.id and s.seq between r.first and r.last order by s.seq desc limit r.share
      ) x
    ), cut as (
      -- a room of which there is more: below this nothing is known
      select max(c.edge) as edge from (
        select min(l.at) as edge from looked l group by l.id, l.first, l.share
        having count(*) = l.share and min(l.seq) > l.first) c
    ), hits as (
      select l.id, l.seq, l.at from looked l cross join cut c
      where l.hit and l.at > coalesce(c.edge, '-infinity') and l.at >= oldest and (until is null or l.at < until)
        and (last_at is null or (l.at, l.id, l.seq) < (last_at, last_room, search_messages.last_seq))
      order by l.at desc, l.id desc, l.seq desc limit most
    )
    select coalesce(array_agg(h.id order by h.at desc, h.id desc, h.seq desc), '{}'),
      coalesce(array_agg(h.seq order by h.at desc, h.id desc, h.seq desc), '{}'), (select c.edge from cut c)
    into found_rooms, found_seqs, horizon from hits h;
  else
    with newest as materialized (
      select s.room_id, s.seq, s.at, scope ? s.room_id as mine,
        case when cardinality(ids) <= 64 or scope ? s.room_id then s.words @@ wanted else false end as hit
      from message_search s where s.at <= latest order by s.at desc limit look * 2
    ), cut as (
      select min(n.at) as edge, count(*) filter (where n.hit) as said from newest n having count(*) = look * 2
    ), hits as (
      select n.room_id, n.seq, n.at from newest n join rooms r on r.id = n.room_id and n.seq >= r.first_seq
      where n.hit and n.mine and n.at > coalesce((select c.edge from cut c), '-infinity')
        and n.at >= oldest and (until is null or n.at < until)
        and (last_at is null or (n.at, n.room_id, n.seq) < (last_at, last_room, search_messages.last_seq))
      order by n.at desc, n.room_id desc, n.seq desc limit most
    )
    select coalesce(array_agg(h.room_id order by h.at desc, h.room_id desc, h.seq desc), '{}'),
      coalesce(array_agg(h.seq order by h.at desc, h.room_id desc, h.seq desc), '{}'),
      (select c.edge from cut c), (select c.said from cut c)
    into found_rooms, found_seqs, horizon, said from hits h;
  end if;
  if cardinality(found_seqs) = most or horizon is null or horizon < oldest then
    return query select * from unnest(found_rooms, found_seqs);
    return;
  end if;
  needed := search_needed(wanted);
  if cardinality(ids) <= 8 or (cardinality(ids) <= 64 and said > 5) then
    needed := '(' || needed || ') & ('
      || (select string_agg('''' || E'\x01r' || o.id || '''', '|') from unnest(ids) as o (id)) || ')';
  end if;
  -- an import may have brought messages that are older than their room
  select min(x.at) into first_at from unnest(ids, firsts) as o (id, first)
  cross join lateral (
    (select s.at from message_search s where s.room_id = o.id and s.seq >= o.first order by s.seq limit 1)
    union all
    (select m.at from message_order m where m.room_id = o.id and not m.expired order by m.at limit 1)
  ) x;
  low := search_bucket(greatest(oldest, first_at));
  high := search_bucket(latest);
  found_rooms := '{}';
  found_seqs := '{}';
  while high >= low and cardinality(found_seqs) < most loop
    select coalesce(array_agg(f.room_id order by f.at desc, f.room_id desc, f.seq desc), '{}'),
      coalesce(array_agg(f.seq order by f.at desc, f.room_id desc, f.seq desc), '{}')
    into more_rooms, more_seqs
    from (
      select x.room_id, x.seq, x.at
      from (
        select s.room_id, s.seq, s.at from generate_series(greatest(low, high - span + 1), high) as b (bucket)
        cross join lateral (
          select s.room_id, s.seq, s.at from message_search s
          where search_keys(s.words, s.at) @@ search_in(needed, b.bucket) and s.words @@ wanted and scope ? s.room_id
            and s.at >= oldest and (until is null or s.at < until)
            and (last_at is null or (s.at, s.room_id, s.seq) < (last_at, last_room, search_messages.last_seq))
          offset 0
        ) s
        offset 0
      ) x
      join rooms r on r.id = x.room_id and x.seq >= r.first_seq
      order by x.at desc, x.room_id desc, x.seq desc limit most - cardinality(found_seqs)
    ) f;
    found_rooms := found_rooms || more_rooms;
    found_seqs := found_seqs || more_seqs;
    high := high - span;
    span := least(span * 2, 64);
  end loop;
  return query select * from unnest(found_rooms, found_seqs);
end $$;

-- Rooms are found by the same words. The index is built while nobody writes to rooms.
drop index rooms_by_words;
create or replace function room_words(name text, topic text) returns tsvector language sql immutable
set search_path from current -- since Postgres 17 an index is built with no schemas but those of Postgres itself
as $$
  select search_vector('simple'::regconfig, coalesce(name, '') || ' ' || coalesce(topic, ''))
$$;
create index rooms_by_words on rooms using gin (room_words(name, topic)) where kind = 'channel' and archived_at is null;
