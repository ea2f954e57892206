-- Stores a message of a back end in the transaction of the caller, and leaves its events to the relay. The body of
-- parley.publish.
-- Takes the room, the id of the message, its sender, its body, the seq that it answers, and its lane.
-- Returns the seq. The same id by the same sender again returns the first seq and stores nothing.
-- Locks the room's row (append_messages), until the transaction of the caller ends.
-- Raises invalid_parameter_value and program_limit_exceeded (check_published), no_data_found without such a room,
-- object_not_in_prerequisite_state if the room is archived, and unique_violation if the id belongs to another sender.
-- Threads are noted here. Mentions are noted by the node that relays the events, which alone can read the text.
-- The outbox row keeps the seq, the sender and the time: the relay needs them for read marks and mentions.
create or replace function publish_message(room text, id uuid, sender text, body jsonb, reply_to bigint, lane text)
returns bigint
language plpgsql
as $$
#variable_conflict use_variable
declare
  stored record;
begin
  perform check_published(room, id, sender, body, reply_to, lane);
  select * into stored from append_messages(
    array[room], jsonb_build_array(jsonb_build_array(room, id, sender, body, reply_to, lane, true)), '{}') as a;
  case stored.outcome
    when 'fresh' then null;
    when 'duplicate' then return stored.seq;
    when 'conflict' then
      raise exception using errcode = 'unique_violation',
        message = format('Another sender has a message with the id %s in the room %s.', id, room);
    when 'archived' then
      raise exception using errcode = 'object_not_in_prerequisite_state',
        message = format('The room %s is archived: nobody may write in it.', room);
    when 'no_reply_target' then
      raise exception using errcode = 'invalid_parameter_value',
        message = format('reply_to: the room %s has no message %s yet.', room, reply_to);
    else
      raise exception using errcode = 'no_data_found', message = format('There is no room %s.', room);
  end case;
  if reply_to is not null then
    perform from note_sends(
      array[stored.seq], jsonb_build_array(jsonb_build_array(1, room, sender, '[]'::jsonb, false, true)),
      stored.outbox_id, 1000);
  end if;
  update outbox o set relay = 'events', entries = jsonb_set(o.entries, '{0,sent}', jsonb_build_array(
    stored.seq, sender, floor(extract(epoch from stored.sent_at) * 1000)::bigint))
  where o.id = stored.outbox_id;
  perform pg_notify('parley_outbox', '');
  return stored.seq;
end $$;
