-- Gives a member another role. An owner or admin is never muted. The invitations by a member that gets a lower role
-- are deleted: the member may have no right to them any more.
-- Takes the room, the actor, the subject, the new role, the rights (enter_room), and `seen`. `seen` is the state of the
-- member on which the change depends, or null. The state is JSON: role, joinedAt, and mutedUntil (null, or infinity).
-- Times are milliseconds since 1970.
-- Returns role, already, no_subject (no member), forbidden, stale (the member has another state than `seen`), or a
-- refusal of enter_room.
-- Locks the room's row (enter_room), then the row of the member.
create or replace function set_role(room text, actor text, subject text, new_role text, rights jsonb, seen jsonb)
returns text
language plpgsql
as $$
declare
  e record;
  was text;
  present jsonb;
begin
  select * into e from enter_room(room, actor, rights);
  select m.role, jsonb_build_object('role', m.role, 'joinedAt', floor(extract(epoch from m.joined_at) * 1000), 'mutedUntil',
    case
      when m.muted_until = 'infinity' then '"infinity"'::jsonb
      when m.muted_until > now() then to_jsonb(floor(extract(epoch from m.muted_until) * 1000))
    end)
  into was, present from members m where m.room_id = room and m.user_id = subject;
  if e.refusal is not null then
    return e.refusal;
  elsif was is null then
    return 'no_subject';
  elsif seen <> present then
    return 'stale';
  elsif was = new_role then
    return 'already';
  elsif not is_below(rights, e.actor_role, was) or not may_give(rights, e.actor_role, new_role) then
    return 'forbidden';
  end if;
  update members m set role = new_role, muted_until = case when new_role in ('member', 'guest') then m.muted_until end
  where m.room_id = room and m.user_id = subject;
  if new_role = 'guest' or is_below(rights, was, new_role) then
    delete from invitations i where i.room_id = room and i.invited_by = subject;
  end if;
  return 'role';
end $$;

-- For nodes of an earlier release
--
-- Nodes that end with migration 0040 or earlier compare no state of the member.
create or replace function set_role(room text, actor text, subject text, new_role text, rights jsonb)
returns text
language sql
as $$
  select set_role(room, actor, subject, new_role, rights, null::jsonb)
$$;
