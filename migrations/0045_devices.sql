-- The last failure of an attempt of a notification, for `explain`.
-- Runs beside: 0026

alter table notifications add column error text;
