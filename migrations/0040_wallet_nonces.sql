-- Nonces with which a wallet has signed in, until their end.
-- Runs beside: 0026

create table wallet_nonces (
  nonce text primary key,
  ends_at timestamptz not null
);
create index wallet_nonces_by_end on wallet_nonces (ends_at);
