create table api_key_changes (
  single boolean not null default true,
  version uuid not null default gen_random_uuid(),
  constraint api_key_changes_pkey PRIMARY KEY (single),
  constraint api_key_changes_single_check CHECK (single)
);

create table api_keys (
  id text collate "C" not null,
  name text not null,
  secret_hash bytea not null,
  previous_hash bytea,
  previous_until timestamp with time zone,
  scopes text[] not null,
  rooms text[] not null,
  networks text[] not null,
  per_hour integer,
  expires_at timestamp with time zone,
  created_at timestamp with time zone not null default clock_timestamp(),
  rotated_at timestamp with time zone,
  used_at timestamp with time zone,
  constraint api_keys_check CHECK (((previous_hash IS NULL) = (previous_until IS NULL))),
  constraint api_keys_id_check CHECK ((id ~ '^[a-z0-9]{12}$'::text)),
  constraint api_keys_per_hour_check CHECK ((per_hour > 0)),
  constraint api_keys_pkey PRIMARY KEY (id),
  constraint api_keys_previous_hash_check CHECK ((length(previous_hash) = 32)),
  constraint api_keys_secret_hash_check CHECK ((length(secret_hash) = 32))
);

create table bans (
  room_id text collate "C" not null,
  user_id text collate "C" not null,
  banned_by text collate "C" not null,
  reason text,
  at timestamp with time zone not null default clock_timestamp(),
  constraint bans_pkey PRIMARY KEY (room_id, user_id)
);

create table blocks (
  user_id text collate "C" not null,
  blocked_id text collate "C" not null,
  at timestamp with time zone not null default clock_timestamp(),
  constraint blocks_pkey PRIMARY KEY (user_id, blocked_id)
);
CREATE INDEX blocks_by_blocked ON public.blocks USING btree (blocked_id, user_id);

create table chores (
  name text collate "C" not null,
  due_at timestamp with time zone not null,
  constraint chores_pkey PRIMARY KEY (name)
);

create table deleted_rooms (
  id text collate "C" not null,
  deleted_by text collate "C" not null,
  deleted_at timestamp with time zone not null default clock_timestamp(),
  purged_at timestamp with time zone,
  made_by text collate "C",
  constraint deleted_rooms_pkey PRIMARY KEY (id)
);
CREATE INDEX deleted_rooms_by_maker ON public.deleted_rooms USING btree (made_by, deleted_at);
CREATE INDEX deleted_rooms_by_time ON public.deleted_rooms USING btree (deleted_at);
CREATE INDEX deleted_rooms_unpurged ON public.deleted_rooms USING btree (deleted_at) WHERE (purged_at IS NULL);

create table departures (
  room_id text collate "C" not null,
  user_id text collate "C" not null,
  left_at timestamp with time zone,
  last_sent_at timestamp with time zone,
  was_guest boolean not null default false,
  constraint departures_pkey PRIMARY KEY (room_id, user_id)
);
CREATE INDEX departures_by_user ON public.departures USING btree (user_id);

create table devices (
  id uuid not null,
  user_id text collate "C" not null,
  channel text not null,
  address text not null,
  secrets jsonb,
  name text,
  created_at timestamp with time zone not null default clock_timestamp(),
  seen_at timestamp with time zone not null default clock_timestamp(),
  constraint devices_channel_address_key UNIQUE (channel, address),
  constraint devices_pkey PRIMARY KEY (id)
);
CREATE INDEX devices_by_user ON public.devices USING btree (user_id, channel);

create table idempotency (
  caller text not null,
  key text not null,
  request_hash bytea not null,
  running_until timestamp with time zone not null,
  status smallint,
  content_type text,
  body text,
  created_at timestamp with time zone not null default clock_timestamp(),
  constraint idempotency_pkey PRIMARY KEY (caller, key),
  constraint idempotency_request_hash_check CHECK ((length(request_hash) = 32))
);
CREATE INDEX idempotency_by_age ON public.idempotency USING btree (created_at);

create table imports (
  room_id text collate "C" not null,
  shared boolean not null,
  begun_at timestamp with time zone not null default now(),
  constraint imports_pkey PRIMARY KEY (room_id)
);

create table installation (
  one boolean not null default true,
  id uuid not null default gen_random_uuid(),
  epoch uuid not null default gen_random_uuid(),
  since timestamp with time zone not null default clock_timestamp(),
  timeline text not null,
  database oid not null,
  xid xid8 not null,
  constraint installation_one_check CHECK (one),
  constraint installation_pkey PRIMARY KEY (one)
);

create table invitation_rests (
  room_id text collate "C" not null,
  user_id text collate "C" not null,
  declined boolean not null,
  rests_until timestamp with time zone not null,
  constraint invitation_rests_pkey PRIMARY KEY (room_id, user_id)
);
CREATE INDEX invitation_rests_by_end ON public.invitation_rests USING btree (rests_until);
CREATE INDEX invitation_rests_by_user ON public.invitation_rests USING btree (user_id);

create table invitations (
  room_id text collate "C" not null,
  user_id text collate "C" not null,
  role text not null,
  invited_by text collate "C" not null,
  at timestamp with time zone not null default clock_timestamp(),
  expires_at timestamp with time zone not null,
  constraint invitations_pkey PRIMARY KEY (room_id, user_id),
  constraint invitations_role_check CHECK ((role = ANY (ARRAY['admin'::text, 'member'::text, 'guest'::text])))
);
CREATE INDEX invitations_by_expiry ON public.invitations USING btree (expires_at);
CREATE INDEX invitations_by_user ON public.invitations USING btree (user_id, room_id);

create table job_parts (
  job uuid not null,
  n integer not null,
  bytes bytea not null,
  constraint job_parts_job_fkey FOREIGN KEY (job) REFERENCES jobs(id) ON DELETE CASCADE,
  constraint job_parts_pkey PRIMARY KEY (job, n)
);

create table job_queue (
  single boolean not null default true,
  constraint job_queue_pkey PRIMARY KEY (single),
  constraint job_queue_single_check CHECK (single)
);

create table jobs (
  id uuid not null,
  n bigint not null generated always as identity,
  kind text not null,
  owner text not null,
  api_key text,
  idempotency_key text,
  state text not null,
  cancelling boolean not null default false,
  input jsonb not null,
  progress jsonb not null default '{}'::jsonb,
  place jsonb,
  result jsonb,
  error jsonb,
  run integer not null default 0,
  tries integer not null default 0,
  node text,
  lease_until timestamp with time zone,
  created_at timestamp with time zone not null default clock_timestamp(),
  updated_at timestamp with time zone not null default clock_timestamp(),
  started_at timestamp with time zone,
  ended_at timestamp with time zone,
  constraint jobs_kind_check CHECK ((kind = ANY (ARRAY['import'::text, 'export'::text, 'user:delete'::text, 'room:purge'::text]))),
  constraint jobs_n_key UNIQUE (n),
  constraint jobs_pkey PRIMARY KEY (id),
  constraint jobs_state_check CHECK ((state = ANY (ARRAY['receiving'::text, 'queued'::text, 'running'::text, 'done'::text, 'failed'::text, 'cancelled'::text])))
);
CREATE INDEX jobs_active ON public.jobs USING btree (n) WHERE (state = ANY (ARRAY['receiving'::text, 'queued'::text, 'running'::text]));
CREATE UNIQUE INDEX jobs_by_key ON public.jobs USING btree (owner, idempotency_key) WHERE (idempotency_key IS NOT NULL);
CREATE INDEX jobs_by_owner ON public.jobs USING btree (owner, n);
CREATE INDEX jobs_ended ON public.jobs USING btree (ended_at) WHERE (ended_at IS NOT NULL);

create table join_links (
  room_id text collate "C" not null,
  id text collate "C" not null,
  token_hash bytea not null,
  role text not null,
  made_by text collate "C" not null,
  at timestamp with time zone not null default clock_timestamp(),
  expires_at timestamp with time zone,
  max_uses integer,
  uses integer not null default 0,
  constraint join_links_pkey PRIMARY KEY (room_id, id),
  constraint join_links_role_check CHECK ((role = ANY (ARRAY['admin'::text, 'member'::text, 'guest'::text]))),
  constraint join_links_token_hash_key UNIQUE (token_hash)
);

create table kept_mutes (
  room_id text collate "C" not null,
  user_id text collate "C" not null,
  muted_until timestamp with time zone not null,
  constraint kept_mutes_pkey PRIMARY KEY (room_id, user_id)
);
CREATE INDEX kept_mutes_by_end ON public.kept_mutes USING btree (muted_until);

create table members (
  room_id text collate "C" not null,
  user_id text collate "C" not null,
  role text not null,
  last_read_seq bigint not null default 0,
  joined_at timestamp with time zone not null default clock_timestamp(),
  muted_until timestamp with time zone,
  last_sent_at timestamp with time zone,
  last_delivered_seq bigint not null default 0,
  version bigint not null default 0,
  via text not null default 'own'::text,
  constraint members_pkey PRIMARY KEY (room_id, user_id),
  constraint members_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'admin'::text, 'member'::text, 'guest'::text]))),
  constraint members_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE,
  constraint members_via_check CHECK ((via = ANY (ARRAY['own'::text, 'added'::text, 'peer'::text])))
) with (fillfactor=80);
CREATE INDEX members_by_role ON public.members USING btree (room_id, role, user_id) WHERE (role <> 'member'::text);
CREATE INDEX members_by_user ON public.members USING btree (user_id, room_id);

create table membership_changes (
  xid xid8 not null default pg_current_xact_id(),
  room_id text collate "C" not null,
  user_id text collate "C" not null,
  at timestamp with time zone not null default clock_timestamp(),
  updated boolean not null default false,
  version bigint not null default 0
);
CREATE INDEX membership_changes_by_xid ON public.membership_changes USING btree (xid);

create table mentions (
  room_id text collate "C" not null,
  seq bigint not null,
  user_id text collate "C" not null,
  at timestamp with time zone not null,
  called_by text collate "C",
  constraint mentions_pkey PRIMARY KEY (room_id, seq, user_id)
);
CREATE INDEX mentions_by_caller ON public.mentions USING btree (called_by) WHERE (called_by IS NOT NULL);
CREATE INDEX mentions_by_user ON public.mentions USING btree (user_id, at, room_id, seq);
CREATE INDEX mentions_of_rooms ON public.mentions USING btree (room_id, at, seq) WHERE (user_id = '*'::text);
CREATE INDEX mentions_unread ON public.mentions USING btree (room_id COLLATE "POSIX", user_id, seq);

create table message_order (
  room_id text collate "C" not null,
  seq bigint not null,
  at timestamp with time zone not null,
  ordered_at timestamp with time zone not null,
  expired boolean not null default false,
  constraint message_order_pkey PRIMARY KEY (room_id, seq)
);
CREATE INDEX message_order_by_time ON public.message_order USING btree (room_id, at) WHERE (NOT expired);

create table message_search (
  room_id text collate "C" not null,
  seq bigint not null,
  at timestamp with time zone not null,
  words tsvector not null,
  constraint message_search_pkey PRIMARY KEY (room_id, seq)
);
CREATE INDEX message_search_by_time ON public.message_search USING btree (at);
CREATE INDEX message_search_keys ON public.message_search USING gin (search_keys(words, at)) WITH (fastupdate=off);

create table message_versions (
  room_id text collate "C" not null,
  seq bigint not null,
  version integer not null,
  body jsonb,
  edited_by text collate "C" not null,
  at timestamp with time zone not null,
  constraint message_versions_pkey PRIMARY KEY (room_id, seq, version)
);

create table messages (
  room_id text collate "C" not null,
  seq bigint not null,
  id uuid not null,
  rev bigint not null,
  sender_id text collate "C" not null,
  body jsonb,
  reply_to bigint,
  edited_at timestamp with time zone,
  deleted_at timestamp with time zone,
  created_at timestamp with time zone not null,
  changed boolean not null default false,
  thread bigint,
  pinned_at timestamp with time zone,
  pinned_by text collate "C",
  constraint messages_pkey PRIMARY KEY (room_id, seq)
);
CREATE UNIQUE INDEX messages_by_id ON public.messages USING btree (room_id COLLATE "POSIX", id);
CREATE INDEX messages_by_rev ON public.messages USING btree (room_id COLLATE "POSIX", rev);
CREATE INDEX messages_by_thread ON public.messages USING btree (room_id COLLATE "POSIX", thread, seq) WHERE (thread IS NOT NULL);
CREATE INDEX messages_pinned ON public.messages USING btree (room_id, pinned_at) WHERE (pinned_at IS NOT NULL);

create table node_confirmations (
  node text collate "C" not null,
  confirmed pg_snapshot not null,
  at timestamp with time zone not null default clock_timestamp(),
  constraint node_confirmations_pkey PRIMARY KEY (node)
);

create table notifications (
  id uuid not null,
  at timestamp with time zone not null,
  room_id text collate "C" not null,
  seq bigint not null,
  user_id text collate "C" not null,
  channel text not null,
  device text not null default ''::text,
  kind text not null,
  lane text not null,
  state text not null,
  reason text,
  attempts integer not null default 0,
  due_at timestamp with time zone not null default clock_timestamp(),
  queued_at timestamp with time zone,
  created_at timestamp with time zone not null default clock_timestamp(),
  updated_at timestamp with time zone not null default clock_timestamp(),
  error text,
  replays integer not null default 0,
  replayed_at timestamp with time zone,
  constraint notifications_kind_check CHECK ((kind = ANY (ARRAY['mention'::text, 'everybody'::text, 'direct'::text, 'thread'::text, 'message'::text]))),
  constraint notifications_lane_check CHECK ((lane = ANY (ARRAY['critical'::text, 'high'::text, 'normal'::text, 'low'::text, 'batch'::text]))),
  constraint notifications_pkey PRIMARY KEY (id, at),
  constraint notifications_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'sending'::text, 'unknown'::text, 'sent'::text, 'shown'::text, 'read'::text, 'failed'::text, 'dead'::text, 'dropped'::text])))
);
CREATE INDEX notifications_by_user ON ONLY public.notifications USING btree (user_id, at, room_id, seq);
CREATE INDEX notifications_dead ON ONLY public.notifications USING btree (updated_at, id) WHERE (state = 'dead'::text);
CREATE INDEX notifications_of_message ON ONLY public.notifications USING btree (room_id, seq, user_id);
CREATE INDEX notifications_unread ON ONLY public.notifications USING btree (user_id, room_id, seq) WHERE (state = ANY (ARRAY['waiting'::text, 'sending'::text, 'unknown'::text, 'sent'::text, 'shown'::text]));
CREATE INDEX notifications_waiting ON ONLY public.notifications USING btree (due_at) WHERE (state = ANY (ARRAY['waiting'::text, 'sending'::text, 'unknown'::text]));

create table notifications_rest (
  id uuid not null,
  at timestamp with time zone not null,
  room_id text collate "C" not null,
  seq bigint not null,
  user_id text collate "C" not null,
  channel text not null,
  device text not null default ''::text,
  kind text not null,
  lane text not null,
  state text not null,
  reason text,
  attempts integer not null default 0,
  due_at timestamp with time zone not null default clock_timestamp(),
  queued_at timestamp with time zone,
  created_at timestamp with time zone not null default clock_timestamp(),
  updated_at timestamp with time zone not null default clock_timestamp(),
  error text,
  replays integer not null default 0,
  replayed_at timestamp with time zone,
  constraint notifications_kind_check CHECK ((kind = ANY (ARRAY['mention'::text, 'everybody'::text, 'direct'::text, 'thread'::text, 'message'::text]))),
  constraint notifications_lane_check CHECK ((lane = ANY (ARRAY['critical'::text, 'high'::text, 'normal'::text, 'low'::text, 'batch'::text]))),
  constraint notifications_rest_pkey PRIMARY KEY (id, at),
  constraint notifications_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'sending'::text, 'unknown'::text, 'sent'::text, 'shown'::text, 'read'::text, 'failed'::text, 'dead'::text, 'dropped'::text])))
);
CREATE INDEX notifications_rest_due_at_idx ON public.notifications_rest USING btree (due_at) WHERE (state = ANY (ARRAY['waiting'::text, 'sending'::text, 'unknown'::text]));
CREATE INDEX notifications_rest_room_id_seq_user_id_idx ON public.notifications_rest USING btree (room_id, seq, user_id);
CREATE INDEX notifications_rest_updated_at_id_idx ON public.notifications_rest USING btree (updated_at, id) WHERE (state = 'dead'::text);
CREATE INDEX notifications_rest_user_id_at_room_id_seq_idx ON public.notifications_rest USING btree (user_id, at, room_id, seq);
CREATE INDEX notifications_rest_user_id_room_id_seq_idx ON public.notifications_rest USING btree (user_id, room_id, seq) WHERE (state = ANY (ARRAY['waiting'::text, 'sending'::text, 'unknown'::text, 'sent'::text, 'shown'::text]));

create table outbox (
  id bigint not null generated always as identity,
  entries jsonb not null,
  created_at timestamp with time zone not null default now(),
  relay text,
  fanned_out boolean not null default false,
  notified boolean not null default false,
  constraint outbox_pkey PRIMARY KEY (id),
  constraint outbox_relay_check CHECK ((relay = ANY (ARRAY['events'::text, 'mentions'::text])))
) with (fillfactor=50);

create table preferences (
  user_id text collate "C" not null,
  room_id text collate "C" not null default ''::text,
  document jsonb not null,
  wants_all boolean not null,
  updated_at timestamp with time zone not null default clock_timestamp(),
  constraint preferences_pkey PRIMARY KEY (user_id, room_id)
);
CREATE INDEX preferences_all ON public.preferences USING btree (room_id, user_id) WHERE wants_all;

