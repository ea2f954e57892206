-- Moves delivered marks forward, as mark_read moves read marks.
-- Takes `batch`, and the most members of a room in which these marks are kept. `batch` is
-- `[{"r": room, "u": user, "s": seq}, …]`, with each pair of room and user once.
-- Returns one row an input: n = its place from 1, the mark (null: no member, or not kept), and whether the mark
-- moved.
-- Locks rows of members in the order of room and user.
create or replace function mark_delivered(batch json, max_members integer)
returns table (n integer, mark bigint, moved boolean)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
begin
  return query
  with input as materialized (
    select e.ord::integer as n, e.r as room_id, e.u as user_id, e.s as seq
    from rows from (json_to_recordset(batch) as (r text, u text, s bigint)) with ordinality as e (r, u, s, ord)
  ), standing as materialized (
    select i.n, m.room_id, m.user_id, greatest(m.last_delivered_seq, m.last_read_seq) as was, least(i.seq, r.last_seq) as target
    from input i
    join members m on m.room_id = i.room_id and m.user_id = i.user_id
    join rooms r on r.id = i.room_id and r.member_count <= max_members
    order by m.room_id, m.user_id for no key update of m
  ), written as (
    update members m set last_delivered_seq = s.target from standing s
    where m.room_id = s.room_id and m.user_id = s.user_id and s.target > s.was
  )
  select i.n, greatest(s.was, s.target), coalesce(s.target > s.was, false)
  from input i left join standing s on s.n = i.n order by i.n;
end $$;
