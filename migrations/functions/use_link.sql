-- Lets a user join by a link. A link works while its maker may make links. Only a user that joins uses it up.
-- Takes the hash of the link's token, the subject, the most members of the room, and the most rooms of the subject.
-- `rights` are the rights of the link's maker (enter_room).
-- Returns one row. outcome: joined, already, not_found (no link that works), archived, banned or limit_reached
-- (admit). link_room, given_role and maker of the link.
-- Locks the room's row (enter_room).
create or replace function use_link(
  hash bytea, subject text, max_members integer, max_rooms integer, rights jsonb, out outcome text, out link_room text,
  out given_role text, out maker text
)
returns record
language plpgsql
as $$
declare
  e record;
  l join_links;
begin
  select x.room_id, x.made_by into link_room, maker from join_links x where x.token_hash = hash;
  if not found then
    outcome := 'not_found';
    return;
  end if;
  select * into e from enter_room(link_room, maker, rights);
  -- again, for the room was not locked
  select * into l from join_links x where x.token_hash = hash;
  given_role := returning_role(link_room, subject, l.role);
  if l.id is null or l.expires_at <= now() or l.uses >= l.max_uses or not may_give(rights, e.actor_role, l.role) then
    outcome := 'not_found';
  elsif exists (select from members m where m.room_id = link_room and m.user_id = subject) then
    outcome := 'already';
  elsif e.refusal is not null then
    outcome := case e.refusal when 'archived' then 'archived' else 'not_found' end;
  else
    outcome := admit(link_room, subject, given_role, max_members, max_rooms);
    if outcome = 'joined' then
      update join_links x set uses = x.uses + 1 where x.room_id = link_room and x.id = l.id;
    end if;
  end if;
end $$;
