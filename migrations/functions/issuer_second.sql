-- The whole second of a moment in the issuer's time. Tokens have whole seconds: one that was signed in that second
-- was signed before or after.
-- Takes the moment, and how far the issuer's clock is ahead of the database's (milliseconds; null: not known).
-- Returns milliseconds since 1970. Locks nothing.
create or replace function issuer_second(at timestamptz, clock bigint)
returns bigint
language sql immutable
as $$
  select floor(extract(epoch from at) + coalesce(clock, 0) / 1000.0)::bigint * 1000
$$;
