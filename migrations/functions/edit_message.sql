-- Edits a message. A part of change_messages.
-- Takes the message, the actor and its role, the new body, the next rev, and the time of the change. `window_ms` is the
-- time for edits in milliseconds (0: without end). `max_versions` is the limit of kept versions.
-- Returns changed, unchanged (the same body), not_found (deleted), forbidden, too_late, or slow: and the milliseconds
-- until the member may edit again. In slow mode a member has one edit in the time between two messages, apart from
-- these: a slip can be corrected at once.
-- The caller holds the lock of the room's row, which alone guards slow_edits.
create or replace function edit_message(
  m messages, actor text, actor_role text, new_body jsonb, next_rev bigint, changed_at timestamptz, window_ms bigint,
  max_versions integer
)
returns text
language plpgsql
as $$
declare
  pause interval;
  free_at timestamptz;
begin
  if m.deleted_at is not null then
    return 'not_found';
  elsif m.sender_id <> actor and actor_role not in ('owner', 'admin') then
    return 'forbidden';
  elsif m.body = new_body then
    return 'unchanged';
  elsif actor_role = 'member' and exists (select from rooms r where r.id = m.room_id and r.senders = 'admins') then
    return 'forbidden';
  elsif actor_role not in ('owner', 'admin') and window_ms > 0
    and changed_at > m.created_at + window_ms * interval '1 millisecond' then
    return 'too_late';
  end if;
  if actor_role = 'member' then
    select r.slow_mode_s * interval '1 second' into pause from rooms r where r.id = m.room_id and r.slow_mode_s > 0;
    if pause is not null then
      select s.at + pause into free_at from slow_edits s where s.room_id = m.room_id and s.user_id = actor;
      if free_at > changed_at then
        return 'slow:' || ceil(extract(epoch from free_at - changed_at) * 1000)::bigint;
      end if;
      insert into slow_edits (room_id, user_id, at) values (m.room_id, actor, changed_at)
      on conflict (room_id, user_id) do update set at = excluded.at;
    end if;
  end if;
  perform keep_version(m, m.body, actor, changed_at, max_versions);
  update messages t set body = new_body, rev = next_rev, edited_at = changed_at, changed = true
  where t.room_id = m.room_id and t.seq = m.seq;
  return 'changed';
end $$;
