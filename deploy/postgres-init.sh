#!/bin/sh
# Run once by the image of Postgres, on an empty volume (docker-compose.yml). The nodes use the role `parley`, which owns its
# database and nothing else. The superuser keeps no password: who is inside of the container is let in without one.
set -eu
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres --set "password=$POSTGRES_PASSWORD" <<'SQL'
create role parley login nosuperuser nocreatedb nocreaterole noreplication password :'password';
create database parley owner parley;
alter role current_user password null;
SQL
