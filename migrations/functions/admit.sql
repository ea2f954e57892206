-- Puts a user into a room.
-- Takes the room, the subject (no member of the room), the new role, and the most members of the room. `max_rooms` is
-- the limit of rooms of the subject. `how` is the way of the subject into the room: own, added or peer (may_have_more).
-- Returns joined, banned or limit_reached.
-- The caller holds the lock of the room's row. A kept mute and the time for slow mode go on where they were; the
-- departure, the invitation and the rest of invitations end. Messages that were sent before do not count as unread.
create or replace function admit(
  room text, subject text, new_role text, max_members integer, max_rooms integer, how text default 'own'::text
)
returns text
language plpgsql
as $$
declare
  mute timestamptz;
  sent timestamptz;
begin
  if exists (select from bans b where b.room_id = room and b.user_id = subject) then
    return 'banned';
  elsif (select r.member_count from rooms r where r.id = room) >= max_members
    or not may_have_more(subject, how, room, max_rooms) then
    return 'limit_reached';
  end if;
  insert into users (id) values (subject) on conflict do nothing;
  delete from kept_mutes k where k.room_id = room and k.user_id = subject returning k.muted_until into mute;
  delete from departures d where d.room_id = room and d.user_id = subject returning d.last_sent_at into sent;
  -- messages from before the join do not count as unread
  insert into members (room_id, user_id, role, last_read_seq, muted_until, last_sent_at, via)
  select room, subject, new_role, r.last_seq, case when new_role in ('member', 'guest') then mute end, sent, how
  from rooms r where r.id = room;
  update rooms r set member_count = r.member_count + 1 where r.id = room;
  delete from invitations i where i.room_id = room and i.user_id = subject;
  delete from invitation_rests x where x.room_id = room and x.user_id = subject;
  return 'joined';
end $$;
