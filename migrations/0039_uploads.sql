-- Files that users upload, and the message that names each file. The bytes are in the store of uploads.
-- Runs beside: 0026

create table uploads (
  id uuid primary key,
  owner_id text collate "C" not null,
  name text not null,
  type text, -- by the content of the file; null while bytes are missing
  bytes bigint not null check (bytes > 0), -- of the whole file, also while bytes are missing
  state text not null default 'open' check (state in ('open', 'complete', 'removed')),
  created_at timestamptz not null default clock_timestamp(),
  -- the message that names the file; the message may not be stored yet, or not any more
  room_id text collate "C",
  message_id uuid,
  claimed_at timestamptz, -- when the message named the file: the message may be stored a moment later
  -- the request that writes the file, and the end of its hold if its node dies
  held_by uuid,
  held_until timestamptz,
  check ((room_id is null) = (message_id is null)),
  check ((state = 'open') = (type is null) or state = 'removed')
);
create index uploads_by_owner on uploads (owner_id);
