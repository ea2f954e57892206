-- Answers to writes of REST that carried an Idempotency-Key, for a day.
-- Runs beside: 0026

create table idempotency (
  caller text not null, -- `u:<user>` for tokens, `k:<key>:<user>` for API keys
  key text not null,
  request_hash bytea not null check (length(request_hash) = 32), -- of method, address and body
  -- until then the request is taken to run; a node that died leaves it behind
  running_until timestamptz not null,
  status smallint, -- null: there is no answer yet
  content_type text,
  body text,
  created_at timestamptz not null default clock_timestamp(),
  primary key (caller, key)
);
create index idempotency_by_age on idempotency (created_at);
