-- A revocation of all tokens and the clock of whoever signs them.
-- Runs beside: 0017

-- Of a row with `issued_before`: how far the issuer's clock is ahead of the database's, as the nodes see it by the
-- user's tokens; negative: behind; null: no node has seen one yet. `created_at` + `clock` is the moment in the issuer's
-- time. `issued_before` is its whole second, because tokens have whole seconds: a token signed in that second was signed
-- before or after. Those that were known before are revoked by rows of their own, with `token`.
alter table revocations add column clock bigint;

create function issuer_second(at timestamptz, clock bigint) returns bigint
language sql immutable as $$
  select floor(extract(epoch from at) + coalesce(clock, 0) / 1000.0)::bigint * 1000
$$;

-- Revokes tokens that a node knows, each until it expires. A token that is revoked already is left as it is.
create function revoke_tokens(subject text, tokens text[], ends bigint[], why text) returns void
language sql as $$
  insert into revocations (user_id, token, reason, expires_at)
  select subject, t.token, why, to_timestamp(t.ends / 1000.0)
  from unnest(tokens, ends) as t (token, ends)
  where not exists (select from revocations r where r.user_id = subject and r.token = t.token)
$$;

-- As before, and names the tokens that the calling node knows. clock: see above. False if the spared token is revoked.
create function revoke_all(
  subject text, spared_token text, its_issued bigint, kept_session text, why text,
  issuer_clock bigint, known text[], known_issued bigint[], known_ends bigint[]
) returns boolean
language plpgsql as $$
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
  delete from revocations where user_id = subject and issued_before is not null;
  insert into revocations (user_id, issued_before, spared, spared_session, reason, created_at, clock)
  values (subject, boundary, spared_token, kept_session, why, moment, issuer_clock);
  perform revoke_tokens(subject, array_agg(k.token), array_agg(k.ends), why)
  from unnest(known, known_issued, known_ends) as k (token, issued, ends) where k.issued >= boundary;
  return true;
end $$;

-- For nodes of the version before.
create or replace function revoke_all(subject text, spared_token text, its_issued bigint, kept_session text, why text) returns boolean
language sql as $$
  select revoke_all(subject, spared_token, its_issued, kept_session, why, null::bigint, '{}'::text[], '{}'::bigint[], '{}'::bigint[])
$$;

-- Another node knows tokens of the user, which show the issuer's clock: of several the one that is furthest ahead is
-- right, since a token is never seen before it is signed.
-- Returns where the revocation ends now; null: it is gone.
create function correct_revocation(its_id bigint, issuer_clock bigint) returns bigint
language sql as $$
  update revocations
  set clock = greatest(clock, issuer_clock), issued_before = issuer_second(created_at, greatest(clock, issuer_clock))
  where id = its_id and issued_before is not null
  returning issued_before
$$;
