-- Keys of back ends for REST.
-- Runs beside: 0026

create table api_keys (
  id text collate "C" primary key check (id ~ '^[a-z0-9]{12}$'),
  name text not null,
  -- SHA-256 of the secret; the secret itself is stored nowhere
  secret_hash bytea not null check (length(secret_hash) = 32),
  -- the secret before the last rotation, and the end of its validity
  previous_hash bytea check (length(previous_hash) = 32),
  previous_until timestamptz,
  scopes text[] not null,
  rooms text[] not null, -- patterns of room ids, such as `team-*`
  networks text[] not null, -- addresses and CIDR ranges; empty: any address
  per_hour integer check (per_hour > 0), -- null: the default of the settings
  expires_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  rotated_at timestamptz,
  used_at timestamptz, -- written at most once a minute by each node
  check ((previous_hash is null) = (previous_until is null))
);

-- One row. Each transaction that creates, rotates or revokes a key replaces the version, so that a poll reads one row where
-- nothing has changed. A random version also differs after a restore, where a counter could come to the same number again.
-- The row is also the lock under which keys are counted.
create table api_key_changes (
  single boolean primary key default true check (single),
  version uuid not null default gen_random_uuid()
);

insert into api_key_changes default values;
