-- The state of a thread as it stands in the JSON of a message.
-- Takes the thread. Returns text. Locks nothing.
create or replace function thread_state(t threads)
returns text
language sql stable
as $$
  select concat(
    ',"thread":{"root":', t.root, ',"replies":', t.replies,
    ',"lastReplyAt":', (extract(epoch from t.last_reply_at) * 1000)::bigint,
    ',"repliers":', array_to_json(t.repliers), ',"rev":', t.rev, '}')
$$;
