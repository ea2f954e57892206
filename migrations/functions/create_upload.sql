-- Notes an upload before its first byte, within the limits of its owner.
-- Takes the id, the owner, the name and the bytes of the file. `most_open` is the limit of unfinished uploads of the
-- owner. `most_bytes` is the limit of bytes of all files of the owner.
-- Returns `ok`, `open` over the limit of unfinished uploads, or `bytes` over the limit of bytes.
-- Locks the uploads of the owner by an advisory lock, so that two uploads cannot share the last free bytes.
create or replace function create_upload(
  upload uuid, owner text, file_name text, file_bytes bigint, most_open integer, most_bytes bigint
)
returns text
language plpgsql
as $$
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
end $$;
