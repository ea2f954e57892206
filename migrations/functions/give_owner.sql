-- Makes a member the owner of a room that has no owner.
-- Takes the room. Returns the new owner; null: the room has an owner, or no member may become one.
-- A member with a writing role comes before a guest, and a muted member comes after the other members of the same role.
-- In a channel no guest becomes the owner.
-- Locks the row of the new owner in members. The caller holds the lock of the room.
create or replace function give_owner(room text)
returns text
language plpgsql
as $$
declare
  heir text;
begin
  if exists (select from members m where m.room_id = room and m.role = 'owner') then
    return null;
  end if;
  update members m set role = 'owner', muted_until = null
  where m.room_id = room and m.user_id = (
    select x.user_id from members x join rooms r on r.id = x.room_id
    where x.room_id = room and (x.role in ('admin', 'member') and r.kind <> 'direct' or r.kind = 'group')
    order by x.role = 'guest', coalesce(x.muted_until > now(), false), x.role, x.joined_at, x.user_id limit 1)
  returning m.user_id into heir;
  return heir;
end $$;