create table reaction_counts (
  room_id text collate "C" not null,
  seq bigint not null,
  emoji text collate "C" not null,
  count integer not null,
  first_rev bigint not null,
  constraint reaction_counts_pkey PRIMARY KEY (room_id, seq, emoji)
) with (fillfactor=70);

create table reactions (
  room_id text collate "C" not null,
  seq bigint not null,
  user_id text collate "C" not null,
  emoji text collate "C" not null,
  created_at timestamp with time zone not null,
  constraint reactions_pkey PRIMARY KEY (room_id, seq, user_id, emoji)
);

create table revocations (
  id bigint not null generated always as identity,
  xid xid8 not null default pg_current_xact_id(),
  user_id text collate "C" not null,
  token text collate "C",
  session text collate "C",
  issued_before bigint,
  spared text collate "C",
  spared_session text collate "C",
  reason text not null,
  created_at timestamp with time zone not null default clock_timestamp(),
  expires_at timestamp with time zone,
  clock bigint,
  constraint revocations_pkey PRIMARY KEY (id),
  constraint revocations_reason_check CHECK ((reason = ANY (ARRAY['user'::text, 'operator'::text])))
);
CREATE INDEX revocations_by_expiry ON public.revocations USING btree (expires_at);
CREATE INDEX revocations_by_user ON public.revocations USING btree (user_id);
CREATE INDEX revocations_by_xid ON public.revocations USING btree (xid);

create table room_changes (
  xid xid8 not null default pg_current_xact_id(),
  room_id text collate "C" not null,
  change text not null,
  changed_by text collate "C" not null,
  at timestamp with time zone not null default clock_timestamp(),
  constraint room_changes_change_check CHECK ((change = ANY (ARRAY['updated'::text, 'archived'::text, 'unarchived'::text])))
);
CREATE INDEX room_changes_by_xid ON public.room_changes USING btree (xid);

create table rooms (
  id text collate "C" not null,
  kind text not null,
  name text,
  last_seq bigint not null default 0,
  last_rev bigint not null default 0,
  member_count integer not null default 0,
  created_by text collate "C" not null,
  created_at timestamp with time zone not null default now(),
  topic text,
  archived_at timestamp with time zone,
  retention_days integer,
  slow_mode_s integer not null default 0,
  senders text not null default 'all'::text,
  edit_window_s integer,
  first_seq bigint not null default 1,
  purged_rev bigint not null default 0,
  peer_id text collate "C",
  constraint rooms_kind_check CHECK ((kind = ANY (ARRAY['direct'::text, 'group'::text, 'channel'::text]))),
  constraint rooms_pkey PRIMARY KEY (id),
  constraint rooms_senders_check CHECK ((senders = ANY (ARRAY['all'::text, 'admins'::text])))
) with (fillfactor=70);
CREATE INDEX rooms_by_maker ON public.rooms USING btree (created_by);
CREATE INDEX rooms_by_words ON public.rooms USING gin (room_words(name, topic)) WHERE ((kind = 'channel'::text) AND (archived_at IS NULL));
CREATE INDEX rooms_open ON public.rooms USING btree (id) WHERE (kind = 'channel'::text);
CREATE INDEX rooms_that_expire ON public.rooms USING btree (id) WHERE ((retention_days IS NOT NULL) OR (first_seq > 1));

create table schema_functions (
  name text not null,
  checksum text not null,
  applied_at timestamp with time zone not null default now(),
  constraint schema_functions_pkey PRIMARY KEY (name)
);

create table schema_migrations (
  number integer not null,
  name text not null,
  checksum text not null,
  applied_at timestamp with time zone not null default now(),
  runs_beside integer,
  constraint schema_migrations_pkey PRIMARY KEY (number)
);

create table search_rooms (
  room_id text collate "C" not null,
  rev bigint not null default 0,
  language text not null,
  constraint search_rooms_pkey PRIMARY KEY (room_id)
);

create table slow_edits (
  room_id text collate "C" not null,
  user_id text collate "C" not null,
  at timestamp with time zone not null,
  constraint slow_edits_pkey PRIMARY KEY (room_id, user_id)
);
CREATE INDEX slow_edits_by_time ON public.slow_edits USING btree (at);
CREATE INDEX slow_edits_by_user ON public.slow_edits USING btree (user_id);

create table thread_follows (
  room_id text collate "C" not null,
  root bigint not null,
  user_id text collate "C" not null,
  read_seq bigint not null,
  followed_at timestamp with time zone not null,
  constraint thread_follows_pkey PRIMARY KEY (room_id, root, user_id)
) with (fillfactor=80);
CREATE INDEX thread_follows_by_user ON public.thread_follows USING btree (user_id, followed_at);

create table threads (
  room_id text collate "C" not null,
  root bigint not null,
  replies integer not null,
  last_reply_at timestamp with time zone not null,
  repliers text[] collate "C" not null,
  rev bigint not null,
  constraint threads_pkey PRIMARY KEY (room_id, root)
) with (fillfactor=70);

create table uploads (
  id uuid not null,
  owner_id text collate "C" not null,
  name text not null,
  type text,
  bytes bigint not null,
  state text not null default 'open'::text,
  created_at timestamp with time zone not null default clock_timestamp(),
  room_id text collate "C",
  message_id uuid,
  claimed_at timestamp with time zone,
  held_by uuid,
  held_until timestamp with time zone,
  constraint uploads_bytes_check CHECK ((bytes > 0)),
  constraint uploads_check CHECK (((room_id IS NULL) = (message_id IS NULL))),
  constraint uploads_check1 CHECK ((((state = 'open'::text) = (type IS NULL)) OR (state = 'removed'::text))),
  constraint uploads_pkey PRIMARY KEY (id),
  constraint uploads_state_check CHECK ((state = ANY (ARRAY['open'::text, 'complete'::text, 'removed'::text])))
);
CREATE INDEX uploads_by_owner ON public.uploads USING btree (owner_id);

create table users (
  id text collate "C" not null,
  name text,
  created_at timestamp with time zone not null default now(),
  avatar text,
  locale text,
  zone text,
  named_at timestamp with time zone,
  constraint users_pkey PRIMARY KEY (id)
);

create table wallet_nonces (
  nonce text not null,
  ends_at timestamp with time zone not null,
  constraint wallet_nonces_pkey PRIMARY KEY (nonce)
);
CREATE INDEX wallet_nonces_by_end ON public.wallet_nonces USING btree (ends_at);

create table webhook_changes (
  single boolean not null default true,
  constraint webhook_changes_pkey PRIMARY KEY (single),
  constraint webhook_changes_single_check CHECK (single)
);

create table webhook_deliveries (
  id uuid not null,
  n bigint not null generated always as identity,
  webhook uuid not null,
  room text collate "C",
  event text not null,
  rev bigint,
  body text not null,
  state text not null default 'waiting'::text,
  attempts integer not null default 0,
  replays integer not null default 0,
  due_at timestamp with time zone not null default clock_timestamp(),
  last_status integer,
  last_error text,
  created_at timestamp with time zone not null default clock_timestamp(),
  ended_at timestamp with time zone,
  constraint webhook_deliveries_pkey PRIMARY KEY (id),
  constraint webhook_deliveries_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'sending'::text, 'delivered'::text, 'dead'::text]))),
  constraint webhook_deliveries_webhook_fkey FOREIGN KEY (webhook) REFERENCES webhooks(id) ON DELETE CASCADE
);
CREATE INDEX webhook_deliveries_by_webhook ON public.webhook_deliveries USING btree (webhook, n);
CREATE INDEX webhook_deliveries_dead ON public.webhook_deliveries USING btree (ended_at, id) WHERE (state = 'dead'::text);
CREATE INDEX webhook_deliveries_due ON public.webhook_deliveries USING btree (due_at) WHERE (state = ANY (ARRAY['waiting'::text, 'sending'::text]));
CREATE INDEX webhook_deliveries_ended ON public.webhook_deliveries USING btree (ended_at) WHERE (ended_at IS NOT NULL);
CREATE INDEX webhook_deliveries_open ON public.webhook_deliveries USING btree (webhook, room, n) WHERE (state = ANY (ARRAY['waiting'::text, 'sending'::text]));

create table webhooks (
  id uuid not null,
  url text not null,
  events text[] not null,
  rooms text[] not null,
  format text not null,
  ordered boolean not null,
  secret bytea not null,
  previous_secret bytea,
  previous_until timestamp with time zone,
  state text not null default 'active'::text,
  reason text,
  failing_since timestamp with time zone,
  disabled_at timestamp with time zone,
  created_at timestamp with time zone not null default clock_timestamp(),
  rotated_at timestamp with time zone,
  constraint webhooks_check CHECK (((state = 'disabled'::text) = (reason IS NOT NULL))),
  constraint webhooks_check1 CHECK (((previous_secret IS NULL) = (previous_until IS NULL))),
  constraint webhooks_format_check CHECK ((format = ANY (ARRAY['standard'::text, 'cloudevents'::text]))),
  constraint webhooks_pkey PRIMARY KEY (id),
  constraint webhooks_reason_check CHECK ((reason = ANY (ARRAY['operator'::text, 'gone'::text, 'failing'::text, 'backlog'::text]))),
  constraint webhooks_state_check CHECK ((state = ANY (ARRAY['active'::text, 'disabled'::text])))
);

CREATE OR REPLACE FUNCTION public.add_member(room text, actor text, subject text, new_role text, max_members integer, max_rooms integer, rights jsonb)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
declare
  e record;
  was text;
begin
  select * into e from enter_room(room, actor, rights);
  select m.role into was from members m where m.room_id = room and m.user_id = subject;
  if e.refusal is not null then
    return e.refusal;
  elsif was is not null then
    return case when was = new_role then 'already' else 'another_role' end;
  elsif not may_give(rights, e.actor_role, new_role) then
    return 'forbidden';
  elsif has_blocked(subject, actor) or has_blocked(actor, subject) or exists (
    select from departures d where d.room_id = room and d.user_id = subject and d.left_at is not null) then
    return 'not_asked';
  end if;
  return admit(room, subject, new_role, max_members, max_rooms, 'added');
end $function$;

CREATE OR REPLACE FUNCTION public.admit(room text, subject text, new_role text, max_members integer, max_rooms integer, how text DEFAULT 'own'::text)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
declare
  mute timestamptz;
  sent timestamptz;
begin
  if exists (select from bans b where b.room_id = room and b.user_id = subject) then
    return 'banned';
  elsif (select r.member_count from rooms r where r.id = room) >= max_members
    or not may_have_more(subject, how, room, max_rooms) then
    return 'limit_reached';
  end if;
  insert into users (id) values (subject) on conflict do nothing;
  delete from kept_mutes k where k.room_id = room and k.user_id = subject returning k.muted_until into mute;
  delete from departures d where d.room_id = room and d.user_id = subject returning d.last_sent_at into sent;
  -- messages from before the join do not count as unread
  insert into members (room_id, user_id, role, last_read_seq, muted_until, last_sent_at, via)
  select room, subject, new_role, r.last_seq, case when new_role in ('member', 'guest') then mute end, sent, how
  from rooms r where r.id = room;
  update rooms r set member_count = r.member_count + 1 where r.id = room;
  delete from invitations i where i.room_id = room and i.user_id = subject;
  delete from invitation_rests x where x.room_id = room and x.user_id = subject;
  return 'joined';
end $function$;

CREATE OR REPLACE FUNCTION public.answer_invitation(room text, subject text, accept boolean, rest interval, max_members integer, max_rooms integer, OUT outcome text, OUT given_role text, OUT inviter text)
 RETURNS record
 LANGUAGE plpgsql
AS $function$
declare
  r rooms;
begin
  if not exists (select from invitations i where i.room_id = room and i.user_id = subject) then
    outcome := 'not_found';
    return;
  end if;
  select * into r from rooms x where x.id = room for no key update;
  if not found then
    outcome := 'not_found';
    return;
  end if;
  select i.role, i.invited_by into given_role, inviter from invitations i
  where i.room_id = room and i.user_id = subject and i.expires_at > now() and not has_blocked(subject, i.invited_by);
  if not found then
    outcome := 'not_found';
  elsif not accept then
    delete from invitations i where i.room_id = room and i.user_id = subject;
    insert into invitation_rests (room_id, user_id, declined, rests_until)
    values (room, subject, true, clock_timestamp() + rest)
    on conflict (room_id, user_id) do update set declined = true, rests_until = excluded.rests_until;
    outcome := 'declined';
  elsif r.archived_at is not null then
    outcome := 'archived';
  else
    if not exists (
      select from members m where m.room_id = room and m.user_id = inviter and m.role in ('owner', 'admin')) then
      given_role := returning_role(room, subject, given_role);
    end if;
    outcome := admit(
      room, subject, given_role, max_members, max_rooms,
      case when r.kind = 'direct' and r.created_by <> subject then 'peer' else 'own' end);
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.append_messages(room_ids text[], batch jsonb, handed bigint[])
 RETURNS TABLE(n integer, outcome text, seq bigint, rev bigint, sent_at timestamp with time zone, outbox_id bigint)
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_sort TO 'off'
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
declare
  committed_at timestamptz;
  any_slow boolean;
  slowed integer[] := '{}';
  ahead jsonb;
  entered text[];
  closed jsonb; -- the rooms that are not locked, as its keys; null: there is none
begin
  if cardinality(handed) > 0 then
    perform mark_published(handed);
  end if;
  select array_agg(distinct m.room_id) into entered
  from jsonb_array_elements(batch) as e (v)
  join members m on m.room_id = e.v ->> 0 and m.user_id = e.v ->> 2;
  if cardinality(entered) is distinct from cardinality(room_ids) then
    -- the rooms of published messages, whose senders need not be members
    select array_agg(u.id) into entered from (
      select unnest(entered)
      union
      select e.v ->> 0 from jsonb_array_elements(batch) as e (v) where e.v ->> 6 is not null
    ) as u (id);
    select jsonb_object_agg(u.id, true) into closed
    from (select unnest(room_ids) except select unnest(entered)) as u (id);
  end if;
  select bool_or(l.slow_mode_s > 0) into any_slow
  from (select slow_mode_s from rooms where id = any (entered) order by id for no key update) l;
  committed_at := date_trunc('milliseconds', clock_timestamp());
  -- A separate statement sees the commits that the lock waited for. Each room costs one lookup. The result is null
  -- unless a clock went back.
  select jsonb_object_agg(l.id, l.at) into ahead
  from (
    select u.id, coalesce(o.ordered_at, x.created_at) as at
    from unnest(entered) as u (id)
    cross join lateral (
      select m.seq, m.created_at from messages m where m.room_id = u.id order by m.seq desc limit 1
    ) x
    left join message_order o on o.room_id = u.id and o.seq = x.seq and x.created_at > committed_at
    where x.created_at > committed_at
  ) l
  where l.at > committed_at;
  if any_slow then
    slowed := slow_down(batch, committed_at);
  end if;
  return query
  with input as materialized (
    select e.n::integer as n, e.v ->> 0 as room_id, (e.v ->> 1)::uuid as id, e.v ->> 2 as sender_id, e.v -> 3 as body,
      (e.v ->> 4)::bigint as reply_to, e.v ->> 5 as lane, e.v ->> 6 is not null as published
    from jsonb_array_elements(batch) with ordinality as e (v, n)
  ), judged as (
    select i.*, r.last_seq, r.last_rev, d.seq as old_seq, d.rev as old_rev, d.created_at as old_at,
      m.muted_until, m.last_sent_at, r.slow_mode_s,
      case
        when r.id is null then 'not_found'
        when (m.role is null or closed ? i.room_id) and not i.published then
          case when r.kind = 'channel' then 'not_member' else 'not_found' end
        when m.role = 'guest' and not i.published then 'forbidden'
        when d.seq is not null then case when d.sender_id = i.sender_id then 'duplicate' else 'conflict' end
        when r.archived_at is not null then 'archived'
        when m.muted_until > committed_at and not i.published then 'muted'
        when r.senders = 'admins' and m.role = 'member' and not i.published then 'admins_only'
        when i.reply_to > r.last_seq then 'no_reply_target'
        when i.n = any (slowed) then 'slow'
        else 'fresh'
      end as outcome
    from input i
    left join rooms r on r.id = i.room_id
    left join members m on m.room_id = i.room_id and m.user_id = i.sender_id
    left join lateral (
      select x.seq, x.rev, x.created_at, x.sender_id from messages x
      where x.room_id collate "POSIX" = i.room_id and x.id >= i.id and x.id <= i.id order by x.id limit 1
    ) d on true
  ), numbered as materialized (
    select *, count(*) filter (where outcome = 'fresh') over (partition by room_id order by n) as step from judged
  ), inserted as (
    insert into messages (room_id, seq, id, rev, sender_id, body, reply_to, created_at)
    select room_id, last_seq + step, id, last_rev + step, sender_id, body, reply_to,
      greatest(committed_at, (ahead ->> room_id)::timestamptz)
    from numbered where outcome = 'fresh'
  ), moved as (
    select room_id, count(*) as steps, min(last_rev) as before, min(last_seq) + 1 as first,
      jsonb_object_agg(last_seq + step, lane) filter (where lane is not null) as lanes
    from numbered where outcome = 'fresh' group by room_id
  ), bumped as (
    update rooms set last_seq = last_seq + steps, last_rev = last_rev + steps from moved where id = moved.room_id
  ), noted as (
    insert into outbox (entries)
    select jsonb_agg(jsonb_build_object(
      'room', room_id, 'from', before + 1, 'to', before + steps, 'seq', first, 'lanes', lanes))
    from moved having count(*) > 0
    returning id
  )
  select s.n, s.outcome,
    case s.outcome when 'fresh' then s.last_seq + s.step else s.old_seq end,
    case s.outcome when 'fresh' then s.last_rev + s.step else s.old_rev end,
    case s.outcome
      when 'fresh' then greatest(committed_at, (ahead ->> s.room_id)::timestamptz)
      when 'muted' then nullif(s.muted_until, 'infinity')
      when 'slow' then s.last_sent_at + s.slow_mode_s * interval '1 second'
      else s.old_at
    end,
    (select id from noted)
  from numbered s
  order by s.n;
