-- Revokes all tokens of a user but one, and removes the devices that get pushes: a lost phone shows no further message.
-- Takes the subject, the hash of the spared token (null: none), its time of issue (milliseconds) and its session. `why`
-- is the reason (user or operator). `issuer_clock` says how far the issuer's clock is ahead (milliseconds; null: not
-- known). The last three are the tokens that the calling node knows: hashes, times of issue, ends.
-- Returns false, and does nothing, if the spared token is revoked itself: a revoked token must not save itself by
-- revoking the others. Returns true otherwise.
-- Locks the user's revocations by an advisory lock, which puts two such calls in an order.
create or replace function revoke_all(
  subject text, spared_token text, its_issued bigint, kept_session text, why text, issuer_clock bigint, known text[],
  known_issued bigint[], known_ends bigint[]
)
returns boolean
language plpgsql
as $$
declare
  moment timestamptz;
  boundary bigint;
begin
  perform pg_advisory_xact_lock(hashtextextended('parley:revoke:' || subject, 0));
  if spared_token is not null and token_revoked(subject, spared_token, its_issued) then
    return false;
  end if;
  moment := clock_timestamp();
  boundary := issuer_second(moment, issuer_clock);
  delete from devices where user_id = subject;
  delete from revocations where user_id = subject and issued_before is not null;
  insert into revocations (user_id, issued_before, spared, spared_session, reason, created_at, clock)
  values (subject, boundary, spared_token, kept_session, why, moment, issuer_clock);
  perform revoke_tokens(subject, array_agg(k.token), array_agg(k.ends), why)
  from unnest(known, known_issued, known_ends) as k (token, issued, ends) where k.issued >= boundary;
  return true;
end $$;

-- For nodes of an earlier release
--
-- Nodes that end with migration 0015 or earlier know no clock of the issuer.
create or replace function revoke_all(subject text, spared_token text, its_issued bigint, kept_session text, why text)
returns boolean
language sql
as $$
  select revoke_all(subject, spared_token, its_issued, kept_session, why, null::bigint, '{}'::text[], '{}'::bigint[], '{}'::bigint[])
$$;
