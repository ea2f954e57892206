-- Whether a token is revoked.
-- Takes the user, the hash of the token, and its time of issue (milliseconds since 1970; 0 if the token has none).
-- Returns a boolean. Locks nothing.
create or replace function token_revoked(subject text, its_hash text, issued bigint)
returns boolean
language sql stable
as $$
  select exists (
    select from revocations r where r.user_id = subject
      and (r.token = its_hash or r.issued_before > issued and r.spared is distinct from its_hash))
$$;