end $function$;

CREATE OR REPLACE FUNCTION public.archive_room(room text, actor text, archive boolean, rights jsonb)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
declare
  e record;
begin
  select * into e from enter_room(room, actor, rights);
  if e.refusal is not null then
    return e.refusal;
  end if;
  update rooms r set archived_at = case when archive then date_trunc('milliseconds', clock_timestamp()) end
  where r.id = room and (r.archived_at is null) = archive;
  return case when found then 'updated' else 'unchanged' end;
end $function$;

CREATE OR REPLACE FUNCTION public.ask_peer(room text, actor text, subject text, valid interval, user_max integer)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
declare
  is_resting boolean;
begin
  perform from rooms r where r.id = room for no key update;
  select x.declined into is_resting from invitation_rests x
  where x.room_id = room and x.user_id = subject and x.rests_until > now();
  if is_resting or not exists (select from members m where m.room_id = room and m.user_id = actor)
    or exists (select from members m where m.room_id = room and m.user_id = subject)
    or (select count(*) from invitations i
        where i.user_id = subject and i.room_id <> room and i.expires_at > now() and not has_blocked(subject, i.invited_by)
       ) >= user_max then
    return false;
  end if;
  insert into invitations (room_id, user_id, role, invited_by, expires_at)
  values (room, subject, 'member', actor, clock_timestamp() + valid)
  on conflict (room_id, user_id) do update set
    role = excluded.role, invited_by = excluded.invited_by, at = clock_timestamp(), expires_at = excluded.expires_at;
  if is_resting is not null or has_blocked(subject, actor) then
    return false;
  end if;
  insert into invitation_rests (room_id, user_id, declined, rests_until)
  values (room, subject, false, clock_timestamp() + interval '1 day')
  on conflict (room_id, user_id) do update set declined = false, rests_until = excluded.rests_until;
  return true;
end $function$;

CREATE OR REPLACE FUNCTION public.ban_user(room text, actor text, subject text, why text, max_bans integer, rights jsonb, OUT outcome text, OUT removed boolean)
 RETURNS record
 LANGUAGE plpgsql
AS $function$
declare
  e record;
  was text;
begin
  removed := false;
  select * into e from enter_room(room, actor, rights);
  select m.role into was from members m where m.room_id = room and m.user_id = subject;
  if e.refusal is not null then
    outcome := e.refusal;
    return;
  elsif was is not null and not is_below(rights, e.actor_role, was) then
    outcome := 'forbidden';
    return;
  elsif exists (select from bans b where b.room_id = room and b.user_id = subject) then
    outcome := 'already';
    return;
  elsif (select count(*) from bans b where b.room_id = room) >= max_bans then
    outcome := 'limit_reached';
    return;
  end if;
  insert into bans (room_id, user_id, banned_by, reason) values (room, subject, actor, why);
  delete from invitations i where i.room_id = room and (i.user_id = subject or i.invited_by = subject);
  if was is not null then
    perform put_out(room, subject);
    removed := true;
  end if;
  outcome := 'banned';
end $function$;

CREATE OR REPLACE FUNCTION public.block_user(actor text, subject text, pair text, max_blocks integer)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
begin
  perform pg_advisory_xact_lock(hashtextextended('parley:blocks:' || actor, 0));
  perform pg_advisory_xact_lock(hashtextextended('parley:pair:' || pair, 0));
  if has_blocked(actor, subject) then
    return 'already';
  elsif (select count(*) from blocks b where b.user_id = actor) >= max_blocks then
    return 'limit_reached';
  end if;
  insert into blocks (user_id, blocked_id) values (actor, subject);
  return coalesce((select l.outcome from remove_member(pair, actor) l where l.outcome = 'left'), 'blocked');
end $function$;

CREATE OR REPLACE FUNCTION public.cancel_invitation(room text, actor text, subject text, rights jsonb)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
declare
  e record;
begin
  select * into e from enter_room(room, actor, rights);
  if e.refusal is not null then
    return e.refusal;
  end if;
  delete from invitations i where i.room_id = room and i.user_id = subject
    and (i.invited_by = actor or is_below(rights, e.actor_role, 'member'));
  return case when found then 'cancelled' else 'no_subject' end;
end $function$;

CREATE OR REPLACE FUNCTION public.change_messages(room_ids text[], batch jsonb, handed bigint[], window_ms bigint, max_kinds integer, max_versions integer)
 RETURNS TABLE(n integer, outcome text, rev bigint, at timestamp with time zone, total integer, outbox_id bigint, id uuid, sender_id text, name text, reply_to bigint, sent_at timestamp with time zone, edited_at timestamp with time zone, reactions text)
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
declare
  part record;
  change record;
  room_kind text;
  archived timestamptz;
  room_window_ms bigint;
  first bigint;
  actor_role text;
  muted timestamptz;
  base bigint;
  head bigint;
  m messages;
  entries jsonb := '[]';
  noted bigint; -- the outbox row's id; the row is written last
  committed_at timestamptz;
  entered text[];
  locked boolean;
begin
  if cardinality(handed) > 0 then
    perform mark_published(handed);
  end if;
  select array_agg(p.v ->> 0) into entered
  from jsonb_array_elements(batch) as p (v)
  where exists (
    select from jsonb_array_elements(p.v -> 1) as c (v)
    join members x on x.room_id = p.v ->> 0 and x.user_id = c.v ->> 3);
  perform from rooms where id = any (entered) order by id for no key update;
  committed_at := date_trunc('milliseconds', clock_timestamp());
  noted := nextval(pg_get_serial_sequence('outbox', 'id'));
  for part in select p.v ->> 0 as room_id, p.v -> 1 as changes from jsonb_array_elements(batch) as p (v) loop
    select r.kind, r.last_rev, r.archived_at, coalesce(r.edit_window_s * 1000::bigint, window_ms), r.first_seq
    into room_kind, base, archived, room_window_ms, first from rooms r where r.id = part.room_id;
    head := base;
    locked := coalesce(part.room_id = any (entered), false);
    for change in
      select (c.v ->> 0)::integer as n, c.v ->> 1 as kind, (c.v ->> 2)::bigint as seq, c.v ->> 3 as actor,
        c.v -> 4 as body, c.v ->> 4 as emoji, (c.v ->> 5)::bigint as seen
      from jsonb_array_elements(part.changes) as c (v)
    loop
      n := change.n;
      outbox_id := null; total := null; id := null; sender_id := null; name := null; reply_to := null; sent_at := null; edited_at := null;
      reactions := null; rev := null; at := null;
      select x.role, x.muted_until into actor_role, muted from members x where x.room_id = part.room_id and x.user_id = change.actor;
      if base is null then
        outcome := 'not_found';
      elsif actor_role is null or not locked then
        outcome := case when room_kind = 'channel' then 'not_member' else 'not_found' end;
      elsif actor_role = 'guest' then
        outcome := 'forbidden';
      elsif archived is not null then
        outcome := 'archived';
      elsif muted > committed_at and change.kind in ('edit', 'add') then
        outcome := 'muted';
        at := nullif(muted, 'infinity');
      else
        select * into m from messages t where t.room_id = part.room_id and t.seq = change.seq and t.seq >= first;
        if not found then
          outcome := 'not_found';
        elsif change.seen <> m.rev and (change.kind = 'edit' and m.body is distinct from change.body
          or change.kind = 'delete' and m.deleted_at is null) then
          outcome := 'stale';
        elsif change.kind = 'edit' then
          outcome := edit_message(
            m, change.actor, actor_role, change.body, head + 1, committed_at, room_window_ms, max_versions);
        elsif change.kind = 'delete' then
          outcome := delete_message(m, change.actor, actor_role, head + 1, committed_at, max_versions);
        else
          select x.outcome, x.total into outcome, total
          from react(m, change.actor, change.emoji, change.kind = 'add', head + 1, committed_at, max_kinds) as x;
        end if;
      end if;
      if outcome = 'changed' then
        head := head + 1;
        outbox_id := noted;
        rev := head;
        at := committed_at;
        id := m.id;
        if change.kind = 'edit' then
          sender_id := m.sender_id;
          reply_to := m.reply_to;
          sent_at := m.created_at;
          edited_at := committed_at;
          select u.name into name from users u where u.id = m.sender_id;
          select '[' || string_agg(
            '{"emoji":' || to_json(c.emoji)::text || ',"count":' || c.count || '}', ',' order by c.first_rev) || ']'
          into reactions from reaction_counts c where c.room_id = m.room_id and c.seq = m.seq;
        end if;
      elsif outcome = 'unchanged' then
        rev := m.rev;
        at := coalesce(m.deleted_at, m.edited_at, m.created_at);
      end if;
      return next;
    end loop;
    if head > base then
      update rooms r set last_rev = head where r.id = part.room_id;
      entries := entries || jsonb_build_object('room', part.room_id, 'from', base + 1, 'to', head, 'lanes', null);
    end if;
  end loop;
  if entries <> '[]' then
    insert into outbox (id, entries) overriding system value values (noted, entries);
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.check_published(room text, id uuid, sender text, body jsonb, reply_to bigint, lane text)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
#variable_conflict use_variable
declare
  fault text;
  secret jsonb;
begin
  fault := case
    when room is null or room !~ '^[A-Za-z0-9_.:-]{1,64}$' then 'room: this is not the id of a room.'
    when id is null then 'id: expected a UUID.'
    when sender is null or sender !~ '^[A-Za-z0-9_.:@|+-]{1,64}$' then 'sender: this is not a user id.'
    when body is null or body = 'null' then 'body: expected JSON other than null.'
    when reply_to < 1 then 'reply_to: expected the seq of a message.'
    when lane not in ('critical', 'high', 'normal', 'low', 'batch') then
      'lane: expected critical, high, normal, low or batch.'
  end;
  if fault is not null then
    raise exception using errcode = 'invalid_parameter_value', message = fault;
  elsif octet_length(body::text) > 16384 and (octet_length(body::text) > 32768 or json_size(body) > 16384) then
    raise exception using errcode = 'program_limit_exceeded', message = 'body: over 16384 bytes.';
  end if;
  secret := case when jsonb_typeof(body) = 'object' then body -> 'encrypted' end;
  fault := case
    -- 33 levels take 66 characters at least
    when octet_length(body::text) >= 66 and jsonb_path_exists(
      body, 'strict $.**{32} ? (@.type() == "object" || @.type() == "array")') then
      'body: nested deeper than 32 levels.'
    when octet_length(body::text) > 308 and jsonb_path_exists(
      body, 'strict $.** ? (@.type() == "number" && (@ > 1.7976931348623157e308 || @ < -1.7976931348623157e308))') then
      'body: a number is too large.'
    when jsonb_typeof(body) <> 'object' then null
    when body ? 'attachments' then
      'body.attachments: only a node knows the hosts of attachments; publish such a message by REST.'
    when body ? 'files' then
      'body.files: only a node gives uploads to a message; publish such a message by REST.'
    when body ? 'mentions' and not coalesce(jsonb_typeof(body -> 'mentions') = 'array' and not jsonb_path_exists(
      body, 'strict $.mentions[*] ? (@.type() != "string" || !(@ like_regex "^(@room|[A-Za-z0-9_.:@|+-]{1,64})$"))')
      and jsonb_array_length(body -> 'mentions') <= 50, false) then
      'body.mentions: expected a list of at most 50 user ids.'
    when secret is null then null
    when body ? 'text' then 'body: what is encrypted has no `text` beside it.'
    when jsonb_typeof(secret) <> 'object'
      or coalesce(jsonb_typeof(secret -> 'alg') <> 'string' or secret ->> 'alg' !~ '^[A-Za-z0-9][A-Za-z0-9_.:+/-]{0,63}$', true)
      or coalesce(jsonb_typeof(secret -> 'kid') <> 'string' or secret ->> 'kid' !~ '^[\x21-\x7e]{1,128}$', true) then
      'body.encrypted: expected an object with alg and kid.'
  end;
  if fault is not null then
    raise exception using errcode = 'invalid_parameter_value', message = fault;
  elsif secret is not null and json_size(secret) > 15360 then
    raise exception using errcode = 'program_limit_exceeded', message = 'body.encrypted: over 15360 bytes.';
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.close_room(room text, actor text)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
declare
  maker text;
begin
  delete from rooms r where r.id = room returning r.created_by into maker;
  insert into deleted_rooms (id, deleted_by, made_by) values (room, actor, maker)
  on conflict (id) do update set
    deleted_by = excluded.deleted_by, made_by = excluded.made_by, deleted_at = clock_timestamp(), purged_at = null;
  insert into membership_changes (room_id, user_id) values (room, '*');
end $function$;

CREATE OR REPLACE FUNCTION public.correct_revocation(its_id bigint, issuer_clock bigint)
 RETURNS bigint
 LANGUAGE sql
AS $function$
  update revocations
  set clock = greatest(clock, issuer_clock), issued_before = issuer_second(created_at, greatest(clock, issuer_clock))
  where id = its_id and issued_before is not null
  returning issued_before
$function$;

CREATE OR REPLACE FUNCTION public.create_room(room text, room_kind text, room_name text, creator text, peer text, max_rooms integer, asking boolean DEFAULT false)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
declare
  r rooms;
  alone boolean;
  entered text;
begin
  insert into users (id) values (creator) on conflict do nothing;
  if room_kind = 'direct' then
    perform pg_advisory_xact_lock(hashtextextended('parley:pair:' || room, 0));
    if has_blocked(creator, peer) then
      return 'blocked';
    end if;
    select * into r from rooms x where x.id = room for no key update;
    if r.id is not null then
      if r.peer_id is null and r.created_by in (creator, peer) then
        update rooms x set peer_id = case r.created_by when creator then peer else creator end where x.id = room;
      end if;
      if exists (select from members m where m.room_id = room and m.user_id = creator) then
        return case when r.member_count < 2 then 'exists_alone' else 'exists' end;
      end if;
      entered := admit(
        room, creator, 'member', 2, max_rooms, case when r.created_by = creator then 'own' else 'peer' end);
      return case when entered <> 'joined' then entered when r.member_count = 0 then 'returned_alone' else 'returned' end;
    end if;
  end if;
  if not may_have_more(creator, 'own', room, max_rooms) then
    return 'limit_reached';
  end if;
  alone := peer is null or asking or has_blocked(peer, creator) or not may_have_more(peer, 'peer', room, max_rooms);
  insert into rooms (id, kind, name, created_by, peer_id, member_count)
  values (room, room_kind, room_name, creator, peer, case when alone then 1 else 2 end)
  on conflict (id) do nothing;
  if not found then
    if exists (select from rooms x join members m on m.room_id = x.id and m.user_id = creator
               where x.id = room and x.kind = room_kind and x.created_by = creator) then
      return 'exists';
    end if;
    return 'conflict';
  end if;
  -- the check follows the insert, which waits for a deletion that is under way
  if exists (select from deleted_rooms d where d.id = room) then
    delete from rooms x where x.id = room;
    return 'conflict';
  end if;
  if not alone then
    insert into users (id) values (peer) on conflict do nothing;
    insert into members (room_id, user_id, role, via) values (room, peer, 'member', 'peer');
  end if;
  insert into members (room_id, user_id, role)
  values (room, creator, case when room_kind = 'direct' then 'member' else 'owner' end);
  return case when room_kind = 'direct' and alone then 'created_alone' else 'created' end;
end $function$;

CREATE OR REPLACE FUNCTION public.create_upload(upload uuid, owner text, file_name text, file_bytes bigint, most_open integer, most_bytes bigint)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
declare
  unfinished int;
  total bigint;
begin
  perform pg_advisory_xact_lock(hashtextextended('parley:uploads:' || owner, 0));
  select count(*) filter (where u.state = 'open'), coalesce(sum(u.bytes), 0) into unfinished, total
  from uploads u where u.owner_id = owner and u.state <> 'removed';
  if unfinished >= most_open then
    return 'open';
  end if;
  if total + file_bytes > most_bytes then
    return 'bytes';
  end if;
  insert into uploads (id, owner_id, name, bytes) values (upload, owner, file_name, file_bytes);
  return 'ok';
end $function$;

CREATE OR REPLACE FUNCTION public.delete_expired(room text, most integer, OUT removed integer, OUT remain boolean, OUT changed boolean)
 RETURNS record
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
declare
  first bigint;
  purged bigint;
  gone bigint[];
