-- The pin of a message as it stands in the JSON of a message.
-- Takes the message. Returns text; null if the message is not pinned. Locks nothing.
create or replace function pin_state(m messages)
returns text
language sql stable
as $$
  select ',"pinnedAt":' || (extract(epoch from m.pinned_at) * 1000)::bigint || ',"pinnedBy":"' || m.pinned_by || '"'
$$;
