-- Who may see whom, and tokens that are taken back.

-- Tokens that are taken back before they expire. A row says one of three things about its user:
--   token           this token: its hash
--   session         the token of this connection; the node that holds it fills in `token`, and `expires_at`
--   issued_before   all tokens issued before that moment, but the one in `spared`; at most one such row a user
-- CONNECT reads them by user; nodes hear of new ones by reading from a transaction id on.
create table revocations (
  id bigint generated always as identity primary key,
  xid xid8 not null default pg_current_xact_id(),
  user_id text collate "C" not null,
  token text collate "C",
  session text collate "C",
  issued_before bigint, -- milliseconds since 1970, as in tokens
  spared text collate "C",
  spared_session text collate "C",
  reason text not null check (reason in ('user', 'operator')),
  created_at timestamptz not null default clock_timestamp(),
  -- when every token it is about has expired; null: never, for there may be any
  expires_at timestamptz
);

create index revocations_by_user on revocations (user_id);
create index revocations_by_xid on revocations (xid);
create index revocations_by_expiry on revocations (expires_at);

-- Whether a token may not be used any more. issued: milliseconds since 1970, 0 if it does not say.
create function token_revoked(subject text, its_hash text, issued bigint) returns boolean
language sql stable as $$
  select exists (
    select from revocations r where r.user_id = subject
      and (r.token = its_hash or r.issued_before > issued and r.spared is distinct from its_hash))
$$;

-- Revokes all tokens of a user but one. False, and nothing is done, if that one has been revoked itself: who holds a
-- token that was taken back must not save it by taking back the others. The lock puts two such calls in an order.
create function revoke_all(subject text, spared_token text, its_issued bigint, kept_session text, why text) returns boolean
language plpgsql as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('parley:revoke:' || subject, 0));
  if spared_token is not null and token_revoked(subject, spared_token, its_issued) then
    return false;
  end if;
  delete from revocations where user_id = subject and issued_before is not null;
  insert into revocations (user_id, issued_before, spared, spared_session, reason)
  values (subject, floor(extract(epoch from clock_timestamp()) * 1000), spared_token, kept_session, why);
  return true;
end $$;

-- Of pairs of a viewer and a user, the places (from 1) of those who are the same or share a room.
-- Left to the planner it joined all members with all members: 1.1 s for 100 pairs in a room of 1,000. By key: 4 ms.
create function sharing_a_room(viewers text[], users text[]) returns setof integer
language plpgsql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
begin
  return query
  select p.n::integer
  from unnest(viewers, users) with ordinality as p (viewer, user_id, n)
  left join lateral (
    select true as shared from members a join members b on b.room_id = a.room_id and b.user_id = p.user_id
    where p.viewer <> p.user_id and a.user_id = p.viewer limit 1
  ) s on true
  where p.viewer = p.user_id or s.shared;
end $$;
