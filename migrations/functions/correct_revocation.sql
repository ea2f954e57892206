-- Corrects the end of a revocation of all tokens by the issuer's clock, as another node sees it.
-- Takes the id of the revocation, and how far the issuer's clock is ahead of the database's (milliseconds). Among
-- several clocks, the one that is furthest ahead is right, since no token is seen before it is signed.
-- Returns the second (milliseconds since 1970) before which tokens are revoked; null: the revocation is gone.
-- Locks the row of the revocation.
create or replace function correct_revocation(its_id bigint, issuer_clock bigint)
returns bigint
language sql
as $$
  update revocations
  set clock = greatest(clock, issuer_clock), issued_before = issuer_second(created_at, greatest(clock, issuer_clock))
  where id = its_id and issued_before is not null
  returning issued_before
$$;
