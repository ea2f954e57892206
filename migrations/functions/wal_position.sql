-- Where the log of changes of Postgres ends now.
-- Takes nothing. Returns one row: timeline and lsn. A service that keeps no such log, or does not show it, gives an
-- empty timeline and 0, and nothing is compared.
-- Locks nothing.
create or replace function wal_position(out timeline text, out lsn bigint)
returns record
language plpgsql
as $$
begin
  timeline := substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8);
  lsn := (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint;
exception when feature_not_supported or insufficient_privilege or undefined_function then
  timeline := '';
  lsn := 0;
end $$;
