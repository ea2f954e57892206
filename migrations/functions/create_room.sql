-- Makes a room with its first members, or opens a direct room again.
-- Takes the room's id, its kind and name, the creator, the peer (null unless the room is direct) and the most rooms
-- of a user. asking: the peer gets an invitation first.
-- Returns one of these.
--   created         made; both users are members of a direct room
--   created_alone   made; the peer of the direct room is no member yet
--   exists          the creator may have it back
--   exists_alone    the same, and the peer of the direct room is no member
--   returned        the creator came back to a direct room
--   returned_alone  the same, and the peer is no member
--   blocked         the creator has blocked the peer
--   conflict        the id is taken, also by a deleted room
--   limit_reached   the creator has as many rooms as allowed
--
-- Locks the pair of a direct room by an advisory lock (block_user takes it too), then the row of the direct room. A new
-- row waits for a deletion of the same id that is under way.
create or replace function create_room(
  room text, room_kind text, room_name text, creator text, peer text, max_rooms integer, asking boolean default false
)
returns text
language plpgsql
as $$
declare
  r rooms;
  alone boolean;
  entered text;
begin
  insert into users (id) values (creator) on conflict do nothing;
  if room_kind = 'direct' then
    perform pg_advisory_xact_lock(hashtextextended('parley:pair:' || room, 0));
    if has_blocked(creator, peer) then
      return 'blocked';
    end if;
    select * into r from rooms x where x.id = room for no key update;
    if r.id is not null then
      if r.peer_id is null and r.created_by in (creator, peer) then
        update rooms x set peer_id = case r.created_by when creator then peer else creator end where x.id = room;
      end if;
      if exists (select from members m where m.room_id = room and m.user_id = creator) then
        return case when r.member_count < 2 then 'exists_alone' else 'exists' end;
      end if;
      entered := admit(
        room, creator, 'member', 2, max_rooms, case when r.created_by = creator then 'own' else 'peer' end);
      return case when entered <> 'joined' then entered when r.member_count = 0 then 'returned_alone' else 'returned' end;
    end if;
  end if;
  if not may_have_more(creator, 'own', room, max_rooms) then
    return 'limit_reached';
  end if;
  alone := peer is null or asking or has_blocked(peer, creator) or not may_have_more(peer, 'peer', room, max_rooms);
  insert into rooms (id, kind, name, created_by, peer_id, member_count)
  values (room, room_kind, room_name, creator, peer, case when alone then 1 else 2 end)
  on conflict (id) do nothing;
  if not found then
    if exists (select from rooms x join members m on m.room_id = x.id and m.user_id = creator
               where x.id = room and x.kind = room_kind and x.created_by = creator) then
      return 'exists';
    end if;
    return 'conflict';
  end if;
  -- the check follows the insert, which waits for a deletion that is under way
  if exists (select from deleted_rooms d where d.id = room) then
    delete from rooms x where x.id = room;
    return 'conflict';
  end if;
  if not alone then
    insert into users (id) values (peer) on conflict do nothing;
    insert into members (room_id, user_id, role, via) values (room, peer, 'member', 'peer');
  end if;
  insert into members (room_id, user_id, role)
  values (room, creator, case when room_kind = 'direct' then 'member' else 'owner' end);
  return case when room_kind = 'direct' and alone then 'created_alone' else 'created' end;
end $$;
