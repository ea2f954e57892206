-- Makes a join link. Links that have ended or are used up make room for it.
-- Takes the room, the actor, the link's id, the hash of its token, and the role that the link gives. Then its end
-- (null: none), its most uses (null: any number), the most links of the room, and the rights (enter_room).
-- Returns made, forbidden, limit_reached, or a refusal of enter_room.
-- Locks the room's row (enter_room). Raises unique_violation if the id or the hash is taken.
create or replace function make_link(
  room text, actor text, link text, hash bytea, new_role text, ends timestamptz, most_uses integer, max_links integer,
  rights jsonb
)
returns text
language plpgsql
as $$
declare
  e record;
begin
  select * into e from enter_room(room, actor, rights);
  if e.refusal is not null then
    return e.refusal;
  elsif not may_give(rights, e.actor_role, new_role) then
    return 'forbidden';
  end if;
  delete from join_links l where l.room_id = room and (l.expires_at <= now() or l.uses >= l.max_uses);
  if (select count(*) from join_links l where l.room_id = room) >= max_links then
    return 'limit_reached';
  end if;
  insert into join_links (room_id, id, token_hash, role, made_by, expires_at, max_uses)
  values (room, link, hash, new_role, actor, ends, most_uses);
  return 'made';
end $$;
