-- Notifications: the second mark of the outbox, the ledger, the preferences of users, and their devices.
-- Runs beside: 0026

-- A row of the outbox goes when both marks are set. `fanned_out`: the events of the commit are published. `notified`: the
-- ledger has a row for each recipient of the commit. The room in each page keeps the first mark from writing the index.
alter table outbox add column fanned_out boolean not null default false;
alter table outbox add column notified boolean not null default false;
alter table outbox set (fillfactor = 50);
-- the commits of an earlier release have notified nobody, and must not do so hours later
update outbox set notified = true;

-- The ledger: each notification with its state and the reason for it. `at` is the time of the message, so the same
-- notification is in the same month and has the same key, however often a node expands the message.
create table notifications (
  id uuid not null, -- UUIDv5 of room, seq, user, channel and device
  at timestamptz not null,
  room_id text collate "C" not null,
  seq bigint not null,
  user_id text collate "C" not null,
  channel text not null,
  device text not null default '', -- the id of a device; empty: a channel without devices
  kind text not null check (kind in ('mention', 'everybody', 'direct', 'thread', 'message')),
  lane text not null check (lane in ('critical', 'high', 'normal', 'low', 'batch')),
  state text not null check (
    state in ('waiting', 'sending', 'unknown', 'sent', 'shown', 'read', 'failed', 'dead', 'dropped')),
  reason text, -- of a row that waits or was dropped
  attempts integer not null default 0,
  due_at timestamptz not null default clock_timestamp(), -- when a waiting row is decided again
  queued_at timestamptz, -- when the row last got a job
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  primary key (id, at)
) partition by range (at);
create index notifications_of_message on notifications (room_id, seq, user_id);
create index notifications_by_user on notifications (user_id, at, room_id, seq);
create index notifications_unread on notifications (user_id, room_id, seq)
  where state in ('waiting', 'sending', 'unknown', 'sent', 'shown');
create index notifications_waiting on notifications (due_at) where state in ('waiting', 'sending', 'unknown');
-- for messages of months without a partition: imported ones, and those of the first moments of a new installation
create table notifications_rest partition of notifications default;

-- The wishes of a user: for everything (the room is empty) and for a room.
create table preferences (
  user_id text collate "C" not null,
  room_id text collate "C" not null default '',
  document jsonb not null,
  wants_all boolean not null, -- on any channel the level is `all`, so each message may notify the user
  updated_at timestamptz not null default clock_timestamp(),
  primary key (user_id, room_id)
);
create index preferences_all on preferences (room_id, user_id) where wants_all;

-- The devices that receive notifications of a user outside of a connection.
create table devices (
  id uuid primary key,
  user_id text collate "C" not null,
  channel text not null,
  address text not null, -- the endpoint, the token or the mailbox
  secrets jsonb,
  name text,
  created_at timestamptz not null default clock_timestamp(),
  seen_at timestamptz not null default clock_timestamp(),
  unique (channel, address)
);
create index devices_by_user on devices (user_id, channel);
