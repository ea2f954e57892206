-- Whether the viewer has blocked the sender of a mention, or the user who wrote the mention into another's message.
-- Takes the viewer and a row of mentions. Returns a boolean. Locks nothing.
-- With offset, each block is found by both users. A join read all blocks of the viewer for each mention.
create or replace function is_from_blocked(viewer text, mention mentions)
returns boolean
language sql stable
as $$
  select exists (
    select from messages t
    where t.room_id = mention.room_id and t.seq = mention.seq and exists (
      select from blocks b where b.user_id = viewer and b.blocked_id = t.sender_id offset 0)
  ) or exists (select from blocks b where b.user_id = viewer and b.blocked_id = mention.called_by offset 0)
$$;
