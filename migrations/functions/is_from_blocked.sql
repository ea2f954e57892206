-- Whether the viewer has blocked the sender of a mention, or the user who wrote the mention into another's message.
-- Takes the viewer and a row of mentions. Returns a boolean. Locks nothing.
create or replace function is_from_blocked(viewer text, mention mentions)
returns boolean
language sql stable
as $$
  select exists (
    select from messages t join blocks b on b.user_id = viewer and b.blocked_id in (t.sender_id, mention.called_by)
    where t.room_id = mention.room_id and t.seq = mention.seq)
$$;
