-- Expires the messages before a seq, from the next rev on: nobody reads them, whenever their rows go.
-- Takes the room and the first seq that stays. `redo` expires again at the same place, because rows before it were
-- changed after they had expired (delete_expired).
-- Returns one row. rev: the rev of the expiry; null: nothing to do. outbox_id: the outbox row.
-- Locks the room's row.
create or replace function expire_messages(room text, first bigint, redo boolean, out rev bigint, out outbox_id bigint)
returns record
language plpgsql
as $$
begin
  update rooms set first_seq = greatest(first_seq, first), last_rev = last_rev + 1, purged_rev = last_rev + 1
  where id = room and first <= last_seq + 1 and (first_seq < first or redo)
  returning last_rev into rev;
  if rev is not null then
    insert into outbox (entries)
    values (jsonb_build_array(jsonb_build_object('room', room, 'from', rev, 'to', rev, 'lanes', null)))
    returning id into outbox_id;
  end if;
end $$;