begin
  select r.first_seq, r.purged_rev into first, purged from rooms r where r.id = room;
  select coalesce(array_agg(v.seq), '{}') into gone
  from (
    select t.seq from messages t where t.room_id = room and t.seq < first and t.rev <= purged
    order by t.seq limit most for update skip locked
  ) v;
  gone := remove_messages(room, gone, purged);
  removed := cardinality(gone);
  remain := exists (select from messages where room_id = room and seq < first);
  -- the check reads all remaining rows, and so runs only if the call removed none
  changed := removed = 0 and exists (select from messages where room_id = room and seq < first and rev > purged);
  if removed > 0 or not remain then
    delete from message_order o
    where o.room_id = room and o.seq < first and (not remain or o.seq <= (select max(g) from unnest(gone) as g));
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.delete_message(m messages, actor text, actor_role text, next_rev bigint, changed_at timestamp with time zone, max_versions integer)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
begin
  if m.sender_id <> actor and actor_role not in ('owner', 'admin') then
    return 'forbidden';
  elsif m.deleted_at is not null then
    return 'unchanged';
  end if;
  if m.changed then
    delete from reactions r where r.room_id = m.room_id and r.seq = m.seq;
    delete from reaction_counts c where c.room_id = m.room_id and c.seq = m.seq;
    update message_versions v set body = null where v.room_id = m.room_id and v.seq = m.seq;
  end if;
  perform keep_version(m, null, actor, changed_at, max_versions);
  update messages t set body = null, rev = next_rev, deleted_at = changed_at, changed = true
  where t.room_id = m.room_id and t.seq = m.seq;
  return 'changed';
end $function$;

CREATE OR REPLACE FUNCTION public.delete_room(room text, actor text, rights jsonb)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
declare
  e record;
begin
  select * into e from enter_room(room, actor, rights);
  if e.refusal is not null then
    return e.refusal;
  end if;
  perform close_room(room, actor);
  return 'deleted';
end $function$;

CREATE OR REPLACE FUNCTION public.edit_message(m messages, actor text, actor_role text, new_body jsonb, next_rev bigint, changed_at timestamp with time zone, window_ms bigint, max_versions integer)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
declare
  pause interval;
  free_at timestamptz;
begin
  if m.deleted_at is not null then
    return 'not_found';
  elsif m.sender_id <> actor and actor_role not in ('owner', 'admin') then
    return 'forbidden';
  elsif m.body = new_body then
    return 'unchanged';
  elsif actor_role = 'member' and exists (select from rooms r where r.id = m.room_id and r.senders = 'admins') then
    return 'forbidden';
  elsif actor_role not in ('owner', 'admin') and window_ms > 0
    and changed_at > m.created_at + window_ms * interval '1 millisecond' then
    return 'too_late';
  end if;
  if actor_role = 'member' then
    select r.slow_mode_s * interval '1 second' into pause from rooms r where r.id = m.room_id and r.slow_mode_s > 0;
    if pause is not null then
      select s.at + pause into free_at from slow_edits s where s.room_id = m.room_id and s.user_id = actor;
      if free_at > changed_at then
        return 'slow:' || ceil(extract(epoch from free_at - changed_at) * 1000)::bigint;
      end if;
      insert into slow_edits (room_id, user_id, at) values (m.room_id, actor, changed_at)
      on conflict (room_id, user_id) do update set at = excluded.at;
    end if;
  end if;
  perform keep_version(m, m.body, actor, changed_at, max_versions);
  update messages t set body = new_body, rev = next_rev, edited_at = changed_at, changed = true
  where t.room_id = m.room_id and t.seq = m.seq;
  return 'changed';
end $function$;

CREATE OR REPLACE FUNCTION public.enter_room(room text, actor text, rights jsonb, OUT refusal text, OUT room_kind text, OUT actor_role text)
 RETURNS record
 LANGUAGE plpgsql
AS $function$
declare
  archived timestamptz;
  muted timestamptz;
begin
  select r.kind, m.role into room_kind, actor_role
  from rooms r left join members m on m.room_id = r.id and m.user_id = actor where r.id = room;
  if actor_role is null and not coalesce(rights -> 'may' -> room_kind ? 'nobody', false) then
    refusal := case when room_kind = 'channel' then 'not_member' else 'not_found' end;
    return;
  end if;
  select r.kind, r.archived_at into room_kind, archived from rooms r where r.id = room for no key update;
  if not found then
    refusal := 'not_found';
    return;
  end if;
  select m.role, m.muted_until into actor_role, muted from members m where m.room_id = room and m.user_id = actor;
  if not coalesce(rights -> 'may' -> room_kind ? coalesce(actor_role, 'nobody'), false) then
    refusal := case
      when actor_role is not null then 'forbidden'
      when room_kind = 'channel' then 'not_member'
      else 'not_found'
    end;
  elsif archived is not null and not (rights -> 'archived')::boolean then
    refusal := 'archived';
  elsif muted > now() and not coalesce((rights -> 'muted')::boolean, true) then
    refusal := 'actor_muted';
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.expire_late(room text, cutoff timestamp with time zone, most integer, OUT removed integer, OUT rev bigint, OUT outbox_id bigint)
 RETURNS record
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
declare
  head bigint;
  gone bigint[];
begin
  select r.last_rev + 1 into head from rooms r where r.id = room for no key update;
  select coalesce(array_agg(v.seq), '{}') into gone
  from (
    select m.seq from message_order o
    join rooms r on r.id = room
    join messages m on m.room_id = o.room_id and m.seq = o.seq
    where o.room_id = room and not o.expired and o.at < cutoff and o.seq >= r.first_seq
    limit most for update of m skip locked
  ) v;
  gone := remove_messages(room, gone, head);
  removed := cardinality(gone);
  if removed = 0 then
    return;
  end if;
  rev := head;
  update message_order o set expired = true where o.room_id = room and o.seq = any (gone);
  update rooms r set last_rev = head, purged_rev = head where r.id = room;
  insert into outbox (entries)
  values (jsonb_build_array(jsonb_build_object('room', room, 'from', head, 'to', head, 'lanes', null)))
  returning id into outbox_id;
end $function$;

CREATE OR REPLACE FUNCTION public.expire_messages(room text, first bigint, redo boolean, OUT rev bigint, OUT outbox_id bigint)
 RETURNS record
 LANGUAGE plpgsql
AS $function$
begin
  update rooms set first_seq = greatest(first_seq, first), last_rev = last_rev + 1, purged_rev = last_rev + 1
  where id = room and first <= last_seq + 1 and (first_seq < first or redo)
  returning last_rev into rev;
  if rev is not null then
    insert into outbox (entries)
    values (jsonb_build_array(jsonb_build_object('room', room, 'from', rev, 'to', rev, 'lanes', null)))
    returning id into outbox_id;
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.find_thread()
 RETURNS trigger
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
AS $function$
begin
  select coalesce(p.thread, p.seq) into new.thread from messages p
  where p.room_id = new.room_id and p.seq = new.reply_to;
  new.thread := coalesce(new.thread, new.reply_to);
  return new;
end $function$;

CREATE OR REPLACE FUNCTION public.first_kept(room text, cutoff timestamp with time zone, start bigint, most integer, OUT first bigint, OUT more boolean)
 RETURNS record
 LANGUAGE plpgsql
 STABLE
 SET enable_seqscan TO 'off'
 SET enable_sort TO 'off'
AS $function$
declare
  passed integer;
begin
  select min(p.seq) filter (where p.kept), coalesce(max(p.seq) + 1, start), count(*)
  into first, start, passed
  from (
    select w.seq, w.created_at >= cutoff and not exists (
      select from message_order o where o.room_id = room and o.seq = w.seq and o.ordered_at < cutoff) as kept
    from (
      select m.seq, m.created_at from messages m where m.room_id = room and m.seq >= start order by m.seq limit most
    ) w
  ) p;
  more := first is null and passed = most;
  first := coalesce(first, start);
end $function$;

CREATE OR REPLACE FUNCTION public.first_since(room text, moment timestamp with time zone)
 RETURNS bigint
 LANGUAGE plpgsql
 STABLE
 SET enable_seqscan TO 'off'
AS $function$
declare
  low bigint;
  high bigint;
  middle bigint;
  sent timestamptz;
  start bigint;
  mixed boolean := exists (select from message_order o where o.room_id = room);
begin
  select first_seq, last_seq + 1 into start, high from rooms where id = room;
  low := start;
  while low < high loop
    middle := (low + high) / 2;
    sent := null;
    if mixed then
      select o.ordered_at into sent from message_order o where o.room_id = room and o.seq = middle;
    end if;
    if sent is null then
      select m.created_at into sent from messages m where m.room_id = room and m.seq = middle;
    end if;
    if sent >= moment then
      high := middle;
    else
      low := middle + 1;
    end if;
  end loop;
  if mixed then
    -- a time in the future, which counts as an earlier one in the order
    low := least(low, (
      select min(o.seq) from message_order o
      where o.room_id = room and o.at >= moment and o.seq >= start and not o.expired));
  end if;
  return low;
end $function$;

CREATE OR REPLACE FUNCTION public.give_owner(room text)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
declare
  heir text;
begin
  if exists (select from members m where m.room_id = room and m.role = 'owner') then
    return null;
  end if;
  update members m set role = 'owner', muted_until = null
  where m.room_id = room and m.user_id = (
    select x.user_id from members x join rooms r on r.id = x.room_id
    where x.room_id = room and (x.role in ('admin', 'member') and r.kind <> 'direct' or r.kind = 'group')
    order by x.role = 'guest', coalesce(x.muted_until > now(), false), x.role, x.joined_at, x.user_id limit 1)
  returning m.user_id into heir;
  return heir;
end $function$;

CREATE OR REPLACE FUNCTION public.has_blocked(blocker text, other text)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  select exists (select from blocks b where b.user_id = blocker and b.blocked_id = other offset 0)
$function$;

CREATE OR REPLACE FUNCTION public.index_messages(room_ids text[], lang text, most integer)
 RETURNS TABLE(room text, indexed integer, more boolean)
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
declare
  head bigint;
  reached bigint;
  seqs bigint[];
  top bigint;
begin
  insert into search_rooms (room_id, language)
  select id, lang from rooms where id = any (room_ids) order by id on conflict do nothing;
  for room, reached in
    select s.room_id, s.rev from search_rooms s where s.room_id = any (room_ids) order by s.room_id for no key update
  loop
    select last_rev into head from rooms where id = room;
    select array_agg(p.seq), max(p.rev), count(*) into seqs, top, indexed from (
      select t.seq, t.rev from messages t
      where t.room_id collate "POSIX" = room and t.rev > reached order by t.rev limit most
    ) p;
    perform from message_search x where x.room_id = room and x.seq = any (seqs) order by x.seq for update;
    -- a message that has got a later rev meanwhile comes again
    with changed as materialized (
      select t.seq, t.sender_id, t.created_at, search_text(t.body) as content
      from messages t where t.room_id = room and t.seq = any (seqs)
    ), dropped as (
      delete from message_search x using changed c
      where c.content is null and x.room_id = room and x.seq = c.seq
    )
    insert into message_search (room_id, seq, at, words)
    select room, c.seq, c.created_at,
      search_words(lang, c.content) || array_to_tsvector(array[E'\x01r' || room, E'\x01u' || c.sender_id])
    from changed c where c.content is not null order by c.seq
    on conflict (room_id, seq) do update set words = excluded.words;
    reached := coalesce(top, reached);
    more := indexed = most;
    -- a page that is not full has all messages up to the head, which was read before the page. A message with a later
    -- rev may come again, which does no harm
    update search_rooms s set rev = case when more then reached else greatest(head, reached) end, language = lang
    where s.room_id = room;
    return next;
  end loop;
end $function$;

CREATE OR REPLACE FUNCTION public.installation_state()
 RETURNS TABLE(id uuid, epoch uuid, since timestamp with time zone, intact boolean, complete boolean, lsn bigint)
 LANGUAGE sql
AS $function$
  select i.id, i.epoch, i.since,
    i.timeline = w.timeline
      and i.database = (select d.oid from pg_database d where d.datname = current_database())
      and i.xmin::text = (i.xid::text::numeric % 4294967296)::text,
    (select count(*) = 9 from pg_constraint c where c.contype = 'p' and c.conrelid in (
      'installation'::regclass, 'members'::regclass, 'mentions'::regclass, 'messages'::regclass, 'reactions'::regclass,
      'rooms'::regclass, 'schema_migrations'::regclass, 'threads'::regclass, 'users'::regclass)),
    w.lsn
  from installation i, wal_position() w
$function$;

CREATE OR REPLACE FUNCTION public.invite_user(room text, actor text, subject text, new_role text, valid interval, room_max integer, user_max integer, rights jsonb)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
declare
  e record;
  hidden boolean := has_blocked(subject, actor);
  is_resting boolean;
begin
  select * into e from enter_room(room, actor, rights);
  select x.declined into is_resting from invitation_rests x
  where x.room_id = room and x.user_id = subject and x.rests_until > now();
  if e.refusal is not null then
    return e.refusal;
  elsif not may_give(rights, e.actor_role, new_role) then
    return 'forbidden';
  elsif exists (select from members m where m.room_id = room and m.user_id = subject) then
    return 'already';
  elsif exists (select from bans b where b.room_id = room and b.user_id = subject) then
    return 'banned';
  elsif has_blocked(actor, subject) then
    return 'blocked';
  elsif is_resting then
    return 'resting';
  end if;
  -- a plain member, and an actor that the subject has blocked, only renew an invitation of another member that the
  -- subject can see
  update invitations i set expires_at = clock_timestamp() + valid
  where i.room_id = room and i.user_id = subject and i.expires_at > now() and i.invited_by <> actor
    and not has_blocked(subject, i.invited_by) and (hidden or not is_below(rights, e.actor_role, 'member'));
  if found then
    return 'invited_again';
  end if;
  delete from invitations i where i.room_id = room and (i.user_id = subject or i.expires_at <= now());
  if (select count(*) from invitations i where i.room_id = room) >= room_max
    or (select count(*) from invitations i
        where i.user_id = subject and i.expires_at > now() and not has_blocked(subject, i.invited_by)) >= user_max then
    return 'limit_reached';
  end if;
  insert into invitations (room_id, user_id, role, invited_by, expires_at)
  values (room, subject, new_role, actor, clock_timestamp() + valid);
  if hidden or is_resting is not null then
    return 'invited_again';
  end if;
  insert into invitation_rests (room_id, user_id, declined, rests_until)
  values (room, subject, false, clock_timestamp() + interval '1 day')
  on conflict (room_id, user_id) do update set declined = false, rests_until = excluded.rests_until;
  return 'invited';
end $function$;

CREATE OR REPLACE FUNCTION public.is_below(rights jsonb, actor_role text, subject_role text)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select coalesce(rights -> 'below' -> actor_role ? subject_role, false)
$function$;

CREATE OR REPLACE FUNCTION public.is_encrypted(body jsonb)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select coalesce(jsonb_typeof(body) = 'object' and body ? 'encrypted', false)
$function$;

CREATE OR REPLACE FUNCTION public.is_from_blocked(viewer text, mention mentions)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  select exists (
    select from messages t
    where t.room_id = mention.room_id and t.seq = mention.seq and exists (
      select from blocks b where b.user_id = viewer and b.blocked_id = t.sender_id offset 0)
  ) or exists (select from blocks b where b.user_id = viewer and b.blocked_id = mention.called_by offset 0)
$function$;

CREATE OR REPLACE FUNCTION public.issuer_second(at timestamp with time zone, clock bigint)
 RETURNS bigint
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select floor(extract(epoch from at) + coalesce(clock, 0) / 1000.0)::bigint * 1000
$function$;

CREATE OR REPLACE FUNCTION public.join_room(room text, subject text, max_members integer, max_rooms integer, rights jsonb)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
declare
  e record;
begin
  select * into e from enter_room(room, subject, rights);
  if e.actor_role is not null then
    return case when e.room_kind = 'channel' then 'already' else 'not_found' end;
  elsif e.refusal is not null then
    return e.refusal;
  end if;
  return admit(
    room, subject,
    case when exists (select from members m where m.room_id = room and m.role <> 'guest')
      then returning_role(room, subject, 'member') else 'owner' end,
    max_members, max_rooms);
end $function$;

CREATE OR REPLACE FUNCTION public.json_size(value jsonb)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select (octet_length(value::text) - coalesce(sum(case jsonb_typeof(p.part)
    when 'array' then greatest(jsonb_array_length(p.part) - 1, 0)
    when 'object' then greatest(2 * (select count(*) from jsonb_object_keys(p.part)) - 1, 0)
    else 0 end), 0))::integer
  from jsonb_path_query(value, 'strict $.**') as p (part)
$function$;

CREATE OR REPLACE FUNCTION public.keep_version(m messages, kept jsonb, actor text, changed_at timestamp with time zone, max_versions integer)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
declare
  added integer;
begin
  insert into message_versions (room_id, seq, version, body, edited_by, at)
  select m.room_id, m.seq, coalesce(max(v.version), 0) + 1, kept, actor, changed_at
  from message_versions v where v.room_id = m.room_id and v.seq = m.seq
  returning version into added;
  if added > max_versions then
    delete from message_versions v
    where v.room_id = m.room_id and v.seq = m.seq and v.version = added - max_versions + 1;
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.lift_ban(room text, actor text, subject text, rights jsonb)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
declare
  e record;
begin
  select * into e from enter_room(room, actor, rights);
  if e.refusal is not null then
    return e.refusal;
  end if;
  delete from bans b where b.room_id = room and b.user_id = subject;
  return case when found then 'lifted' else 'already' end;
end $function$;

CREATE OR REPLACE FUNCTION public.make_link(room text, actor text, link text, hash bytea, new_role text, ends timestamp with time zone, most_uses integer, max_links integer, rights jsonb)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
declare
  e record;
begin
  select * into e from enter_room(room, actor, rights);
  if e.refusal is not null then
    return e.refusal;
  elsif not may_give(rights, e.actor_role, new_role) then
    return 'forbidden';
  end if;
  delete from join_links l where l.room_id = room and (l.expires_at <= now() or l.uses >= l.max_uses);
  if (select count(*) from join_links l where l.room_id = room) >= max_links then
    return 'limit_reached';
  end if;
  insert into join_links (room_id, id, token_hash, role, made_by, expires_at, max_uses)
  values (room, link, hash, new_role, actor, ends, most_uses);
  return 'made';
