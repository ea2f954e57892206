-- Placeholder until the rooms branch is merged, whose 0005 takes its place: days that messages are kept, null: for ever.
alter table rooms add column if not exists retention_days integer;
