-- Keeps threads, mentions and pins for a batch of change_messages. Called in the same statement, with its outcomes.
-- Takes `made` and `asked`. `made` has one number for each change of that batch: 1 if the change was made, else 0.
-- `asked` is `[[n, kind, room, seq, actor, names, everybody], …]` of the batch's edits and deletions in their order,
-- n from 0.
-- Returns one row for each change that was made: n, and three columns with JSON. `pinned` is the message's pin, and
-- `thread` is the state of its thread. `mentioned` has the users that an edit adds to the mentions.
-- The rooms are locked by change_messages.
create or replace function note_changes(made integer[], asked jsonb)
returns table (n integer, pinned text, thread text, mentioned text)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  change record;
  m messages;
begin
  for change in
    select (a.v ->> 0)::integer as n, a.v ->> 1 as kind, a.v ->> 2 as room_id, (a.v ->> 3)::bigint as seq, a.v -> 4 as actor,
      a.v -> 5 as names, a.v -> 6 as everybody
    from jsonb_array_elements(asked) with ordinality as a (v, ord)
    where made[(a.v ->> 0)::integer + 1] = 1 order by a.ord
  loop
    n := change.n; pinned := null; thread := null; mentioned := null;
    select * into m from messages t where t.room_id = change.room_id and t.seq = change.seq;
    if change.kind = 'delete' then
      delete from mentions x where x.room_id = m.room_id and x.seq = m.seq;
      if m.pinned_at is not null then
        update messages t set pinned_at = null, pinned_by = null where t.room_id = m.room_id and t.seq = m.seq;
      end if;
      if m.reply_to is not null then
        update threads t set replies = t.replies - 1, rev = m.rev where t.room_id = m.room_id and t.root = m.thread;
      end if;
    else
      -- a message that the same batch deletes afterwards mentions nobody
      if m.deleted_at is null then
        select jsonb_agg(x.user_id order by x.user_id)::text into mentioned from note_mentions(
          jsonb_build_array(jsonb_build_array(m.room_id, m.seq, m.sender_id, change.actor, change.names, change.everybody)), m.edited_at) as x;
      end if;
      pinned := pin_state(m);
    end if;
    if m.thread is not null then
      select thread_state(t) into thread from threads t where t.room_id = m.room_id and t.root = m.thread;
    end if;
    return next;
  end loop;
end $$;