end $function$;

CREATE OR REPLACE FUNCTION public.mark_delivered(batch json, max_members integer)
 RETURNS TABLE(n integer, mark bigint, moved boolean)
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
begin
  return query
  with input as materialized (
    select e.ord::integer as n, e.r as room_id, e.u as user_id, e.s as seq
    from rows from (json_to_recordset(batch) as (r text, u text, s bigint)) with ordinality as e (r, u, s, ord)
  ), standing as materialized (
    select i.n, m.room_id, m.user_id, greatest(m.last_delivered_seq, m.last_read_seq) as was, least(i.seq, r.last_seq) as target
    from input i
    join members m on m.room_id = i.room_id and m.user_id = i.user_id
    join rooms r on r.id = i.room_id and r.member_count <= max_members
    order by m.room_id, m.user_id for no key update of m
  ), written as (
    update members m set last_delivered_seq = s.target from standing s
    where m.room_id = s.room_id and m.user_id = s.user_id and s.target > s.was
  )
  select i.n, greatest(s.was, s.target), coalesce(s.target > s.was, false)
  from input i left join standing s on s.n = i.n order by i.n;
end $function$;

CREATE OR REPLACE FUNCTION public.mark_notified(expanded bigint[])
 RETURNS void
 LANGUAGE plpgsql
AS $function$
begin
  perform from outbox where id = any (expanded) order by id for update;
  update outbox set notified = true where id = any (expanded);
  delete from outbox where id = any (expanded) and fanned_out;
end $function$;

CREATE OR REPLACE FUNCTION public.mark_published(published bigint[])
 RETURNS void
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
AS $function$
begin
  update outbox set fanned_out = true, relay = null where id = any (published);
  delete from outbox where id = any (published) and notified;
end $function$;

CREATE OR REPLACE FUNCTION public.mark_read(batch json)
 RETURNS TABLE(n integer, mark bigint, moved boolean, member_count integer)
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
begin
  return query
  with input as materialized (
    select e.ord::integer as n, e.r as room_id, e.u as user_id, e.s as seq
    from rows from (json_to_recordset(batch) as (r text, u text, s bigint)) with ordinality as e (r, u, s, ord)
  ), standing as materialized (
    select i.n, m.room_id, m.user_id, m.last_read_seq, least(i.seq, r.last_seq) as target, r.member_count
    from input i
    join members m on m.room_id = i.room_id and m.user_id = i.user_id
    join rooms r on r.id = i.room_id
    order by m.room_id, m.user_id for no key update of m
  ), written as (
    update members m set last_read_seq = s.target from standing s
    where m.room_id = s.room_id and m.user_id = s.user_id and s.target > m.last_read_seq
  )
  select i.n, greatest(s.last_read_seq, s.target), coalesce(s.target > s.last_read_seq, false), s.member_count
  from input i left join standing s on s.n = i.n order by i.n;
end $function$;

CREATE OR REPLACE FUNCTION public.may_give(rights jsonb, actor_role text, new_role text)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select coalesce(rights -> 'gives' -> actor_role ? new_role, false)
$function$;

CREATE OR REPLACE FUNCTION public.may_have_more(subject text, how text, room text, max_rooms integer)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  select case when how = 'own' then (
    select count(*) from (
      select m.room_id from members m where m.user_id = subject and m.via = 'own'
      union
      select r.id from rooms r where r.created_by = subject
      union
      select d.id from deleted_rooms d where d.made_by = subject and d.deleted_at > now() - interval '1 day'
    ) x (id) where x.id <> room
  ) else (
    select count(*) from members m where m.user_id = subject and m.via = how and m.room_id <> room
  ) end < max_rooms
$function$;

CREATE OR REPLACE FUNCTION public.mute_member(room text, actor text, subject text, until timestamp with time zone, rights jsonb)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
declare
  e record;
  m members;
begin
  select * into e from enter_room(room, actor, rights);
  select * into m from members x where x.room_id = room and x.user_id = subject;
  if e.refusal is not null then
    return e.refusal;
  elsif m.role is null then
    delete from kept_mutes k where until is null and k.room_id = room and k.user_id = subject;
    return case when found then 'already' else 'no_subject' end;
  elsif not is_below(rights, e.actor_role, m.role) then
    return 'forbidden';
  elsif m.muted_until is not distinct from until then
    return 'already';
  end if;
  update members x set muted_until = until where x.room_id = room and x.user_id = subject;
  return case when until is null then 'unmuted' else 'muted' end;
end $function$;

CREATE OR REPLACE FUNCTION public.note_changes(made integer[], asked jsonb)
 RETURNS TABLE(n integer, pinned text, thread text, mentioned text)
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
declare
  change record;
  m messages;
begin
  for change in
    select (a.v ->> 0)::integer as n, a.v ->> 1 as kind, a.v ->> 2 as room_id, (a.v ->> 3)::bigint as seq, a.v -> 4 as actor,
      a.v -> 5 as names, a.v -> 6 as everybody
    from jsonb_array_elements(asked) with ordinality as a (v, ord)
    where made[(a.v ->> 0)::integer + 1] = 1 order by a.ord
  loop
    n := change.n; pinned := null; thread := null; mentioned := null;
    select * into m from messages t where t.room_id = change.room_id and t.seq = change.seq;
    if change.kind = 'delete' then
      delete from mentions x where x.room_id = m.room_id and x.seq = m.seq;
      if m.pinned_at is not null then
        update messages t set pinned_at = null, pinned_by = null where t.room_id = m.room_id and t.seq = m.seq;
      end if;
      if m.reply_to is not null then
        update threads t set replies = t.replies - 1, rev = m.rev where t.room_id = m.room_id and t.root = m.thread;
      end if;
    else
      -- a message that the same batch deletes afterwards mentions nobody
      if m.deleted_at is null then
        select jsonb_agg(x.user_id order by x.user_id)::text into mentioned from note_mentions(
          jsonb_build_array(jsonb_build_array(m.room_id, m.seq, m.sender_id, change.actor, change.names, change.everybody)), m.edited_at) as x;
      end if;
      pinned := pin_state(m);
    end if;
    if m.thread is not null then
      select thread_state(t) into thread from threads t where t.room_id = m.room_id and t.root = m.thread;
    end if;
    return next;
  end loop;
end $function$;

CREATE OR REPLACE FUNCTION public.note_membership()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if tg_op = 'DELETE' then
    insert into membership_changes (room_id, user_id, version)
    values (old.room_id, old.user_id, nextval('membership_version'));
  else
    insert into membership_changes (room_id, user_id, updated, version)
    values (new.room_id, new.user_id, tg_op = 'UPDATE', new.version);
  end if;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.note_mentions(targets jsonb, noted_at timestamp with time zone)
 RETURNS TABLE(room_id text, seq bigint, user_id text)
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
begin
  return query
  with target as materialized (
    select t.n, t.v ->> 0 as room_id, (t.v ->> 1)::bigint as seq, t.v ->> 2 as sender, t.v ->> 3 as actor,
      t.v -> 4 as names, (t.v ->> 5)::boolean as everybody
    from jsonb_array_elements(targets) with ordinality as t (v, n)
  ), person as (
    select distinct on (t.n, g.n) t.room_id, t.seq, t.sender, t.actor, m.user_id
    from target t
    cross join lateral jsonb_array_elements(t.names) with ordinality as g (forms, n)
    cross join lateral jsonb_array_elements_text(g.forms) with ordinality as f (id, n)
    join members m on m.room_id = t.room_id and m.user_id = f.id
    order by t.n, g.n, f.n
  ), wanted as materialized (
    select distinct p.room_id, p.seq, p.user_id, null::text as called_by from person p
    where p.user_id <> p.sender
      -- with offset, each block is found by both users, and the table is not read whole
      and not exists (select from blocks b where b.user_id = p.user_id and b.blocked_id = p.sender offset 0)
      and not exists (select from blocks b where b.user_id = p.user_id and b.blocked_id = p.actor offset 0)
    union all
    select t.room_id, t.seq, '*', nullif(t.actor, t.sender) from target t
    join rooms r on r.id = t.room_id
    join members m on m.room_id = t.room_id and m.user_id = t.actor
    where t.everybody and (r.kind = 'direct' or m.role in ('owner', 'admin'))
  ), dropped as (
    delete from mentions m using target t
    where m.room_id = t.room_id and m.seq = t.seq and not exists (
      select from wanted w where w.room_id = m.room_id and w.seq = m.seq and w.user_id = m.user_id)
  ), noted as (
    insert into mentions (room_id, seq, user_id, at, called_by)
    select w.room_id, w.seq, w.user_id, noted_at, w.called_by from wanted w
    on conflict do nothing
    returning mentions.room_id, mentions.seq, mentions.user_id
  )
  select n.room_id, n.seq, n.user_id from noted n
  union all
  select n.room_id, n.seq, '!' || x.user_id
  from noted n
  join target t on t.room_id = n.room_id and t.seq = n.seq
  join rooms r on r.id = n.room_id
  -- a small room is read by its members, as any number of users may block the sender. A large room is read by those users,
  -- unless there are more of them than members: the count ends there.
  cross join lateral (
    select case when r.member_count <= 1000 then true else (
      select count(*) from (
        select from blocks b where b.blocked_id = any (array[t.sender, t.actor]) limit r.member_count + 1
      ) c) > r.member_count end as by_members
    offset 0
  ) side
  cross join lateral (
    (select m.user_id from members m
     where side.by_members and m.room_id = n.room_id and (
       exists (select from blocks b where b.user_id = m.user_id and b.blocked_id = t.sender offset 0)
       or exists (select from blocks b where b.user_id = m.user_id and b.blocked_id = t.actor offset 0)))
    union all
    (select distinct b.user_id from blocks b
     where not side.by_members and b.blocked_id = any (array[t.sender, t.actor]) and exists (
       select from members m where m.room_id = n.room_id and m.user_id = b.user_id offset 0))
    limit 1001
  ) x
  where n.user_id = '*';
end $function$;

CREATE OR REPLACE FUNCTION public.note_sends(seqs bigint[], asked jsonb, noted bigint, max_follows integer)
 RETURNS TABLE(n integer, thread text, mentioned text)
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
declare
  stored_at timestamptz;
  newcomers text[];
  mentions_noted jsonb;
begin
  select max(m.created_at) into stored_at
  from jsonb_array_elements(asked) as a (v)
  join messages m on m.room_id = a.v ->> 1 and m.seq = seqs[(a.v ->> 0)::integer];

  with reply as materialized (
    select m.room_id, m.thread as root, m.seq, m.rev, m.sender_id, m.created_at, a.v ->> 5 is not null as published
    from jsonb_array_elements(asked) as a (v)
    join messages m on m.room_id = a.v ->> 1 and m.seq = seqs[(a.v ->> 0)::integer]
    where m.reply_to is not null
  ), counted as (
    insert into threads as t (room_id, root, replies, last_reply_at, repliers, rev)
    select r.room_id, r.root, sum(r.replies), max(r.at), (array_agg(r.sender_id order by r.last desc))[1:5], max(r.rev)
    from (
      select room_id, root, sender_id, count(*) as replies, max(created_at) as at, max(seq) as last, max(rev) as rev
      from reply group by room_id, root, sender_id
    ) r group by r.room_id, r.root
    on conflict (room_id, root) do update set
      replies = t.replies + excluded.replies, last_reply_at = excluded.last_reply_at, rev = excluded.rev,
      repliers = (excluded.repliers || array(select u from unnest(t.repliers) u where u <> all (excluded.repliers)))[1:5]
  ), started as (
    update messages m set thread = m.seq
    from (select distinct r.room_id, r.root from reply r) as x
    where m.room_id = x.room_id and m.seq = x.root and m.thread is null
    returning m.room_id, m.seq as root, m.sender_id
  ), following as (
    insert into thread_follows as f (room_id, root, user_id, read_seq, followed_at)
    select x.room_id, x.root, x.user_id, max(x.seq), stored_at
    from (
      select r.room_id, r.root, r.sender_id as user_id, r.seq from reply r
      -- only members follow a thread
      where not r.published or exists (
        select from members m where m.room_id = r.room_id and m.user_id = r.sender_id offset 0)
      union all
      select s.room_id, s.root, s.sender_id, s.root from started s
      join members m on m.room_id = s.room_id and m.user_id = s.sender_id
    ) x group by x.room_id, x.root, x.user_id
    on conflict (room_id, root, user_id) do update set read_seq = greatest(f.read_seq, excluded.read_seq)
    returning f.user_id, f.xmax = 0 as is_new
  )
  select array_agg(distinct f.user_id) filter (where f.is_new) into newcomers from following f;
  if newcomers is not null then
    perform trim_follows(newcomers, max_follows);
  end if;

  if stored_at is not null and exists (
    select from jsonb_array_elements(asked) as a (v) where a.v -> 3 <> '[]' or a.v -> 4 = 'true'
  ) then
    select jsonb_object_agg(x.room_id, x.by_seq) into mentions_noted from (
      select y.room_id, jsonb_object_agg(y.seq, y.users) as by_seq from (
        select m.room_id, m.seq, jsonb_agg(m.user_id order by m.user_id) as users
        from note_mentions((
          select jsonb_agg(jsonb_build_array(a.v -> 1, seqs[(a.v ->> 0)::integer], a.v -> 2, a.v -> 2, a.v -> 3, a.v -> 4))
          from jsonb_array_elements(asked) as a (v) where seqs[(a.v ->> 0)::integer] > 0
        ), stored_at) as m
        group by m.room_id, m.seq
      ) y group by y.room_id
    ) x;
    if mentions_noted is not null then
      update outbox o set entries = (
        select jsonb_agg(
          case when mentions_noted ? (e.v ->> 'room') then jsonb_set(e.v, '{lanes}', (
            select jsonb_object_agg(k.seq, 'high') from jsonb_object_keys(mentions_noted -> (e.v ->> 'room')) as k (seq)
          ) || coalesce(nullif(e.v -> 'lanes', 'null'), '{}')) else e.v end order by e.n)
        from jsonb_array_elements(o.entries) with ordinality as e (v, n)
      ) where o.id = noted;
    end if;
  end if;

  return query
  select (a.v ->> 0)::integer, case when t.root is not null then thread_state(t) end, mentions_noted -> (a.v ->> 1) ->> seqs[(a.v ->> 0)::integer]::text
  from jsonb_array_elements(asked) as a (v)
  left join messages m on m.room_id = a.v ->> 1 and m.seq = abs(seqs[(a.v ->> 0)::integer])
  left join threads t on t.room_id = m.room_id and t.root = m.thread;
end $function$;

CREATE OR REPLACE FUNCTION public.notification_candidates(entries jsonb, after_room text, after_seq bigint, after_user text, most integer)
 RETURNS TABLE(room_id text, seq bigint, user_id text, kind text, at timestamp with time zone, room_kind text, gone text, is_member boolean, has_blocked boolean, read_seq bigint, of_room jsonb, of_user jsonb)
 LANGUAGE plpgsql
 STABLE
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
declare
  eager boolean; -- some users want each message of all their rooms
  targets jsonb; -- the messages that concern anybody
begin
  eager := exists (select from preferences p where p.room_id = '' and p.wants_all);
  select jsonb_agg(jsonb_build_array(r.id, m.seq, m.edited)) into targets
  from (
    select e.v ->> 0 as room_id, (e.v ->> 1)::bigint as first, (e.v ->> 2)::bigint as last,
      (e.v ->> 3)::bigint as first_rev, (e.v ->> 4)::bigint as last_rev
    from jsonb_array_elements(entries) as e (v)
  ) e
  join rooms r on r.id = e.room_id
  cross join lateral (
    select e.first is not null and (r.kind = 'direct' or eager or exists (
        select from preferences p where p.room_id = r.id and p.wants_all offset 0)) as whole,
      e.first is not null and exists (select from thread_follows f where f.room_id = r.id offset 0) as threads
    offset 0
  ) w
  cross join lateral (
    select t.seq, false as edited from messages t
    where w.whole and t.room_id = r.id and t.seq between e.first and e.last
    union
    select t.seq, false from messages t
    where w.threads and not w.whole and t.room_id = r.id and t.seq between e.first and e.last and t.thread is not null
    union
    select n.seq, false from mentions n
    where e.first is not null and not w.whole and n.room_id = r.id and n.seq between e.first and e.last
    union
    select t.seq, true from messages t
    where e.first is null and t.room_id collate "POSIX" = r.id and t.rev between e.first_rev and e.last_rev
      and t.edited_at is not null and exists (
        select from mentions n where n.room_id = t.room_id and n.seq = t.seq and n.at >= t.edited_at offset 0)
  ) m
  where (r.id, m.seq) >= (after_room collate "C", after_seq);
  if targets is null then
    return;
  end if;
  return query
  with target as materialized (
    select m.room_id, m.seq, m.sender_id, m.created_at, m.thread, r.kind,
      case when (t.v ->> 2)::boolean then m.edited_at else '-infinity' end as since,
      (t.v ->> 2)::boolean as edited,
      case when m.deleted_at is not null then 'deleted' when m.seq < r.first_seq then 'expired' end as gone
    from jsonb_array_elements(targets) as t (v)
    join rooms r on r.id = t.v ->> 0
    join messages m on m.room_id = t.v ->> 0 and m.seq = (t.v ->> 1)::bigint
  ), candidate as (
    select t.*, n.user_id, 1 as rank
    from target t join mentions n on n.room_id = t.room_id and n.seq = t.seq
    where n.user_id <> '*' and n.at >= t.since
    union all
    select t.*, m.user_id, 2
    from target t
    join mentions n on n.room_id = t.room_id and n.seq = t.seq and n.user_id = '*'
    join members m on m.room_id = t.room_id
    where n.at >= t.since
    union all
    select t.*, m.user_id, 3
    from target t join members m on m.room_id = t.room_id
    where t.kind = 'direct' and not t.edited
    union all
    select t.*, f.user_id, 4
    from target t join thread_follows f on f.room_id = t.room_id and f.root = t.thread
    where not t.edited
    union all
    select t.*, p.user_id, 5
    from target t join preferences p on p.room_id = t.room_id and p.wants_all
    where not t.edited
    union all
    select t.*, m.user_id, 5
    from target t
    join members m on m.room_id = t.room_id
    join preferences p on p.user_id = m.user_id and p.room_id = '' and p.wants_all
    where eager and not t.edited
  ), chosen as (
    select distinct on (c.room_id, c.seq, c.user_id) c.*
    from candidate c
    where c.user_id <> c.sender_id
      and (c.room_id, c.seq, c.user_id) > (after_room collate "C", after_seq, after_user collate "C")
    order by c.room_id, c.seq, c.user_id, c.rank
    limit most
  )
  select c.room_id, c.seq, c.user_id, (array['mention', 'everybody', 'direct', 'thread', 'message'])[c.rank],
    c.created_at, c.kind, c.gone, m.user_id is not null,
    exists (select from blocks b where b.user_id = c.user_id and b.blocked_id = c.sender_id offset 0),
    coalesce(m.last_read_seq, 0), p.document, u.document
  from chosen c
  left join members m on m.room_id = c.room_id and m.user_id = c.user_id
  left join preferences p on p.user_id = c.user_id and p.room_id = c.room_id
  left join preferences u on u.user_id = c.user_id and u.room_id = ''
  order by c.room_id, c.seq, c.user_id;
