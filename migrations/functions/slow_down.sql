-- Finds the inputs of a batch that come too soon in a room with slow mode. Notes the time of the senders that may send.
-- A part of append_messages, for batches with such a room. A published message neither waits nor makes others wait.
-- Takes the batch of append_messages and the time of the commit.
-- Returns the places of the inputs that must wait, from 1.
-- The caller holds the locks of the rooms. Locks rows of members in the order of room and user, as mark_read does.
create or replace function slow_down(batch jsonb, committed_at timestamptz)
returns integer[]
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_sort = off set jit = off
as $$
declare
  slowed integer[];
begin
  -- in the order of mark_read, which locks rows of members too
  perform from members m where (m.room_id, m.user_id) in (
    select e.v ->> 0, e.v ->> 2 from jsonb_array_elements(batch) as e (v)
    join rooms r on r.id = e.v ->> 0 where r.slow_mode_s > 0 and e.v ->> 6 is null)
  order by m.room_id, m.user_id for no key update;
  with input as materialized (
    select e.n::integer as n, e.v ->> 0 as room_id, (e.v ->> 1)::uuid as id, e.v ->> 2 as sender_id,
      (e.v ->> 4)::bigint as reply_to
    from jsonb_array_elements(batch) with ordinality as e (v, n) where e.v ->> 6 is null
  ), concerned as materialized (
    -- the inputs that append_messages would store
    select i.n, i.room_id, i.sender_id, m.last_sent_at + r.slow_mode_s * interval '1 second' as free_at,
      row_number() over (partition by i.room_id, i.sender_id order by i.n) as nth
    from input i
    join rooms r on r.id = i.room_id
    join members m on m.room_id = i.room_id and m.user_id = i.sender_id
    where r.slow_mode_s > 0 and m.role = 'member' and r.archived_at is null and r.senders = 'all'
      and (m.muted_until is null or m.muted_until <= committed_at) and (i.reply_to is null or i.reply_to <= r.last_seq)
      and (
        select d.seq from messages d
        where d.room_id collate "POSIX" = i.room_id and d.id >= i.id and d.id <= i.id order by d.id limit 1) is null
  ), noted as (
    update members m set last_sent_at = committed_at from concerned c
    where c.nth = 1 and (c.free_at is null or c.free_at <= committed_at)
      and m.room_id = c.room_id and m.user_id = c.sender_id
  )
  select array_agg(c.n) into slowed from concerned c where c.nth > 1 or c.free_at > committed_at;
  return coalesce(slowed, '{}');
end $$;
