-- Commits a batch of edits, deletions and reactions, in their order within each room.
-- Takes the rooms of the batch, the batch, the outbox rows of earlier batches, and limits.
-- `room_ids` has each room of the batch once. `handed` is as in append_messages.
-- `batch` is `[[room, [[n, kind, seq, actor, value, seen], …]], …]`. The kind is edit, delete, add or remove. The value
-- is the body of an edit, or the emoji of add and remove. `seen` is the rev of the message on which the change depends;
-- without it, the change depends on none.
-- `window_ms` is the time for edits, unless the room has its own. `max_kinds` is the limit of emojis of a message.
-- `max_versions` is the limit of kept versions of a message.
-- Returns one row a change.
--   changed    the change has a rev; rev, at, and what its event needs: total, or the message as it is at that rev
--   unchanged  the message was so before; rev of its last change, at of its last edit or deletion
--   muted      edits and new reactions; at: the end, if there is one
--   slow:N     an edit in slow mode; the member may edit again in N milliseconds
--   stale      the message has another rev than `seen`, and not the state that the change asks for
--   not_found, not_member, forbidden, archived, too_late, limit_reached
--
-- A message that has expired is not_found, also while its row is there. A deletion of the row may be under way. A
-- change that waited for the deletion would take a rev of a message that is gone.
-- Locks the rooms in id order, as append_messages does. So the two wait for each other and neither can deadlock.
-- A loop, not one statement: changes of one message build on each other. The room's row is written once a batch.
create or replace function change_messages(
  room_ids text[], batch jsonb, handed bigint[], window_ms bigint, max_kinds integer, max_versions integer
)
returns table (
  n integer, outcome text, rev bigint, at timestamptz, total integer, outbox_id bigint, id uuid, sender_id text,
  name text, reply_to bigint, sent_at timestamptz, edited_at timestamptz, reactions text
)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  part record;
  change record;
  room_kind text;
  archived timestamptz;
  room_window_ms bigint;
  first bigint;
  actor_role text;
  muted timestamptz;
  base bigint;
  head bigint;
  m messages;
  entries jsonb := '[]';
  noted bigint; -- the outbox row's id; the row is written last
  committed_at timestamptz;
  entered text[];
  locked boolean;
begin
  if cardinality(handed) > 0 then
    perform mark_published(handed);
  end if;
  select array_agg(p.v ->> 0) into entered
  from jsonb_array_elements(batch) as p (v)
  where exists (
    select from jsonb_array_elements(p.v -> 1) as c (v)
    join members x on x.room_id = p.v ->> 0 and x.user_id = c.v ->> 3);
  perform from rooms where id = any (entered) order by id for no key update;
  committed_at := date_trunc('milliseconds', clock_timestamp());
  noted := nextval(pg_get_serial_sequence('outbox', 'id'));
  for part in select p.v ->> 0 as room_id, p.v -> 1 as changes from jsonb_array_elements(batch) as p (v) loop
    select r.kind, r.last_rev, r.archived_at, coalesce(r.edit_window_s * 1000::bigint, window_ms), r.first_seq
    into room_kind, base, archived, room_window_ms, first from rooms r where r.id = part.room_id;
    head := base;
    locked := coalesce(part.room_id = any (entered), false);
    for change in
      select (c.v ->> 0)::integer as n, c.v ->> 1 as kind, (c.v ->> 2)::bigint as seq, c.v ->> 3 as actor,
        c.v -> 4 as body, c.v ->> 4 as emoji, (c.v ->> 5)::bigint as seen
      from jsonb_array_elements(part.changes) as c (v)
    loop
      n := change.n;
      outbox_id := null; total := null; id := null; sender_id := null; name := null; reply_to := null; sent_at := null; edited_at := null;
      reactions := null; rev := null; at := null;
      select x.role, x.muted_until into actor_role, muted from members x where x.room_id = part.room_id and x.user_id = change.actor;
      if base is null then
        outcome := 'not_found';
      elsif actor_role is null or not locked then
        outcome := case when room_kind = 'channel' then 'not_member' else 'not_found' end;
      elsif actor_role = 'guest' then
        outcome := 'forbidden';
      elsif archived is not null then
        outcome := 'archived';
      elsif muted > committed_at and change.kind in ('edit', 'add') then
        outcome := 'muted';
        at := nullif(muted, 'infinity');
      else
        select * into m from messages t where t.room_id = part.room_id and t.seq = change.seq and t.seq >= first;
        if not found then
          outcome := 'not_found';
        elsif change.seen <> m.rev and (change.kind = 'edit' and m.body is distinct from change.body
          or change.kind = 'delete' and m.deleted_at is null) then
          outcome := 'stale';
        elsif change.kind = 'edit' then
          outcome := edit_message(
            m, change.actor, actor_role, change.body, head + 1, committed_at, room_window_ms, max_versions);
        elsif change.kind = 'delete' then
          outcome := delete_message(m, change.actor, actor_role, head + 1, committed_at, max_versions);
        else
          select x.outcome, x.total into outcome, total
          from react(m, change.actor, change.emoji, change.kind = 'add', head + 1, committed_at, max_kinds) as x;
        end if;
      end if;
      if outcome = 'changed' then
        head := head + 1;
        outbox_id := noted;
        rev := head;
        at := committed_at;
        id := m.id;
        if change.kind = 'edit' then
          sender_id := m.sender_id;
          reply_to := m.reply_to;
          sent_at := m.created_at;
          edited_at := committed_at;
          select u.name into name from users u where u.id = m.sender_id;
          select '[' || string_agg(
            '{"emoji":' || to_json(c.emoji)::text || ',"count":' || c.count || '}', ',' order by c.first_rev) || ']'
          into reactions from reaction_counts c where c.room_id = m.room_id and c.seq = m.seq;
        end if;
      elsif outcome = 'unchanged' then
        rev := m.rev;
        at := coalesce(m.deleted_at, m.edited_at, m.created_at);
      end if;
      return next;
    end loop;
    if head > base then
      update rooms r set last_rev = head where r.id = part.room_id;
      entries := entries || jsonb_build_object('room', part.room_id, 'from', base + 1, 'to', head, 'lanes', null);
    end if;
  end loop;
  if entries <> '[]' then
    insert into outbox (id, entries) overriding system value values (noted, entries);
  end if;
end $$;
