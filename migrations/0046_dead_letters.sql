-- Dead letters: notifications and deliveries that ended without an arrival, in the order of their deaths.
-- Runs beside: 0026

alter table notifications add column replays integer not null default 0;
-- the attempts of a replay have their own time limit
alter table notifications add column replayed_at timestamptz;
create index notifications_dead on notifications (updated_at, id) where state = 'dead';
create index webhook_deliveries_dead on webhook_deliveries (ended_at, id) where state = 'dead';
