-- Checks a message of a back end by the rules of message:send. A part of publish_message.
-- Takes the parameters of publish_message. Returns nothing. Locks nothing.
-- Raises invalid_parameter_value, and program_limit_exceeded for a body over 16 KiB (json_size).
-- The type jsonb refuses NUL characters and lone surrogates before this function is called.
-- Attachments are refused: the nodes have the list of hosts that an attachment may be on. Files are refused: a node claims
-- the uploads that a message names.
create or replace function check_published(room text, id uuid, sender text, body jsonb, reply_to bigint, lane text)
returns void
language plpgsql
as $$
#variable_conflict use_variable
declare
  fault text;
  secret jsonb;
begin
  fault := case
    when room is null or room !~ '^[A-Za-z0-9_.:-]{1,64}$' then 'room: this is not the id of a room.'
    when id is null then 'id: expected a UUID.'
    when sender is null or sender !~ '^[A-Za-z0-9_.:@|+-]{1,64}$' then 'sender: this is not a user id.'
    when body is null or body = 'null' then 'body: expected JSON other than null.'
    when reply_to < 1 then 'reply_to: expected the seq of a message.'
    when lane not in ('critical', 'high', 'normal', 'low', 'batch') then
      'lane: expected critical, high, normal, low or batch.'
  end;
  if fault is not null then
    raise exception using errcode = 'invalid_parameter_value', message = fault;
  elsif octet_length(body::text) > 16384 and (octet_length(body::text) > 32768 or json_size(body) > 16384) then
    raise exception using errcode = 'program_limit_exceeded', message = 'body: over 16384 bytes.';
  end if;
  secret := case when jsonb_typeof(body) = 'object' then body -> 'encrypted' end;
  fault := case
    -- 33 levels take 66 characters at least
    when octet_length(body::text) >= 66 and jsonb_path_exists(
      body, 'strict $.**{32} ? (@.type() == "object" || @.type() == "array")') then
      'body: nested deeper than 32 levels.'
    when octet_length(body::text) > 308 and jsonb_path_exists(
      body, 'strict $.** ? (@.type() == "number" && (@ > 1.7976931348623157e308 || @ < -1.7976931348623157e308))') then
      'body: a number is too large.'
    when jsonb_typeof(body) <> 'object' then null
    when body ? 'attachments' then
      'body.attachments: only a node knows the hosts of attachments; publish such a message by REST.'
    when body ? 'files' then
      'body.files: only a node gives uploads to a message; publish such a message by REST.'
    when body ? 'mentions' and not coalesce(jsonb_typeof(body -> 'mentions') = 'array' and not jsonb_path_exists(
      body, 'strict $.mentions[*] ? (@.type() != "string" || !(@ like_regex "^(@room|[A-Za-z0-9_.:@|+-]{1,64})$"))')
      and jsonb_array_length(body -> 'mentions') <= 50, false) then
      'body.mentions: expected a list of at most 50 user ids.'
    when secret is null then null
    when body ? 'text' then 'body: what is encrypted has no `text` beside it.'
    when jsonb_typeof(secret) <> 'object'
      or coalesce(jsonb_typeof(secret -> 'alg') <> 'string' or secret ->> 'alg' !~ '^[A-Za-z0-9][A-Za-z0-9_.:+/-]{0,63}$', true)
      or coalesce(jsonb_typeof(secret -> 'kid') <> 'string' or secret ->> 'kid' !~ '^[\x21-\x7e]{1,128}$', true) then
      'body.encrypted: expected an object with alg and kid.'
  end;
  if fault is not null then
    raise exception using errcode = 'invalid_parameter_value', message = fault;
  elsif secret is not null and json_size(secret) > 15360 then
    raise exception using errcode = 'program_limit_exceeded', message = 'body.encrypted: over 15360 bytes.';
  end if;
end $$;
