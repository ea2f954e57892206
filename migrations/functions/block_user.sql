-- Lets a user block another one.
-- Takes the actor, the subject, the id of the direct room of both (pair), and the most blocks of the actor.
-- Returns blocked, left (the actor was a member of the direct room and left it), already or limit_reached.
-- Locks, in this order: the actor's blocks and the pair by advisory locks, then the room's row (remove_member).
-- create_room takes the lock of the pair too. If a block and a direct room are made at once, the later one sees the
-- earlier one.
create or replace function block_user(actor text, subject text, pair text, max_blocks integer)
returns text
language plpgsql
as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('parley:blocks:' || actor, 0));
  perform pg_advisory_xact_lock(hashtextextended('parley:pair:' || pair, 0));
  if has_blocked(actor, subject) then
    return 'already';
  elsif (select count(*) from blocks b where b.user_id = actor) >= max_blocks then
    return 'limit_reached';
  end if;
  insert into blocks (user_id, blocked_id) values (actor, subject);
  return coalesce((select l.outcome from remove_member(pair, actor) l where l.outcome = 'left'), 'blocked');
end $$;
