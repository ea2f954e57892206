-- Adds or removes a reaction. A part of change_messages.
-- Takes the message, the actor, the emoji (`mark`), whether to add, the next rev, and the time of the change.
-- `max_kinds` is the limit of emojis of a message.
-- Returns one row. outcome: changed, unchanged, not_found (deleted), or limit_reached. total: users of this emoji
-- now.
-- The caller holds the lock of the room's row.
create or replace function react(
  m messages, actor text, mark text, adding boolean, next_rev bigint, changed_at timestamptz, max_kinds integer,
  out outcome text, out total integer
)
returns record
language plpgsql
as $$
begin
  if m.deleted_at is not null then
    outcome := 'not_found';
    return;
  end if;
  select c.count into total from reaction_counts c where c.room_id = m.room_id and c.seq = m.seq and c.emoji = mark;
  if total is null and adding
    and (select count(*) from reaction_counts c where c.room_id = m.room_id and c.seq = m.seq) >= max_kinds then
    outcome := 'limit_reached';
    return;
  end if;
  total := coalesce(total, 0);
  if adding then
    insert into reactions (room_id, seq, user_id, emoji, created_at)
    values (m.room_id, m.seq, actor, mark, changed_at) on conflict do nothing;
  else
    delete from reactions r
    where r.room_id = m.room_id and r.seq = m.seq and r.user_id = actor and r.emoji = mark;
  end if;
  if not found then
    outcome := 'unchanged';
    return;
  end if;
  total := total + case when adding then 1 else -1 end;
  if total = 0 then
    delete from reaction_counts c where c.room_id = m.room_id and c.seq = m.seq and c.emoji = mark;
  elsif adding and total = 1 then
    insert into reaction_counts (room_id, seq, emoji, count, first_rev) values (m.room_id, m.seq, mark, 1, next_rev);
  else
    update reaction_counts c set count = total where c.room_id = m.room_id and c.seq = m.seq and c.emoji = mark;
  end if;
  update messages t set rev = next_rev, changed = true where t.room_id = m.room_id and t.seq = m.seq;
  outcome := 'changed';
end $$;
