-- Mutes a member, or lifts a mute.
-- Takes the room, the actor, the subject, the end of the mute (null: lift it), and the rights (enter_room).
-- Returns muted, unmuted, already, no_subject, forbidden, or a refusal of enter_room. The kept mute of a user that is
-- no member is lifted too: already, for no member gets an event.
-- Locks the room's row (enter_room), then the row of the member.
create or replace function mute_member(room text, actor text, subject text, until timestamptz, rights jsonb)
returns text
language plpgsql
as $$
declare
  e record;
  m members;
begin
  select * into e from enter_room(room, actor, rights);
  select * into m from members x where x.room_id = room and x.user_id = subject;
  if e.refusal is not null then
    return e.refusal;
  elsif m.role is null then
    delete from kept_mutes k where until is null and k.room_id = room and k.user_id = subject;
    return case when found then 'already' else 'no_subject' end;
  elsif not is_below(rights, e.actor_role, m.role) then
    return 'forbidden';
  elsif m.muted_until is not distinct from until then
    return 'already';
  end if;
  update members x set muted_until = until where x.room_id = room and x.user_id = subject;
  return case when until is null then 'unmuted' else 'muted' end;
end $$;
