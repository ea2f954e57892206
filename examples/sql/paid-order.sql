-- A message and a row of another table in one transaction.
-- psql "$DATABASE_URL" -v room=orders -f examples/sql/paid-order.sql
\set ON_ERROR_STOP on

create table if not exists paid_orders (id int primary key, paid_at timestamptz);

begin;
insert into paid_orders values (20, now()) on conflict (id) do nothing;
select parley.publish(:'room', gen_random_uuid(), 'shop', '{"text":"Order 20 is paid"}') as stored;
commit;

-- After a rollback there is no message, and its number goes to the next one.
begin;
select parley.publish(:'room', gen_random_uuid(), 'shop', '{"text":"Order 21 is paid"}') as not_stored;
rollback;
