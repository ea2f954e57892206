-- The least rights that a node needs in Postgres, if another role applies the migrations (docs/database.md, "Roles"):
--
--   psql -v ON_ERROR_STOP=1 -v role=parley_node -f deploy/postgres-roles.sql "$OWNER_URL"
--
-- Run it as the owner of the database after the first `parley migrate`; later migrations are covered too. The role exists.

grant usage on schema public to :"role";
grant select, insert, update, delete on all tables in schema public to :"role";
grant usage, select, update on all sequences in schema public to :"role";
grant execute on all functions in schema public to :"role";
revoke insert, update, delete on schema_migrations, schema_functions from :"role";
alter default privileges in schema public grant select, insert, update, delete on tables to :"role";
alter default privileges in schema public grant usage, select, update on sequences to :"role";
alter default privileges in schema public grant execute on functions to :"role";
-- The queues of notifications, which a process without Redis has in Postgres.
create schema if not exists bullmq;
grant usage on schema bullmq to :"role";
grant select, insert, update, delete on all tables in schema bullmq to :"role";
grant usage, select, update on all sequences in schema bullmq to :"role";
grant execute on all functions in schema bullmq to :"role";
alter default privileges in schema bullmq grant select, insert, update, delete on tables to :"role";
alter default privileges in schema bullmq grant usage, select, update on sequences to :"role";
alter default privileges in schema bullmq grant execute on functions to :"role";
