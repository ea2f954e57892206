-- Profiles of users, which REST reads and writes.
-- Runs beside: 0026

alter table users
  add column avatar text, -- an https URL; Parley never fetches it
  add column locale text, -- BCP 47, such as pt-BR
  add column zone text, -- a time zone of IANA, such as Europe/Berlin
  -- When REST set the name. A token that was issued before does not change the name. Null: every token may.
  add column named_at timestamptz;
