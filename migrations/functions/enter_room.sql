-- Locks a room and decides whether the actor may act.
-- Takes the room, the actor, and the rights as JSON.
--   may       `{kind: [role, …]}`: the roles that may act; a user that is no member has the role nobody
--   archived  whether the action goes on in an archived room
--   muted     false: a muted member is refused
--   below     `{role: [role, …]}`: the roles on whose members a role may act
--   gives     `{role: [role, …]}`: the roles that a role may give
--
-- Returns one row. refusal: null, not_found, not_member, forbidden, archived or actor_muted. room_kind and actor_role
-- as they are behind the lock.
-- Locks the room's row, which puts the action before or after any commit of messages. A user that is no member and
-- may do nothing here gets the answer before the lock. The wait would show that the room exists, and block its
-- members.
create or replace function enter_room(
  room text, actor text, rights jsonb, out refusal text, out room_kind text, out actor_role text
)
returns record
language plpgsql
as $$
declare
  archived timestamptz;
  muted timestamptz;
begin
  select r.kind, m.role into room_kind, actor_role
  from rooms r left join members m on m.room_id = r.id and m.user_id = actor where r.id = room;
  if actor_role is null and not coalesce(rights -> 'may' -> room_kind ? 'nobody', false) then
    refusal := case when room_kind = 'channel' then 'not_member' else 'not_found' end;
    return;
  end if;
  select r.kind, r.archived_at into room_kind, archived from rooms r where r.id = room for no key update;
  if not found then
    refusal := 'not_found';
    return;
  end if;
  select m.role, m.muted_until into actor_role, muted from members m where m.room_id = room and m.user_id = actor;
  if not coalesce(rights -> 'may' -> room_kind ? coalesce(actor_role, 'nobody'), false) then
    refusal := case
      when actor_role is not null then 'forbidden'
      when room_kind = 'channel' then 'not_member'
      else 'not_found'
    end;
  elsif archived is not null and not (rights -> 'archived')::boolean then
    refusal := 'archived';
  elsif muted > now() and not coalesce((rights -> 'muted')::boolean, true) then
    refusal := 'actor_muted';
  end if;
end $$;
