-- Pins a message, or removes its pin. The change of the message takes the next rev and one outbox row.
-- Takes the room, the seq (`target`), the actor, whether to pin, the most pins of the room, and the rights
-- (enter_room). `handed` is as in append_messages.
-- Returns one row. outcome: changed, unchanged, not_found (deleted and expired too), limit_reached, or a refusal of
-- enter_room. rev, at and id of the message; rev of an unchanged one is that of its last change. outbox_id: the
-- outbox row.
-- Locks the room's row (enter_room).
create or replace function pin_message(
  room text, target bigint, actor text, pinning boolean, max_pins integer, handed bigint[], rights jsonb,
  out outcome text, out rev bigint, out at timestamptz, out id uuid, out outbox_id bigint
)
returns record
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  e record;
  first bigint;
  head bigint;
  m messages;
begin
  if cardinality(handed) > 0 then
    perform mark_published(handed);
  end if;
  select * into e from enter_room(room, actor, rights);
  if e.refusal is not null then
    outcome := e.refusal;
    return;
  end if;
  select r.last_rev + 1, r.first_seq into head, first from rooms r where r.id = room;
  select * into m from messages t where t.room_id = room and t.seq = target and t.seq >= first;
  if m.seq is null or m.deleted_at is not null then
    outcome := 'not_found';
  elsif pinning = (m.pinned_at is not null) then
    outcome := 'unchanged';
    rev := m.rev;
    at := coalesce(m.pinned_at, m.created_at);
    id := m.id;
  elsif pinning
    and (select count(*) from messages t where t.room_id = room and t.pinned_at is not null) >= max_pins then
    outcome := 'limit_reached';
  else
    outcome := 'changed';
    rev := head;
    at := date_trunc('milliseconds', clock_timestamp());
    id := m.id;
    update messages t set rev = head, changed = true,
      pinned_at = case when pinning then at end, pinned_by = case when pinning then actor end
    where t.room_id = room and t.seq = target;
    update rooms r set last_rev = head where r.id = room;
    insert into outbox (entries)
    values (jsonb_build_array(jsonb_build_object('room', room, 'from', head, 'to', head, 'lanes', null)))
    returning outbox.id into outbox_id;
  end if;
end $$;
