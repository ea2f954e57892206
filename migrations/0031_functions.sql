-- The forms of the files in migrations/functions that were applied last; docs/database.md says how the migrator uses them.
-- Runs beside: 0026

create table schema_functions (
  name text primary key,
  checksum text not null,
  applied_at timestamptz not null default now()
);

-- A role that may not write to schema_migrations may not write here either, whatever the default privileges gave it.
do $$
declare
  reader regrole;
begin
  for reader in
    select distinct a.grantee::regrole from pg_class c, aclexplode(c.relacl) a
    where c.oid = 'schema_functions'::regclass and a.grantee not in (0, c.relowner)
      and not has_table_privilege(a.grantee, 'schema_migrations', 'insert')
  loop
    execute format('revoke insert, update, delete on schema_functions from %s', reader);
  end loop;
end $$;