end $function$;

CREATE OR REPLACE FUNCTION public.number_membership()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  new.version := nextval('membership_version');
  return new;
end $function$;

CREATE OR REPLACE FUNCTION public.pin_message(room text, target bigint, actor text, pinning boolean, max_pins integer, handed bigint[], rights jsonb, OUT outcome text, OUT rev bigint, OUT at timestamp with time zone, OUT id uuid, OUT outbox_id bigint)
 RETURNS record
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
declare
  e record;
  first bigint;
  head bigint;
  m messages;
begin
  if cardinality(handed) > 0 then
    perform mark_published(handed);
  end if;
  select * into e from enter_room(room, actor, rights);
  if e.refusal is not null then
    outcome := e.refusal;
    return;
  end if;
  select r.last_rev + 1, r.first_seq into head, first from rooms r where r.id = room;
  select * into m from messages t where t.room_id = room and t.seq = target and t.seq >= first;
  if m.seq is null or m.deleted_at is not null then
    outcome := 'not_found';
  elsif pinning = (m.pinned_at is not null) then
    outcome := 'unchanged';
    rev := m.rev;
    at := coalesce(m.pinned_at, m.created_at);
    id := m.id;
  elsif pinning
    and (select count(*) from messages t where t.room_id = room and t.pinned_at is not null) >= max_pins then
    outcome := 'limit_reached';
  else
    outcome := 'changed';
    rev := head;
    at := date_trunc('milliseconds', clock_timestamp());
    id := m.id;
    update messages t set rev = head, changed = true,
      pinned_at = case when pinning then at end, pinned_by = case when pinning then actor end
    where t.room_id = room and t.seq = target;
    update rooms r set last_rev = head where r.id = room;
    insert into outbox (entries)
    values (jsonb_build_array(jsonb_build_object('room', room, 'from', head, 'to', head, 'lanes', null)))
    returning outbox.id into outbox_id;
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.pin_state(m messages)
 RETURNS text
 LANGUAGE sql
 STABLE
AS $function$
  select ',"pinnedAt":' || (extract(epoch from m.pinned_at) * 1000)::bigint || ',"pinnedBy":"' || m.pinned_by || '"'
$function$;

CREATE OR REPLACE FUNCTION public.publish_message(room text, id uuid, sender text, body jsonb, reply_to bigint, lane text)
 RETURNS bigint
 LANGUAGE plpgsql
AS $function$
#variable_conflict use_variable
declare
  stored record;
begin
  perform check_published(room, id, sender, body, reply_to, lane);
  select * into stored from append_messages(
    array[room], jsonb_build_array(jsonb_build_array(room, id, sender, body, reply_to, lane, true)), '{}') as a;
  case stored.outcome
    when 'fresh' then null;
    when 'duplicate' then return stored.seq;
    when 'conflict' then
      raise exception using errcode = 'unique_violation',
        message = format('Another sender has a message with the id %s in the room %s.', id, room);
    when 'archived' then
      raise exception using errcode = 'object_not_in_prerequisite_state',
        message = format('The room %s is archived: nobody may write in it.', room);
    when 'no_reply_target' then
      raise exception using errcode = 'invalid_parameter_value',
        message = format('reply_to: the room %s has no message %s yet.', room, reply_to);
    else
      raise exception using errcode = 'no_data_found', message = format('There is no room %s.', room);
  end case;
  if reply_to is not null then
    perform from note_sends(
      array[stored.seq], jsonb_build_array(jsonb_build_array(1, room, sender, '[]'::jsonb, false, true)),
      stored.outbox_id, 1000);
  end if;
  update outbox o set relay = 'events', entries = jsonb_set(o.entries, '{0,sent}', jsonb_build_array(
    stored.seq, sender, floor(extract(epoch from stored.sent_at) * 1000)::bigint))
  where o.id = stored.outbox_id;
  perform pg_notify('parley_outbox', '');
  return stored.seq;
end $function$;

CREATE OR REPLACE FUNCTION public.put_out(room text, subject text)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
declare
  was members;
begin
  delete from members m where m.room_id = room and m.user_id = subject returning m.* into was;
  update rooms r set member_count = r.member_count - 1 where r.id = room;
  insert into departures (room_id, user_id, last_sent_at, was_guest)
  values (room, subject, was.last_sent_at, was.role = 'guest')
  on conflict (room_id, user_id) do update set
    left_at = null, last_sent_at = excluded.last_sent_at, was_guest = excluded.was_guest;
  if was.muted_until > now() then
    insert into kept_mutes (room_id, user_id, muted_until) values (room, subject, was.muted_until)
    on conflict (room_id, user_id) do update set muted_until = excluded.muted_until;
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.react(m messages, actor text, mark text, adding boolean, next_rev bigint, changed_at timestamp with time zone, max_kinds integer, OUT outcome text, OUT total integer)
 RETURNS record
 LANGUAGE plpgsql
AS $function$
begin
  if m.deleted_at is not null then
    outcome := 'not_found';
    return;
  end if;
  select c.count into total from reaction_counts c where c.room_id = m.room_id and c.seq = m.seq and c.emoji = mark;
  if total is null and adding
    and (select count(*) from reaction_counts c where c.room_id = m.room_id and c.seq = m.seq) >= max_kinds then
    outcome := 'limit_reached';
    return;
  end if;
  total := coalesce(total, 0);
  if adding then
    insert into reactions (room_id, seq, user_id, emoji, created_at)
    values (m.room_id, m.seq, actor, mark, changed_at) on conflict do nothing;
  else
    delete from reactions r
    where r.room_id = m.room_id and r.seq = m.seq and r.user_id = actor and r.emoji = mark;
  end if;
  if not found then
    outcome := 'unchanged';
    return;
  end if;
  total := total + case when adding then 1 else -1 end;
  if total = 0 then
    delete from reaction_counts c where c.room_id = m.room_id and c.seq = m.seq and c.emoji = mark;
  elsif adding and total = 1 then
    insert into reaction_counts (room_id, seq, emoji, count, first_rev) values (m.room_id, m.seq, mark, 1, next_rev);
  else
    update reaction_counts c set count = total where c.room_id = m.room_id and c.seq = m.seq and c.emoji = mark;
  end if;
  update messages t set rev = next_rev, changed = true where t.room_id = m.room_id and t.seq = m.seq;
  outcome := 'changed';
end $function$;

CREATE OR REPLACE FUNCTION public.recount_threads(room text, following boolean)
 RETURNS void
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
begin
  update messages m set thread = m.seq
  from (select distinct r.thread from messages r where r.room_id = room and r.thread is not null) as x
  where m.room_id = room and m.seq = x.thread and m.thread is null;
  delete from threads t where t.room_id = room;
  insert into threads (room_id, root, replies, last_reply_at, repliers, rev)
  select room, r.root, sum(r.replies), max(r.at), (array_agg(r.sender_id order by r.last desc))[1:5], max(r.rev)
  from (
    select m.thread as root, m.sender_id, count(*) filter (where m.deleted_at is null) as replies,
      max(m.created_at) as at, max(m.seq) as last, max(m.rev) as rev
    from messages m where m.room_id = room and m.thread is not null and m.reply_to is not null
    group by m.thread, m.sender_id
  ) r group by r.root;
  if following then
    insert into thread_follows (room_id, root, user_id, read_seq, followed_at)
    select room, m.thread, m.sender_id, max(r.last_seq), max(m.created_at)
    from messages m join rooms r on r.id = m.room_id
    join members x on x.room_id = m.room_id and x.user_id = m.sender_id
    where m.room_id = room and m.thread is not null
    group by m.thread, m.sender_id
    on conflict do nothing;
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.remove_from_room(room text, actor text, subject text, rights jsonb)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
declare
  e record;
  was text;
begin
  select * into e from enter_room(room, actor, rights);
  select m.role into was from members m where m.room_id = room and m.user_id = subject;
  if e.refusal is not null then
    return e.refusal;
  elsif was is null then
    return 'no_subject';
  elsif not is_below(rights, e.actor_role, was) then
    return 'forbidden';
  end if;
  perform put_out(room, subject);
  delete from invitations i where i.room_id = room and i.invited_by = subject;
  return 'removed';
end $function$;

CREATE OR REPLACE FUNCTION public.remove_member(room text, subject text, closing boolean DEFAULT true, OUT outcome text, OUT heir text)
 RETURNS record
 LANGUAGE plpgsql
AS $function$
declare
  r rooms;
  was text;
begin
  select x.kind, m.role into r.kind, was
  from rooms x left join members m on m.room_id = x.id and m.user_id = subject where x.id = room;
  if was is null then
    outcome := case when r.kind = 'channel' then 'not_member' else 'not_found' end;
    return;
  end if;
  select * into r from rooms x where x.id = room for no key update;
  select role into was from members where room_id = room and user_id = subject;
  if r.id is null then
    outcome := 'not_found';
    return;
  elsif was is null then
    outcome := case when r.kind = 'channel' then 'not_member' else 'not_found' end;
    return;
  end if;
  perform put_out(room, subject);
  update departures d set left_at = clock_timestamp() where d.room_id = room and d.user_id = subject;
  if closing and r.member_count = 1 and (r.kind = 'group' or r.kind = 'channel' and r.last_seq = 0) then
    if r.last_rev > 0 then
      perform close_room(room, subject);
      outcome := 'closed';
      return;
    end if;
    delete from rooms x where x.id = room;
    delete from bans x where x.room_id = room;
    delete from departures x where x.room_id = room;
    delete from invitation_rests x where x.room_id = room;
    delete from invitations x where x.room_id = room;
    delete from join_links x where x.room_id = room;
    delete from kept_mutes x where x.room_id = room;
    delete from slow_edits x where x.room_id = room;
    outcome := 'left';
    return;
  end if;
  if was = 'owner' then
    heir := give_owner(room);
  end if;
  outcome := 'left';
end $function$;

CREATE OR REPLACE FUNCTION public.remove_messages(room text, gone bigint[], purged bigint)
 RETURNS bigint[]
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
declare
  first bigint;
  roots bigint[]; -- the root of each message's thread; without a thread, the seq of the message
  ours bigint[];
  held bigint[];
  ended bigint[];
begin
  select r.first_seq into first from rooms r where r.id = room;
  select coalesce(array_agg(distinct coalesce(t.thread, t.seq)), '{}') into roots
  from messages t where t.room_id = room and t.seq = any (gone);
  select coalesce(array_agg(f.root), '{}') into ours
  from (select t.root from threads t where t.room_id = room and t.root = any (roots) for update skip locked) f;
  select coalesce(array_agg(t.root), '{}') into held
  from threads t where t.room_id = room and t.root = any (roots) and t.root <> all (ours);
  with dead as (
    delete from messages m where m.room_id = room and m.seq = any (gone) and coalesce(m.thread, m.seq) <> all (held)
    returning m.seq, m.thread, m.reply_to is not null and m.deleted_at is null as counted
  ), recounted as (
    update threads t set replies = t.replies - d.replies, rev = greatest(t.rev, purged)
    from (select thread, count(*) as replies from dead where counted group by thread) d
    where t.room_id = room and t.root = d.thread
  )
  select coalesce(array_agg(seq), '{}') into gone from dead;
  if cardinality(gone) > 0 then
    delete from message_versions v where v.room_id = room and v.seq = any (gone);
    delete from reactions r where r.room_id = room and r.seq = any (gone);
    delete from reaction_counts c where c.room_id = room and c.seq = any (gone);
    perform from message_search s where s.room_id = room and s.seq = any (gone) order by s.seq for update;
    delete from message_search s where s.room_id = room and s.seq = any (gone);
    delete from mentions t where t.room_id = room and t.seq = any (gone);
    select coalesce(array_agg(x.root), '{}') into ended from unnest(roots) as x (root)
    where x.root <> all (held) and not exists (
      select from messages m where m.room_id collate "POSIX" = room and m.thread = x.root and m.seq >= first);
    delete from threads t where t.room_id = room and t.root = any (ended);
    -- a send that is under way holds the row of its author, and waits for the thread
    with free as materialized (
      select f.root, f.user_id from thread_follows f where f.room_id = room and f.root = any (ended) for update skip locked
    )
    delete from thread_follows f using free where f.room_id = room and f.root = free.root and f.user_id = free.user_id;
  end if;
  return gone;
end $function$;

CREATE OR REPLACE FUNCTION public.renew_epoch(expected uuid)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
declare
  place text := (select w.timeline from wal_position() w);
begin
  update installation i set
    epoch = gen_random_uuid(), since = clock_timestamp(), timeline = place,
    database = (select d.oid from pg_database d where d.datname = current_database()), xid = pg_current_xact_id()
  where i.epoch = expected;
  if not found then
    return false;
  end if;
  delete from membership_changes;
  delete from room_changes;
  update revocations set xid = pg_current_xact_id();
  return true;
end $function$;

CREATE OR REPLACE FUNCTION public.returning_role(room text, subject text, new_role text)
 RETURNS text
 LANGUAGE sql
 STABLE
AS $function$
  select case when new_role = 'member' and exists (
    select from departures d where d.room_id = room and d.user_id = subject and d.was_guest) then 'guest' else new_role end
$function$;

CREATE OR REPLACE FUNCTION public.revoke_all(subject text, spared_token text, its_issued bigint, kept_session text, why text)
 RETURNS boolean
 LANGUAGE sql
AS $function$
  select revoke_all(subject, spared_token, its_issued, kept_session, why, null::bigint, '{}'::text[], '{}'::bigint[], '{}'::bigint[])
$function$;

CREATE OR REPLACE FUNCTION public.revoke_all(subject text, spared_token text, its_issued bigint, kept_session text, why text, issuer_clock bigint, known text[], known_issued bigint[], known_ends bigint[])
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
declare
  moment timestamptz;
  boundary bigint;
begin
  perform pg_advisory_xact_lock(hashtextextended('parley:revoke:' || subject, 0));
  if spared_token is not null and token_revoked(subject, spared_token, its_issued) then
    return false;
  end if;
  moment := clock_timestamp();
  boundary := issuer_second(moment, issuer_clock);
  delete from devices where user_id = subject;
  delete from revocations where user_id = subject and issued_before is not null;
  insert into revocations (user_id, issued_before, spared, spared_session, reason, created_at, clock)
  values (subject, boundary, spared_token, kept_session, why, moment, issuer_clock);
  perform revoke_tokens(subject, array_agg(k.token), array_agg(k.ends), why)
  from unnest(known, known_issued, known_ends) as k (token, issued, ends) where k.issued >= boundary;
  return true;
end $function$;

CREATE OR REPLACE FUNCTION public.revoke_link(room text, actor text, link text, rights jsonb)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
declare
  e record;
begin
  select * into e from enter_room(room, actor, rights);
  if e.refusal is not null then
    return e.refusal;
  end if;
  delete from join_links l where l.room_id = room and l.id = link;
  return case when found then 'revoked' else 'no_subject' end;
end $function$;

CREATE OR REPLACE FUNCTION public.revoke_tokens(subject text, tokens text[], ends bigint[], why text)
 RETURNS void
 LANGUAGE sql
AS $function$
  insert into revocations (user_id, token, reason, expires_at)
  select subject, t.token, why, to_timestamp(t.ends / 1000.0)
  from unnest(tokens, ends) as t (token, ends)
  where not exists (select from revocations r where r.user_id = subject and r.token = t.token)
$function$;

CREATE OR REPLACE FUNCTION public.room_words(name text, topic text)
 RETURNS tsvector
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'public', '$user', 'public'
AS $function$
  select search_vector('simple'::regconfig, coalesce(name, '') || ' ' || coalesce(topic, ''))
$function$;

