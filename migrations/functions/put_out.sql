-- Takes a member out of a room. The function keeps the mute, the time for slow mode and the role of a guest, because a
-- return must not change them.
-- Takes the room and the subject. Returns nothing.
-- The caller holds the lock of the room's row.
-- A mute may be kept already, of members that came by an import from before migration 0010.
create or replace function put_out(room text, subject text)
returns void
language plpgsql
as $$
declare
  was members;
begin
  delete from members m where m.room_id = room and m.user_id = subject returning m.* into was;
  update rooms r set member_count = r.member_count - 1 where r.id = room;
  insert into departures (room_id, user_id, last_sent_at, was_guest)
  values (room, subject, was.last_sent_at, was.role = 'guest')
  on conflict (room_id, user_id) do update set
    left_at = null, last_sent_at = excluded.last_sent_at, was_guest = excluded.was_guest;
  if was.muted_until > now() then
    insert into kept_mutes (room_id, user_id, muted_until) values (room, subject, was.muted_until)
    on conflict (room_id, user_id) do update set muted_until = excluded.muted_until;
  end if;
end $$;
