-- Changes settings of a room.
-- Takes the room, the actor, the changes, the rights (enter_room), and `seen`. The changes are JSON with the keys name,
-- topic, retentionDays, slowMode, senders and editWindow. An absent key changes nothing. `seen` is the settings on which
-- the change depends, or null. `seen` has all of these keys, and archived.
-- Returns updated, unchanged, stale (the room has other settings than `seen`), or a refusal of enter_room.
-- Locks the room's row (enter_room). Raises check_violation for senders that do not exist, and an error of conversion
-- for a value that is no number.
create or replace function update_room(room text, actor text, changes jsonb, rights jsonb, seen jsonb)
returns text
language plpgsql
as $$
declare
  e record;
begin
  select * into e from enter_room(room, actor, rights);
  if e.refusal is not null then
    return e.refusal;
  elsif seen <> (
    select jsonb_build_object('name', r.name, 'topic', r.topic, 'retentionDays', r.retention_days,
      'slowMode', r.slow_mode_s, 'senders', r.senders, 'editWindow', r.edit_window_s, 'archived', r.archived_at is not null)
    from rooms r where r.id = room) then
    return 'stale';
  end if;
  update rooms r set (name, topic, retention_days, slow_mode_s, senders, edit_window_s) =
    (w.name, w.topic, w.retention_days, w.slow_mode_s, w.senders, w.edit_window_s)
  from (
    select
      case when changes ? 'name' then changes ->> 'name' else x.name end as name,
      case when changes ? 'topic' then changes ->> 'topic' else x.topic end as topic,
      case when changes ? 'retentionDays' then (changes ->> 'retentionDays')::integer else x.retention_days end as retention_days,
      case when changes ? 'slowMode' then (changes ->> 'slowMode')::integer else x.slow_mode_s end as slow_mode_s,
      case when changes ? 'senders' then changes ->> 'senders' else x.senders end as senders,
      case when changes ? 'editWindow' then (changes ->> 'editWindow')::integer else x.edit_window_s end as edit_window_s
    from rooms x where x.id = room
  ) w
  where r.id = room
    and (r.name, r.topic, r.retention_days, r.slow_mode_s, r.senders, r.edit_window_s)
      is distinct from (w.name, w.topic, w.retention_days, w.slow_mode_s, w.senders, w.edit_window_s);
  return case when found then 'updated' else 'unchanged' end;
end $$;

-- For nodes of an earlier release
--
-- Nodes that end with migration 0040 or earlier compare no settings.
create or replace function update_room(room text, actor text, changes jsonb, rights jsonb)
returns text
language sql
as $$
  select update_room(room, actor, changes, rights, null::jsonb)
$$;
