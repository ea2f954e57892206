#!/bin/sh
# The image of Postgres runs this once, on an empty volume (docker-compose.yml). The nodes use the role `parley`, which owns
# its database and nothing else. The superuser keeps no password, and connects inside of the container without one.
set -eu
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres --set "password=$POSTGRES_PASSWORD" <<'SQL'
create role parley login nosuperuser nocreatedb nocreaterole noreplication password :'password';
create database parley owner parley;
alter role current_user password null;
SQL
