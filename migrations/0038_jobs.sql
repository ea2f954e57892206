-- Jobs: work of REST that takes longer than a request. Any node takes a job on, also after the death of another node.
-- Runs beside: 0026

create table jobs (
  id uuid primary key,
  n bigint generated always as identity unique, -- the order of a list
  kind text not null check (kind in ('import', 'export', 'user:delete', 'room:purge')),
  owner text not null, -- who sees the job: `u:<user>` for tokens, `k:<key>` for API keys
  api_key text, -- the id of the API key; null: a token
  idempotency_key text,
  -- receiving: the body of the request still arrives, and nobody sees the job
  state text not null check (state in ('receiving', 'queued', 'running', 'done', 'failed', 'cancelled')),
  cancelling boolean not null default false, -- the run ends at its next step
  input jsonb not null,
  progress jsonb not null default '{}', -- numbers for the caller
  place jsonb, -- where the next run goes on
  result jsonb,
  error jsonb,
  -- The number of the run. A run writes nothing after a later run has begun.
  run integer not null default 0,
  tries integer not null default 0, -- runs since the last progress
  node text,
  -- The node that runs the job, or receives its body, extends the lease. A job with an expired lease has lost its node.
  lease_until timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  started_at timestamptz,
  ended_at timestamptz
);
create index jobs_active on jobs (n) where state in ('receiving', 'queued', 'running');
create index jobs_by_owner on jobs (owner, n);
create index jobs_ended on jobs (ended_at) where ended_at is not null;
create unique index jobs_by_key on jobs (owner, idempotency_key) where idempotency_key is not null;

-- The body that an import reads, and the file that an export makes, in parts. A table and no file: each node needs them.
create table job_parts (
  job uuid not null references jobs on delete cascade,
  n integer not null,
  bytes bytea not null,
  primary key (job, n)
);

-- One row. Its lock lets requests that add a job, and nodes that take one, count in turn.
create table job_queue (single boolean primary key default true check (single));

insert into job_queue default values;