CREATE OR REPLACE FUNCTION public.search_between()
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select '\u0001-\u001e\u0020-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb\u00bf\u00d7\u00f7\u02c2-\u02c5\u037e\u0387\u055a-\u055f\u0589\u058a\u05be\u05c0\u05c3\u05c6\u05f3\u05f4\u0600-\u060f\u061b-\u061f\u066a-\u066d\u06d4\u0964\u0965\u0970\u10fb\u1360-\u1368\u1680\u1800-\u180a\u2000-\u200a\u2010-\u2029\u202f-\u205f\u2e00-\u2e7f\u3000-\u3003\u3008-\u3011\u3014-\u301f\u3030\u303d\u30a0\u30fb\ufd3e\ufd3f\ufe10-\ufe6f\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65'
$function$;

CREATE OR REPLACE FUNCTION public.search_bucket(moment timestamp with time zone)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select floor(extract(epoch from moment) / 345600)::integer
$function$;

CREATE OR REPLACE FUNCTION public.search_excerpt(config regconfig, content text, hits tsquery, runs text[])
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
AS $function$
declare
  size integer := coalesce(length(content), 0); -- a body may have no text, although the index still knows one
  start integer := 1;
  part text;
begin
  while start <= size loop
    part := substr(content, start, 1000);
    -- a word that the window cuts could match by a part of it
    if start + 1000 <= size then
      part := left(part, 700) || coalesce(substring(right(part, -700) from '^.*\s'), right(part, -700));
    end if;
    if start > 1 then
      part := coalesce(nullif(regexp_replace(left(part, 300), '^\S+', ''), ''), left(part, 300)) || right(part, -300);
    end if;
    if search_touches(config, search_plain(part), hits, runs) then
      if start = 1 then
        return substr(content, 1, 1300);
      end if;
      -- the text in front of the match is shown too
      part := substr(content, start - 200, 1500);
      return coalesce(nullif(regexp_replace(left(part, 100), '^\S+\s', ''), ''), left(part, 100)) || right(part, -100);
    end if;
    exit when start + 1000 > size;
    start := start + 700;
  end loop;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.search_fold(content text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select case when octet_length(content) = length(content) then lower(content collate search_letters) collate "default"
  else normalize(replace(replace(translate(lower(translate(regexp_replace(
    normalize(content, NFKC),
    '[\u00ad\u034f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u061c\u0640\u064b-\u065f\u0670\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]+', '', 'g'),
    E'\u0130', 'i') collate search_letters), E'\u03c2', E'\u03c3'), E'\u00df', 'ss'), E'i\u0307', 'i'), NFKC) collate "default"
  end
$function$;

CREATE OR REPLACE FUNCTION public.search_in(needed text, bucket integer)
 RETURNS tsquery
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select regexp_replace(needed, '''([^'']+)''', '''' || lpad(bucket::text, 4, '0') || '\1''', 'g')::tsquery
$function$;

CREATE OR REPLACE FUNCTION public.search_keys(words tsvector, at timestamp with time zone)
 RETURNS tsvector
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
AS $function$
declare
  bucket text := lpad(floor(extract(epoch from at) / 345600)::integer::text, 4, '0');
begin
  return array_to_tsvector(
    string_to_array(bucket || array_to_string(tsvector_to_array(words), E'\x02' || bucket), E'\x02'));
end $function$;

CREATE OR REPLACE FUNCTION public.search_marked(lang text, content text, hits tsquery, runs text[], opening text, closing text)
 RETURNS text
 LANGUAGE plpgsql
 STABLE PARALLEL SAFE
AS $function$
declare
  config regconfig := lang::regconfig;
  unspaced text := '^[' || search_unspaced() || ']';
  excerpt text := search_excerpt(config, translate(content, E'\x1f', ' '), hits, runs);
  pieces text[]; -- runs of scripts without spaces, separators of words, and words
  plain text[];
  matched boolean[] := '{}';
  first integer;
  marked text := '';
begin
  if excerpt is null then
    return left(content, 300);
  end if;
  select array_agg(m[1]) into pieces
  from regexp_matches(
    excerpt,
    -- selectors and joiners stay with what they belong to
    '([' || search_unspaced() || '][' || search_unspaced() || '\u200b-\u200f\ufe00-\ufe0f]*|[' || search_between() || ']+|[^' || search_unspaced() || search_between() || ']+)', 'g') as m;
  -- all at once; no class has the character between them
  plain := string_to_array(search_plain(array_to_string(pieces, E'\x1f')), E'\x1f');
  for i in 1 .. coalesce(cardinality(pieces), 0) loop
    exit when i > first + 80;
    matched[i] := plain[i] not in ('', ' ') and search_touches(config, plain[i], hits, runs);
    if matched[i] and first is null then
      first := i;
    end if;
  end loop;
  first := coalesce(first, 1);
  for i in greatest(first - 30, 1) .. least(first + 80, coalesce(cardinality(pieces), 0)) loop
    marked := marked || case when not coalesce(matched[i], false) then pieces[i]
      when pieces[i] ~ unspaced then search_marked_run(pieces[i], plain[i], runs, opening, closing)
      else opening || pieces[i] || closing end;
  end loop;
  return marked;
end $function$;

CREATE OR REPLACE FUNCTION public.search_marked_run(run text, plain text, runs text[], opening text, closing text)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
AS $function$
declare
  first integer;
  at integer;
  hit boolean[];
  one text;
begin
  select min(strpos(plain, r)) into first from unnest(runs) as r where strpos(plain, r) > 0;
  if first is null or length(run) <> length(plain) then -- the matching characters are not known
    return opening || run || closing;
  end if;
  run := substr(run, greatest(first - 60, 1), 300);
  plain := substr(plain, greatest(first - 60, 1), 300);
  hit := array_fill(false, array[length(run)]);
  foreach one in array runs loop
    at := strpos(plain, one);
    while at > 0 loop
      for i in at .. at + length(one) - 1 loop
        hit[i] := true;
      end loop;
      at := case when strpos(substr(plain, at + 1), one) > 0 then at + strpos(substr(plain, at + 1), one) else 0 end;
    end loop;
  end loop;
  return (
    select string_agg(
      case when hit[u.n] and not coalesce(hit[u.n - 1], false) then opening else '' end || u.one
        || case when hit[u.n] and not coalesce(hit[u.n + 1], false) then closing else '' end, '' order by u.n)
    from unnest(string_to_array(run, null)) with ordinality as u (one, n));
end $function$;

CREATE OR REPLACE FUNCTION public.search_messages(viewer text, look_for tsquery, room text, sender text, since timestamp with time zone, until timestamp with time zone, last_at timestamp with time zone, last_room text, last_seq bigint, most integer, look integer)
 RETURNS TABLE(room_id text, seq bigint)
 LANGUAGE plpgsql
 STABLE ROWS 20
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_sort TO 'off'
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
declare
  wanted tsquery := look_for;
  needed text;
  -- clocks may have been ahead
  latest timestamptz := least(until, last_at, clock_timestamp() + interval '10 days');
  oldest timestamptz := coalesce(since, '-infinity');
  ids text[];
  firsts bigint[];
  lasts bigint[];
  amount bigint;
  scope jsonb;
  horizon timestamptz;
  found_rooms text[];
  found_seqs bigint[];
  more_rooms text[];
  more_seqs bigint[];
  first_at timestamptz;
  said integer := 0;
  mixed boolean;
  low integer;
  high integer;
  span integer := 1;
begin
  select array_agg(r.id order by r.id), array_agg(r.first_seq order by r.id), array_agg(r.last_seq order by r.id),
    sum(r.last_seq - r.first_seq + 1), jsonb_object_agg(r.id, null)
  into ids, firsts, lasts, amount, scope
  from members m join rooms r on r.id = m.room_id
  where m.user_id = viewer and (room is null or m.room_id = room) and r.last_seq >= r.first_seq;
  if ids is null then
    return;
  end if;
  if sender is not null then
    wanted := wanted && ('''' || E'\x01u' || sender || '''')::tsquery;
  end if;
  -- where times are not in the order of seqs the newest of a room are not its last
  mixed := exists (select from message_order o where o.room_id = any (ids));
  if cardinality(ids) <= 8 and latest < now() and not mixed then
    -- a few lookups a room find the newest messages up to that time
    lasts := array(
      select first_since(o.id, latest + interval '1 millisecond') - 1 from unnest(ids) with ordinality as o (id, n) order by o.n);
  end if;
  if amount <= look or (cardinality(ids) <= 8 and not mixed) then
    with room as materialized (
      select o.id collate "C" as id, o.first, o.last, ceil(look * (o.last - o.first + 1)::float / amount)::integer as share
      from unnest(ids, firsts, lasts) as o (id, first, last) where o.last >= o.first
    ), looked as materialized (
      select r.id, r.first, r.share, x.* from room r cross join lateral (
        select s.seq, s.at, s.words @@ wanted as hit from message_search s
        where s.room_id = r.id and s.seq between r.first and r.last order by s.seq desc limit r.share
      ) x
    ), cut as (
      -- a room of which there is more: below this nothing is known
      select max(c.edge) as edge from (
        select min(l.at) as edge from looked l group by l.id, l.first, l.share
        having count(*) = l.share and min(l.seq) > l.first) c
    ), hits as (
      select l.id, l.seq, l.at from looked l cross join cut c
      where l.hit and l.at > coalesce(c.edge, '-infinity') and l.at >= oldest and (until is null or l.at < until)
        and (last_at is null or (l.at, l.id, l.seq) < (last_at, last_room, search_messages.last_seq))
      order by l.at desc, l.id desc, l.seq desc limit most
    )
    select coalesce(array_agg(h.id order by h.at desc, h.id desc, h.seq desc), '{}'),
      coalesce(array_agg(h.seq order by h.at desc, h.id desc, h.seq desc), '{}'), (select c.edge from cut c)
    into found_rooms, found_seqs, horizon from hits h;
  else
    with newest as materialized (
      select s.room_id, s.seq, s.at, scope ? s.room_id as mine,
        case when cardinality(ids) <= 64 or scope ? s.room_id then s.words @@ wanted else false end as hit
      from message_search s where s.at <= latest order by s.at desc limit look * 2
    ), cut as (
      select min(n.at) as edge, count(*) filter (where n.hit) as said from newest n having count(*) = look * 2
    ), hits as (
      select n.room_id, n.seq, n.at from newest n join rooms r on r.id = n.room_id and n.seq >= r.first_seq
      where n.hit and n.mine and n.at > coalesce((select c.edge from cut c), '-infinity')
        and n.at >= oldest and (until is null or n.at < until)
        and (last_at is null or (n.at, n.room_id, n.seq) < (last_at, last_room, search_messages.last_seq))
      order by n.at desc, n.room_id desc, n.seq desc limit most
    )
    select coalesce(array_agg(h.room_id order by h.at desc, h.room_id desc, h.seq desc), '{}'),
      coalesce(array_agg(h.seq order by h.at desc, h.room_id desc, h.seq desc), '{}'),
      (select c.edge from cut c), (select c.said from cut c)
    into found_rooms, found_seqs, horizon, said from hits h;
  end if;
  if cardinality(found_seqs) = most or horizon is null or horizon < oldest then
    return query select * from unnest(found_rooms, found_seqs);
    return;
  end if;
  needed := search_needed(wanted);
  if cardinality(ids) <= 8 or (cardinality(ids) <= 64 and said > 5) then
    needed := '(' || needed || ') & ('
      || (select string_agg('''' || E'\x01r' || o.id || '''', '|') from unnest(ids) as o (id)) || ')';
  end if;
  -- an import may have brought messages that are older than their room
  select min(x.at) into first_at from unnest(ids, firsts) as o (id, first)
  cross join lateral (
    (select s.at from message_search s where s.room_id = o.id and s.seq >= o.first order by s.seq limit 1)
    union all
    (select m.at from message_order m where m.room_id = o.id and not m.expired order by m.at limit 1)
  ) x;
  low := search_bucket(greatest(oldest, first_at));
  high := search_bucket(latest);
  found_rooms := '{}';
  found_seqs := '{}';
  while high >= low and cardinality(found_seqs) < most loop
    select coalesce(array_agg(f.room_id order by f.at desc, f.room_id desc, f.seq desc), '{}'),
      coalesce(array_agg(f.seq order by f.at desc, f.room_id desc, f.seq desc), '{}')
    into more_rooms, more_seqs
    from (
      select x.room_id, x.seq, x.at
      from (
        select s.room_id, s.seq, s.at from generate_series(greatest(low, high - span + 1), high) as b (bucket)
        cross join lateral (
          select s.room_id, s.seq, s.at from message_search s
          where search_keys(s.words, s.at) @@ search_in(needed, b.bucket) and s.words @@ wanted and scope ? s.room_id
            and s.at >= oldest and (until is null or s.at < until)
            and (last_at is null or (s.at, s.room_id, s.seq) < (last_at, last_room, search_messages.last_seq))
          offset 0
        ) s
        offset 0
      ) x
      join rooms r on r.id = x.room_id and x.seq >= r.first_seq
      order by x.at desc, x.room_id desc, x.seq desc limit most - cardinality(found_seqs)
    ) f;
    found_rooms := found_rooms || more_rooms;
    found_seqs := found_seqs || more_seqs;
    high := high - span;
    span := least(span * 2, 64);
  end loop;
  return query select * from unnest(found_rooms, found_seqs);
end $function$;

CREATE OR REPLACE FUNCTION public.search_needed(look_for tsquery)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select regexp_replace(querytree(look_for), '<(-|[0-9]+)>', '&', 'g')
$function$;

CREATE OR REPLACE FUNCTION public.search_parse(lang text, query text, every boolean, OUT wanted tsquery, OUT hits tsquery, OUT runs text[])
 RETURNS record
 LANGUAGE plpgsql
 STABLE PARALLEL SAFE
 SET client_min_messages TO 'warning'
AS $function$
declare
  config regconfig := lang::regconfig;
  folded text := regexp_replace(search_fold(query), '[\u0001-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+', ' ', 'g');
  pattern text := '(-?)(?:"([^"]*)(?:"|$)|([^ "]+))';
  parts integer;
  part record;
  term tsquery;
  side tsquery;
  other boolean := false;
begin
  runs := '{}';
  if every then
    wanted := search_term(config, query, false, false, true);
    return;
  end if;
  select count(*) into parts from regexp_matches(folded, pattern, 'g');
  for part in
    select p.n, p.m[1] = '-' as without, p.m[2] is not null as quoted, coalesce(p.m[2], p.m[3]) as said
    from regexp_matches(folded, pattern, 'g') with ordinality as p (m, n)
  loop
    if part.said = 'or' and not part.quoted and not part.without and numnode(side) > 0 then
      other := true;
      continue;
    end if;
    term := search_term(
      config, part.said, part.quoted, part.n = parts and not part.without and not other and right(folded, 1) <> ' ', false);
    continue when numnode(term) = 0;
    if not part.without then
      select coalesce(hits || found.any, hits, found.any) into hits
      from (
        select string_agg(m[1], '|')::tsquery as any
        from regexp_matches(regexp_replace(
          case when term::text ~ ('[' || search_unspaced() || ']')
            then search_term(config, regexp_replace(search_plain(part.said), '[' || search_unspaced() || ']+', ' ', 'g'), false,
              part.n = parts and not other and not part.quoted and right(folded, 1) <> ' ', false)::text
            else term::text end, '!', '', 'g'), '(''[^'']+''(?::\*)?)', 'g') as m
      ) found;
      runs := runs || array(select m[1] from regexp_matches(search_plain(part.said), '[' || search_unspaced() || ']+', 'g') as m);
    end if;
    term := case when part.without then !!term else term end;
    if other then
      wanted := coalesce(wanted || side, side);
      side := null;
      other := false;
    end if;
    side := coalesce(side && term, term);
  end loop;
  wanted := coalesce(wanted || side, side, wanted, ''::tsquery);
end $function$;

CREATE OR REPLACE FUNCTION public.search_plain(content text)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
AS $function$
declare
  folded text := search_fold(content);
begin
  if octet_length(folded) = length(folded) then
    return translate(folded, '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', '                                ');
  end if;
  return regexp_replace(folded, '[' || search_between() || ']+', ' ', 'g');
end $function$;

CREATE OR REPLACE FUNCTION public.search_query(lang text, query text, prefix text)
 RETURNS tsquery
 LANGUAGE sql
 STABLE
AS $function$
  select wanted from search_parse(lang, query || prefix, false)
$function$;

CREATE OR REPLACE FUNCTION public.search_runs(plain text)
 RETURNS tsvector
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select coalesce(string_agg('''' || c.one || coalesce(c.next, '') || ''':' || least(c.place, 16383), ' ')::tsvector, '')
  from (
    select u.one, lead(u.one) over (partition by r.n order by u.i) as next, row_number() over (order by r.n, u.i) + r.n as place
    from regexp_matches(plain, '[' || search_unspaced() || ']+', 'g') with ordinality as r (m, n)
    cross join lateral unnest(string_to_array(r.m[1], null)) with ordinality as u (one, i)
  ) c
$function$;

CREATE OR REPLACE FUNCTION public.search_size(wanted tsquery)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select (count(*) filter (where t.m[1] in ('|', '!') or t.m[1] !~ ('^''[' || search_unspaced() || ']'))
    + ceil(count(*) filter (where t.m[1] ~ ('^''[' || search_unspaced() || ']')) / 4.0))::integer
  from regexp_matches(wanted::text, '(''[^'']*''|[|!])', 'g') as t (m)
$function$;

CREATE OR REPLACE FUNCTION public.search_term(config regconfig, part text, quoted boolean, prefix boolean, every boolean)
 RETURNS tsquery
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
 SET client_min_messages TO 'warning'
AS $function$
declare
  plain text := search_plain(part);
  unspaced text := '[' || search_unspaced() || ']+';
  words text;
  last text;
  term tsquery;
  run text;
begin
  words := regexp_replace(plain, unspaced, ' ', 'g');
  if every then
    select string_agg('''' || w || ''':*', ' & ') into last from string_to_table(words, ' ') as w where w <> '';
    term := to_tsquery(config, coalesce(last, ''));
  else
    last := case when prefix and not quoted and right(words, 1) <> ' ' then substring(words from '[^ ]+$') end;
    if length(last) < 2 then
      last := null;
    end if;
    if last is not null then
      words := left(words, -length(last));
    end if;
    term := case when quoted then phraseto_tsquery(config, words) else plainto_tsquery(config, words) end;
    if last is not null then
      term := term && to_tsquery(config, '''' || last || ''':*');
    end if;
  end if;
  for run in select m[1] from regexp_matches(plain, unspaced, 'g') as m loop
    term := term && case when length(run) = 1 then ('''' || run || ''':*')::tsquery
      else (
        select string_agg('''' || substr(run, i, 2) || '''', '<->' order by i) from generate_series(1, length(run) - 1) as i
      )::tsquery end;
  end loop;
  return term;
end $function$;

CREATE OR REPLACE FUNCTION public.search_text(body jsonb)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select case jsonb_typeof(body)
    when 'string' then body #>> '{}'
    when 'object' then case when not body ? 'encrypted' and jsonb_typeof(body -> 'text') = 'string' then body ->> 'text' end
  end
$function$;

CREATE OR REPLACE FUNCTION public.search_touches(config regconfig, plain text, hits tsquery, runs text[])
 RETURNS boolean
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
AS $function$
declare
  run text;
begin
  foreach run in array coalesce(runs, '{}') loop
    if strpos(plain, run) > 0 then
      return true;
    end if;
  end loop;
  if numnode(hits) is null or numnode(hits) = 0 then
    return false;
  elsif octet_length(plain) = length(plain) then
    return to_tsvector(config, plain) @@ hits;
  end if;
  return to_tsvector(config, regexp_replace(plain, '[' || search_unspaced() || ']+', ' ', 'g')) @@ hits;
end $function$;

CREATE OR REPLACE FUNCTION public.search_unspaced()
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select '\u0870-\u0887\u0889-\u088f\u08b5\u08be-\u08c9\u09f4-\u09f9\u0b72-\u0b77\u0bf0-\u0bf2\u0c5c\u0c5d\u0c78-\u0c7e\u0cdc\u0cdd\u0d04\u0d58-\u0d5e\u0d70-\u0d78\u0e00-\u0fff\u1000-\u109f\u1100-\u11ff\u1369-\u137c\u170d\u171f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u1b4c\u1c89\u1c8a\u20a0-\u20a7\u20a9-\u20cf\u2190-\u245f\u24eb-\u2bff\u2c2f\u2c5f\u2cfd\u2e80-\u2fdf\u3004-\u3007\u3012\u3013\u3020-\u302f\u3031-\u303c\u303e-\u309f\u30a1-\u30fa\u30fc-\u31ff\u3248-\u324f\u3400-\u4dbf\u4dc0-\u9fff\ua000-\ua4cf\ua7c0\ua7c1\ua7c7-\ua7ca\ua7cc-\ua7db\ua7f1\ua7f5\ua7f6\ua830-\ua835\ua960-\ua9ff\uaa60-\uaadf\uab68\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdf\U00010000-\U0001d3ff\U0001d800-\U0001f0ff\U0001f10b\U0001f10c\U0001f1e6-\U0001fbef\U0001fc00-\U0010ffff'
$function$;

CREATE OR REPLACE FUNCTION public.search_vector(config regconfig, content text)
 RETURNS tsvector
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
AS $function$
declare
  plain text := search_plain(content);
begin
  if octet_length(plain) = length(plain) then
    return to_tsvector(config, plain);
  end if;
  return to_tsvector(config, regexp_replace(plain, '[' || search_unspaced() || ']+', ' ', 'g')) || search_runs(plain);
end $function$;

CREATE OR REPLACE FUNCTION public.search_words(lang text, content text)
 RETURNS tsvector
 LANGUAGE sql
 STABLE PARALLEL SAFE
AS $function$
  select search_vector(lang::regconfig, content)
$function$;

CREATE OR REPLACE FUNCTION public.set_role(room text, actor text, subject text, new_role text, rights jsonb)
 RETURNS text
 LANGUAGE sql
AS $function$
  select set_role(room, actor, subject, new_role, rights, null::jsonb)
$function$;

CREATE OR REPLACE FUNCTION public.set_role(room text, actor text, subject text, new_role text, rights jsonb, seen jsonb)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
declare
  e record;
  was text;
  present jsonb;
begin
  select * into e from enter_room(room, actor, rights);
  select m.role, jsonb_build_object('role', m.role, 'joinedAt', floor(extract(epoch from m.joined_at) * 1000), 'mutedUntil',
    case
      when m.muted_until = 'infinity' then '"infinity"'::jsonb
      when m.muted_until > now() then to_jsonb(floor(extract(epoch from m.muted_until) * 1000))
    end)
  into was, present from members m where m.room_id = room and m.user_id = subject;
  if e.refusal is not null then
    return e.refusal;
  elsif was is null then
    return 'no_subject';
  elsif seen <> present then
    return 'stale';
  elsif was = new_role then
    return 'already';
  elsif not is_below(rights, e.actor_role, was) or not may_give(rights, e.actor_role, new_role) then
    return 'forbidden';
  end if;
  update members m set role = new_role, muted_until = case when new_role in ('member', 'guest') then m.muted_until end
  where m.room_id = room and m.user_id = subject;
  if new_role = 'guest' or is_below(rights, was, new_role) then
    delete from invitations i where i.room_id = room and i.invited_by = subject;
  end if;
  return 'role';
end $function$;

CREATE OR REPLACE FUNCTION public.sharing_a_room(viewers text[], users text[])
 RETURNS SETOF integer
 LANGUAGE sql
 STABLE
AS $function$
  select s.n from sights(viewers, users) s where s.blocked_at is null
$function$;

CREATE OR REPLACE FUNCTION public.sights(viewers text[], users text[])
 RETURNS TABLE(n integer, blocked_at timestamp with time zone, blocked_ms bigint)
 LANGUAGE plpgsql
 STABLE
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
begin
  return query
  select p.n::integer, k.at, (extract(epoch from clock_timestamp() - k.at) * 1000)::bigint
  from unnest(viewers, users) with ordinality as p (viewer, user_id, n)
  left join lateral (
    select true as shared from members a join members b on b.room_id = a.room_id and b.user_id = p.user_id
    where p.viewer <> p.user_id and a.user_id = p.viewer limit 1
  ) s on true
  left join lateral (
    -- with offset, here and below, a block is found by both users, and the table is not read whole
    select o.at from blocks o where o.user_id = p.user_id and o.blocked_id = p.viewer offset 0
  ) k on true
  where p.viewer = p.user_id or s.shared and not exists (
    select from blocks o where o.user_id = p.viewer and o.blocked_id = p.user_id offset 0);
end $function$;

CREATE OR REPLACE FUNCTION public.slow_down(batch jsonb, committed_at timestamp with time zone)
 RETURNS integer[]
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_sort TO 'off'
 SET jit TO 'off'
AS $function$
declare
  slowed integer[];
begin
  -- in the order of mark_read, which locks rows of members too
  perform from members m where (m.room_id, m.user_id) in (
    select e.v ->> 0, e.v ->> 2 from jsonb_array_elements(batch) as e (v)
    join rooms r on r.id = e.v ->> 0 where r.slow_mode_s > 0 and e.v ->> 6 is null)
  order by m.room_id, m.user_id for no key update;
  with input as materialized (
    select e.n::integer as n, e.v ->> 0 as room_id, (e.v ->> 1)::uuid as id, e.v ->> 2 as sender_id,
      (e.v ->> 4)::bigint as reply_to
    from jsonb_array_elements(batch) with ordinality as e (v, n) where e.v ->> 6 is null
  ), concerned as materialized (
    -- the inputs that append_messages would store
    select i.n, i.room_id, i.sender_id, m.last_sent_at + r.slow_mode_s * interval '1 second' as free_at,
      row_number() over (partition by i.room_id, i.sender_id order by i.n) as nth
    from input i
    join rooms r on r.id = i.room_id
    join members m on m.room_id = i.room_id and m.user_id = i.sender_id
    where r.slow_mode_s > 0 and m.role = 'member' and r.archived_at is null and r.senders = 'all'
      and (m.muted_until is null or m.muted_until <= committed_at) and (i.reply_to is null or i.reply_to <= r.last_seq)
      and (
        select d.seq from messages d
        where d.room_id collate "POSIX" = i.room_id and d.id >= i.id and d.id <= i.id order by d.id limit 1) is null
  ), noted as (
    update members m set last_sent_at = committed_at from concerned c
    where c.nth = 1 and (c.free_at is null or c.free_at <= committed_at)
      and m.room_id = c.room_id and m.user_id = c.sender_id
  )
  select array_agg(c.n) into slowed from concerned c where c.nth > 1 or c.free_at > committed_at;
  return coalesce(slowed, '{}');
end $function$;

CREATE OR REPLACE FUNCTION public.thread_state(t threads)
 RETURNS text
 LANGUAGE sql
 STABLE
AS $function$
  select concat(
    ',"thread":{"root":', t.root, ',"replies":', t.replies,
    ',"lastReplyAt":', (extract(epoch from t.last_reply_at) * 1000)::bigint,
    ',"repliers":', array_to_json(t.repliers), ',"rev":', t.rev, '}')
$function$;

CREATE OR REPLACE FUNCTION public.token_revoked(subject text, its_hash text, issued bigint)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  select exists (
    select from revocations r where r.user_id = subject
      and (r.token = its_hash or r.issued_before > issued and r.spared is distinct from its_hash))
$function$;

CREATE OR REPLACE FUNCTION public.transfer_room(room text, actor text, subject text, rights jsonb)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
declare
  e record;
begin
  select * into e from enter_room(room, actor, rights);
  if e.refusal is not null then
    return e.refusal;
  elsif actor = subject then
    return 'already';
  elsif not exists (select from members m where m.room_id = room and m.user_id = subject) then
    return 'no_subject';
  end if;
  -- in the order of mark_read, which locks rows of members too
  perform from members m where m.room_id = room and m.user_id in (actor, subject)
  order by m.room_id, m.user_id for no key update;
  update members m set role = case when m.user_id = actor then 'admin' else 'owner' end, muted_until = null
  where m.room_id = room and m.user_id in (actor, subject);
  return 'transferred';
end $function$;

CREATE OR REPLACE FUNCTION public.trim_follows(users text[], most integer)
 RETURNS void
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
begin
  with surplus as materialized (
    select o.* from unnest(users) as u (id) cross join lateral (
      select f.room_id, f.root, f.user_id from thread_follows f
      where f.user_id = u.id order by f.followed_at desc offset most
    ) o
  ), free as materialized (
    select f.room_id, f.root, f.user_id from surplus s
    join thread_follows f on f.room_id = s.room_id and f.root = s.root and f.user_id = s.user_id
    for update of f skip locked
  )
  delete from thread_follows f using free
  where f.room_id = free.room_id and f.root = free.root and f.user_id = free.user_id;
end $function$;

CREATE OR REPLACE FUNCTION public.unread_marks(viewer text, after text, max_rooms integer)
 RETURNS TABLE(id text, last_seq bigint, mark bigint)
 LANGUAGE sql
 STABLE
AS $function$
  -- offset: the rooms of the user by key. A join may read the rooms of everybody in their order.
  select r.id, r.last_seq, greatest(m.last_read_seq, r.first_seq - 1)
  from members m
  cross join lateral (select x.id, x.last_seq, x.first_seq from rooms x where x.id = m.room_id offset 0) r
  where m.user_id = viewer and m.room_id > after
  order by m.room_id limit max_rooms
$function$;

CREATE OR REPLACE FUNCTION public.unread_rooms(viewer text, after text, max_rooms integer, max_unread integer)
 RETURNS TABLE(room text, read bigint, seq bigint, unread bigint, mentions bigint, at timestamp with time zone)
 LANGUAGE plpgsql
 STABLE
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
declare
  -- most users block nobody, and then no message is read for its sender
  blocks_some boolean := exists (select from blocks b where b.user_id = viewer);
begin
  return query
  select y.id, y.mark, y.last_seq, least(greatest(y.last_seq - y.mark, 0), max_unread),
    -- two lookups, because one lookup of the user and of everybody reads the mentions of all users. With offset, here
    -- and below, a lookup goes by the whole key
    least(max_unread,
      (select count(*) from (
        select from mentions x
        where x.room_id collate "POSIX" = y.id and x.user_id = viewer and x.seq > y.mark
          and (not blocks_some or not is_from_blocked(viewer, x)) limit max_unread) own)
      + (select count(*) from (
        -- select: a plain '*' fits the partial index, of which every room would be read
        select from mentions x
        where x.room_id collate "POSIX" = y.id and x.user_id = (select '*') and x.seq > y.mark
          and (not blocks_some or not is_from_blocked(viewer, x))
          and not exists (
            select from mentions o where o.room_id = x.room_id and o.seq = x.seq and o.user_id = viewer offset 0)
        limit max_unread) everybody)),
    t.created_at
  from unread_marks(viewer, after, max_rooms) y
  left join lateral (
    select l.created_at from messages l where l.room_id = y.id and l.seq = y.last_seq offset 0) t on true
  order by y.id;
end $function$;

CREATE OR REPLACE FUNCTION public.update_room(room text, actor text, changes jsonb, rights jsonb)
 RETURNS text
 LANGUAGE sql
AS $function$
  select update_room(room, actor, changes, rights, null::jsonb)
$function$;

CREATE OR REPLACE FUNCTION public.update_room(room text, actor text, changes jsonb, rights jsonb, seen jsonb)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
declare
  e record;
begin
  select * into e from enter_room(room, actor, rights);
  if e.refusal is not null then
    return e.refusal;
  elsif seen <> (
    select jsonb_build_object('name', r.name, 'topic', r.topic, 'retentionDays', r.retention_days,
      'slowMode', r.slow_mode_s, 'senders', r.senders, 'editWindow', r.edit_window_s, 'archived', r.archived_at is not null)
    from rooms r where r.id = room) then
    return 'stale';
  end if;
  update rooms r set (name, topic, retention_days, slow_mode_s, senders, edit_window_s) =
    (w.name, w.topic, w.retention_days, w.slow_mode_s, w.senders, w.edit_window_s)
  from (
    select
      case when changes ? 'name' then changes ->> 'name' else x.name end as name,
      case when changes ? 'topic' then changes ->> 'topic' else x.topic end as topic,
      case when changes ? 'retentionDays' then (changes ->> 'retentionDays')::integer else x.retention_days end as retention_days,
      case when changes ? 'slowMode' then (changes ->> 'slowMode')::integer else x.slow_mode_s end as slow_mode_s,
      case when changes ? 'senders' then changes ->> 'senders' else x.senders end as senders,
      case when changes ? 'editWindow' then (changes ->> 'editWindow')::integer else x.edit_window_s end as edit_window_s
    from rooms x where x.id = room
  ) w
  where r.id = room
    and (r.name, r.topic, r.retention_days, r.slow_mode_s, r.senders, r.edit_window_s)
      is distinct from (w.name, w.topic, w.retention_days, w.slow_mode_s, w.senders, w.edit_window_s);
  return case when found then 'updated' else 'unchanged' end;
end $function$;

CREATE OR REPLACE FUNCTION public.use_link(hash bytea, subject text, max_members integer, max_rooms integer, rights jsonb, OUT outcome text, OUT link_room text, OUT given_role text, OUT maker text)
 RETURNS record
 LANGUAGE plpgsql
AS $function$
declare
  e record;
  l join_links;
begin
  select x.room_id, x.made_by into link_room, maker from join_links x where x.token_hash = hash;
  if not found then
    outcome := 'not_found';
    return;
  end if;
  select * into e from enter_room(link_room, maker, rights);
  -- again, for the room was not locked
  select * into l from join_links x where x.token_hash = hash;
  given_role := returning_role(link_room, subject, l.role);
  if l.id is null or l.expires_at <= now() or l.uses >= l.max_uses or not may_give(rights, e.actor_role, l.role) then
    outcome := 'not_found';
  elsif exists (select from members m where m.room_id = link_room and m.user_id = subject) then
    outcome := 'already';
  elsif e.refusal is not null then
    outcome := case e.refusal when 'archived' then 'archived' else 'not_found' end;
  else
    outcome := admit(link_room, subject, given_role, max_members, max_rooms);
    if outcome = 'joined' then
      update join_links x set uses = x.uses + 1 where x.room_id = link_room and x.id = l.id;
    end if;
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.wal_position(OUT timeline text, OUT lsn bigint)
 RETURNS record
 LANGUAGE plpgsql
AS $function$
begin
  timeline := substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8);
  lsn := (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint;
exception when feature_not_supported or insufficient_privilege or undefined_function then
  timeline := '';
  lsn := 0;
end $function$;

CREATE TRIGGER note_membership AFTER INSERT OR DELETE OR UPDATE OF role, muted_until ON public.members FOR EACH ROW EXECUTE FUNCTION note_membership();

CREATE TRIGGER number_membership BEFORE INSERT OR UPDATE OF role, muted_until ON public.members FOR EACH ROW EXECUTE FUNCTION number_membership();

CREATE TRIGGER find_thread BEFORE INSERT ON public.messages FOR EACH ROW WHEN (((new.reply_to IS NOT NULL) AND (new.thread IS NULL))) EXECUTE FUNCTION find_thread();
