-- Revokes tokens, each until it expires. A token that is revoked already is left as it is.
-- Takes the subject, the hashes, their ends (milliseconds since 1970; as many as hashes), and the reason (user or
-- operator).
-- Returns nothing. Locks nothing; revoke_all holds the user's lock.
create or replace function revoke_tokens(subject text, tokens text[], ends bigint[], why text)
returns void
language sql
as $$
  insert into revocations (user_id, token, reason, expires_at)
  select subject, t.token, why, to_timestamp(t.ends / 1000.0)
  from unnest(tokens, ends) as t (token, ends)
  where not exists (select from revocations r where r.user_id = subject and r.token = t.token)
$$;
