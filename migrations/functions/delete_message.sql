-- Deletes a message: the row stays, its body and reactions go. A part of change_messages.
-- Takes the message, the actor and its role, the next rev, the time of the change, and the most versions.
-- Returns changed, unchanged (deleted before), or forbidden.
-- The caller holds the lock of the room's row.
create or replace function delete_message(
  m messages, actor text, actor_role text, next_rev bigint, changed_at timestamptz, max_versions integer
)
returns text
language plpgsql
as $$
begin
  if m.sender_id <> actor and actor_role not in ('owner', 'admin') then
    return 'forbidden';
  elsif m.deleted_at is not null then
    return 'unchanged';
  end if;
  if m.changed then
    delete from reactions r where r.room_id = m.room_id and r.seq = m.seq;
    delete from reaction_counts c where c.room_id = m.room_id and c.seq = m.seq;
    update message_versions v set body = null where v.room_id = m.room_id and v.seq = m.seq;
  end if;
  perform keep_version(m, null, actor, changed_at, max_versions);
  update messages t set body = null, rev = next_rev, deleted_at = changed_at, changed = true
  where t.room_id = m.room_id and t.seq = m.seq;
  return 'changed';
end $$;
