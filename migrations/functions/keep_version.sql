-- Keeps the body that a message had. The first version is always kept, of the later ones the newest. A part of
-- change_messages.
-- Takes the message, the body to keep, the actor, the time of the change, and the most versions.
-- Returns nothing. The caller holds the lock of the room's row.
create or replace function keep_version(
  m messages, kept jsonb, actor text, changed_at timestamptz, max_versions integer
)
returns void
language plpgsql
as $$
declare
  added integer;
begin
  insert into message_versions (room_id, seq, version, body, edited_by, at)
  select m.room_id, m.seq, coalesce(max(v.version), 0) + 1, kept, actor, changed_at
  from message_versions v where v.room_id = m.room_id and v.seq = m.seq
  returning version into added;
  if added > max_versions then
    delete from message_versions v
    where v.room_id = m.room_id and v.seq = m.seq and v.version = added - max_versions + 1;
  end if;
end $$;
