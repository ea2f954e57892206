-- Back ends publish messages by REST and in their own transactions: append_messages stores a message of a sender who is not
-- a member, and parley.publish is for callers in SQL.
-- Runs beside: 0026

-- What the relay owes for a row of parley.publish, which no node publishes by itself: the events, and then the mentions.
-- Null: the row is of a node, which deletes the row after it has published the events.
alter table outbox add column relay text check (relay in ('events', 'mentions'));

create schema parley;

do $$
begin
  -- the tables of Parley are in the schema that the migrator puts first
  execute format($create$
    create function parley.publish(
      room text, id uuid, sender text, body jsonb, reply_to bigint default null, lane text default null
    )
    returns bigint
    language plpgsql security definer
    set search_path = %I, pg_temp
    as $body$
    begin
      return publish_message(room, id, sender, body, reply_to, lane);
    end $body$
  $create$, current_schema());
end $$;

comment on function parley.publish is
  'Stores a message and sends it to the members of the room after the commit. Returns its seq. See docs/publish.md.';
revoke all on function parley.publish from public;

-- The role is one of the whole server, so another database may have made it. docs/publish.md has the statements for an owner
-- who may not make roles.
do $$
begin
  if not exists (select from pg_roles where rolname = 'parley_publisher') then
    create role parley_publisher nologin;
  end if;
exception
  when insufficient_privilege or duplicate_object or unique_violation then null;
end $$;

do $$
begin
  if exists (select from pg_roles where rolname = 'parley_publisher') then
    grant usage on schema parley to parley_publisher;
    grant execute on function parley.publish to parley_publisher;
  end if;
end $$;
