-- Bans a user. The user need not be a member.
-- Takes the room, the actor, the subject, the reason (may be null), the most bans of the room, and the rights
-- (enter_room).
-- Returns one row. outcome: banned, already, forbidden (the subject is not below the actor), limit_reached, or a
-- refusal of enter_room. removed: whether a member was removed.
-- Locks the room's row (enter_room). The invitations of and by the subject are deleted, also those by a subject that
-- left before.
create or replace function ban_user(
  room text, actor text, subject text, why text, max_bans integer, rights jsonb, out outcome text, out removed boolean
)
returns record
language plpgsql
as $$
declare
  e record;
  was text;
begin
  removed := false;
  select * into e from enter_room(room, actor, rights);
  select m.role into was from members m where m.room_id = room and m.user_id = subject;
  if e.refusal is not null then
    outcome := e.refusal;
    return;
  elsif was is not null and not is_below(rights, e.actor_role, was) then
    outcome := 'forbidden';
    return;
  elsif exists (select from bans b where b.room_id = room and b.user_id = subject) then
    outcome := 'already';
    return;
  elsif (select count(*) from bans b where b.room_id = room) >= max_bans then
    outcome := 'limit_reached';
    return;
  end if;
  insert into bans (room_id, user_id, banned_by, reason) values (room, subject, actor, why);
  delete from invitations i where i.room_id = room and (i.user_id = subject or i.invited_by = subject);
  if was is not null then
    perform put_out(room, subject);
    removed := true;
  end if;
  outcome := 'banned';
end $$;
