-- Takes changed messages of rooms into the search index.
-- Takes the rooms, the language, and the most messages of one room.
-- Returns one row a room: the room, how many messages were read (indexed), and whether there are more.
-- Locks rows of search_rooms in the order of rooms, then rows of message_search in the order of seqs, as
-- remove_messages does.
create or replace function index_messages(room_ids text[], lang text, most integer)
returns table (room text, indexed integer, more boolean)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  head bigint;
  reached bigint;
  seqs bigint[];
  top bigint;
begin
  insert into search_rooms (room_id, language)
  select id, lang from rooms where id = any (room_ids) order by id on conflict do nothing;
  for room, reached in
    select s.room_id, s.rev from search_rooms s where s.room_id = any (room_ids) order by s.room_id for no key update
  loop
    select last_rev into head from rooms where id = room;
    select array_agg(p.seq), max(p.rev), count(*) into seqs, top, indexed from (
      select t.seq, t.rev from messages t
      where t.room_id collate "POSIX" = room and t.rev > reached order by t.rev limit most
    ) p;
    perform from message_search x where x.room_id = room and x.seq = any (seqs) order by x.seq for update;
    -- a message that has got a later rev meanwhile comes again
    with changed as materialized (
      select t.seq, t.sender_id, t.created_at, search_text(t.body) as content
      from messages t where t.room_id = room and t.seq = any (seqs)
    ), dropped as (
      delete from message_search x using changed c
      where c.content is null and x.room_id = room and x.seq = c.seq
    )
    insert into message_search (room_id, seq, at, words)
    select room, c.seq, c.created_at,
      search_words(lang, c.content) || array_to_tsvector(array[E'\x01r' || room, E'\x01u' || c.sender_id])
    from changed c where c.content is not null order by c.seq
    on conflict (room_id, seq) do update set words = excluded.words;
    reached := coalesce(top, reached);
    more := indexed = most;
    -- a page that is not full has all messages up to the head, which was read before the page. A message with a later
    -- rev may come again, which does no harm
    update search_rooms s set rev = case when more then reached else greatest(head, reached) end, language = lang
    where s.room_id = room;
    return next;
  end loop;
end $$;
