-- Lets a member leave a room.
-- Takes the room and the subject. closing: the room is closed when its last member leaves.
-- Returns one row. outcome: left, closed (an empty group, or an empty channel without messages), not_found or
-- not_member. heir: the new owner, if the room had no other. A muted member becomes the owner only if there is no
-- other candidate, for an owner is never muted.
-- Locks the room's row. A user that is no member gets the answer before the lock.
create or replace function remove_member(
  room text, subject text, closing boolean default true, out outcome text, out heir text
)
returns record
language plpgsql
as $$
declare
  r rooms;
  was text;
begin
  select x.kind, m.role into r.kind, was
  from rooms x left join members m on m.room_id = x.id and m.user_id = subject where x.id = room;
  if was is null then
    outcome := case when r.kind = 'channel' then 'not_member' else 'not_found' end;
    return;
  end if;
  select * into r from rooms x where x.id = room for no key update;
  select role into was from members where room_id = room and user_id = subject;
  if r.id is null then
    outcome := 'not_found';
    return;
  elsif was is null then
    outcome := case when r.kind = 'channel' then 'not_member' else 'not_found' end;
    return;
  end if;
  perform put_out(room, subject);
  update departures d set left_at = clock_timestamp() where d.room_id = room and d.user_id = subject;
  if closing and r.member_count = 1 and (r.kind = 'group' or r.kind = 'channel' and r.last_seq = 0) then
    if r.last_rev > 0 then
      perform close_room(room, subject);
      outcome := 'closed';
      return;
    end if;
    delete from rooms x where x.id = room;
    delete from bans x where x.room_id = room;
    delete from departures x where x.room_id = room;
    delete from invitation_rests x where x.room_id = room;
    delete from invitations x where x.room_id = room;
    delete from join_links x where x.room_id = room;
    delete from kept_mutes x where x.room_id = room;
    delete from slow_edits x where x.room_id = room;
    outcome := 'left';
    return;
  end if;
  if was = 'owner' then
    heir := give_owner(room);
  end if;
  outcome := 'left';
end $$;
