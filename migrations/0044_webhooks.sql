-- Webhooks: URLs of back ends that get the events of rooms, and the record of each delivery.
-- Runs beside: 0026

create table webhooks (
  id uuid primary key,
  url text not null,
  events text[] not null, -- kinds of events
  rooms text[] not null, -- patterns of room ids, such as `team-*`
  format text not null check (format in ('standard', 'cloudevents')),
  ordered boolean not null, -- the deliveries of a room wait for the earlier ones of that room
  -- The keys that sign. A hash cannot sign, so the keys are stored as they are.
  secret bytea not null,
  previous_secret bytea,
  previous_until timestamptz, -- until then both keys sign
  state text not null default 'active' check (state in ('active', 'disabled')),
  reason text check (reason in ('operator', 'gone', 'failing', 'backlog')), -- why the webhook is disabled
  failing_since timestamptz, -- the first failure since the last delivery that arrived
  disabled_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  rotated_at timestamptz,
  check ((state = 'disabled') = (reason is not null)),
  check ((previous_secret is null) = (previous_until is null))
);

-- One row. Its lock lets requests that add a webhook count in turn.
create table webhook_changes (single boolean primary key default true check (single));

insert into webhook_changes default values;

create table webhook_deliveries (
  id uuid primary key, -- the `webhook-id` of every attempt
  n bigint generated always as identity, -- the order of a room, and of a list
  webhook uuid not null references webhooks on delete cascade,
  room text collate "C", -- null: a test event
  event text not null,
  rev bigint,
  body text not null, -- the bytes of every attempt
  state text not null default 'waiting' check (state in ('waiting', 'sending', 'delivered', 'dead')),
  attempts integer not null default 0, -- counted before the call; each attempt has its number
  replays integer not null default 0,
  -- waiting: when a worker should send it; sending: when the attempt has certainly ended
  due_at timestamptz not null default clock_timestamp(),
  last_status integer,
  last_error text,
  created_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz
);
create index webhook_deliveries_by_webhook on webhook_deliveries (webhook, n);
create index webhook_deliveries_open on webhook_deliveries (webhook, room, n) where state in ('waiting', 'sending');
create index webhook_deliveries_due on webhook_deliveries (due_at) where state in ('waiting', 'sending');
create index webhook_deliveries_ended on webhook_deliveries (ended_at) where ended_at is not null;
