/**
 * Tokens that are revoked before they expire. The table is the only truth. Each CONNECT reads it, and every node reads new
 * rows each second, or at once after a notice of another node. Migrations/0003 describes the rows.
 */
import type { postgres } from '../storage/sql.ts';
import type { Applied } from '../storage/confirmations.ts';
import { TokenNaming } from './token-naming.ts';
import type { Admission, Identity } from './tokens.ts';

export type RevocationReason = 'user' | 'operator';

export interface Revocation {
  readonly id: number;
  /** The transaction that made it. */
  readonly xid: string;
  readonly user: string;
  readonly token: string | null;
  readonly session: string | null;
  /** By the issuer's clock. Known tokens of this second and later ones have separate rows. */
  readonly issuedBefore: number | null;
  readonly spared: string | null;
  readonly sparedSession: string | null;
  readonly reason: RevocationReason;
}

const unnamedMs = 60_000;
const page = 1000;

/** The most tokens that a revocation of all tokens of a user names: the youngest ones. */
const maxNamed = 1000;

/** Marks the other tokens as admitted. @returns the places of the revoked tokens. */
export async function revokedAmong(sql: postgres.Sql, tokens: readonly Identity[]): Promise<ReadonlySet<number>> {
  const [row] = await sql<[Admission & { revoked: number[] }]>`
    select pg_current_snapshot()::text as snapshot, floor(extract(epoch from clock_timestamp()) * 1000)::int8 as at,
      array(
        select t.n::int
        from unnest(
          ${tokens.map(({ user }) => user)}::text[], ${tokens.map(({ key }) => key)}::text[],
          ${tokens.map(({ issuedAt }) => issuedAt)}::int8[]
        ) with ordinality as t (user_id, token, issued, n)
        where token_revoked(t.user_id, t.token, t.issued)
      ) as revoked`;
  const revoked = new Set(row.revoked.map((n) => n - 1));
  const admission = { snapshot: row.snapshot, at: row.at };
  tokens.forEach((token, i) => {
    if (!revoked.has(i)) token.admitted ??= admission;
  });
  return revoked;
}

/** Whether a revocation was there when the token was admitted; the token is younger than the revocation then. */
export function admittedAfter({ xid }: Revocation, { snapshot }: Admission): boolean {
  const [xmin = '', xmax = '', running = ''] = snapshot.split(':');
  const id = BigInt(xid);
  return id < BigInt(xmin) || (id < BigInt(xmax) && !running.split(',').includes(xid));
}

/** The tokens of a user that a node admitted before a revocation, and the issuer's clock as they show it. */
export interface KnownHere {
  readonly tokens: readonly Identity[];
  readonly clock: number | null;
}

function newest(tokens: readonly Identity[]): readonly Identity[] {
  if (tokens.length <= maxNamed) return tokens;
  return tokens.toSorted((a, b) => b.issuedAt - a.issuedAt).slice(0, maxNamed);
}

export class Revocations {
  readonly #sql: postgres.Sql;
  #stored: () => void = () => {};
  readonly #applied: (of: Applied) => Promise<void>;
  readonly #naming: TokenNaming;

  /** @param applied resolves when no other node serves a revoked token. */
  constructor(sql: postgres.Sql, applied: (of: Applied) => Promise<void>) {
    this.#sql = sql;
    this.#applied = applied;
    this.#naming = new TokenNaming(sql);
  }

  /** @param listener called after each revocation is stored. Nodes read new revocations within a second in any case. */
  onStored(listener: () => void): void {
    this.#stored = listener;
  }

  /** @returns the places of revoked tokens in the list */
  revokedAmong(tokens: readonly Identity[]): Promise<ReadonlySet<number>> {
    return revokedAmong(this.#sql, tokens);
  }

  async isRevoked(token: Identity): Promise<boolean> {
    return (await revokedAmong(this.#sql, [token])).size > 0;
  }

  /**
   * Every token of the user that was issued until now, but `spare`'s; its session is the only one that is not closed.
   * @param here what this node knows of the user; other nodes add theirs when they read the revocation
   * @returns false if the spared token is revoked itself; then nothing was done.
   */
  async revokeAll(
    user: string,
    reason: RevocationReason,
    spare?: { readonly token: Identity; readonly session: string },
    here: KnownHere = { tokens: [], clock: null },
  ): Promise<boolean> {
    const named = newest(here.tokens.filter(({ key }) => key !== spare?.token.key));
    const [row] = await this.#sql<[{ done: boolean }]>`
      select revoke_all(${user}, ${spare?.token.key ?? null}, ${spare?.token.issuedAt ?? null},
        ${spare?.session ?? null}, ${reason}, ${here.clock}::int8, ${named.map(({ key }) => key)}::text[],
        ${named.map(({ issuedAt }) => issuedAt)}::int8[], ${named.map(({ expires }) => expires)}::int8[]) as done`;
    this.#stored();
    if (row.done) await this.#applied({ kind: 'revocation', user });
    return row.done;
  }

  /** Adds what this node knows to a revocation of all tokens, which was made elsewhere. */
  async complete({ id, user, issuedBefore, reason, spared }: Revocation, here: KnownHere): Promise<void> {
    const [row] =
      here.clock === null
        ? [{ boundary: issuedBefore }]
        : await this.#sql<
            { boundary: number | null }[]
          >`select correct_revocation(${id}, ${here.clock}::int8) as boundary`;
    const boundary = row?.boundary ?? issuedBefore ?? 0;
    const named = newest(here.tokens.filter(({ key, issuedAt }) => key !== spared && issuedAt >= boundary));
    if (named.length === 0) return;
    await this.#sql`
      select revoke_tokens(${user}, ${named.map(({ key }) => key)}::text[],
        ${named.map(({ expires }) => expires)}::int8[], ${reason})`;
    this.#stored();
  }

  /** Revokes the token of a live connection. @returns false if no node has that connection. */
  async revokeSession(user: string, session: string, reason: RevocationReason): Promise<boolean> {
    const [{ id }] = await this.#sql<[{ id: number }]>`
      insert into revocations (user_id, session, reason, expires_at)
      values (${user}, ${session}, ${reason}, clock_timestamp() + ${unnamedMs} * interval '1 ms')
      returning id`;
    this.#stored();
    if (!(await this.#naming.wait(id))) return false;
    // other connections with its token may be on other nodes
    await this.#applied({ kind: 'revocation', user });
    return true;
  }

  /** Names the token of the revoked session, which is on this node. */
  async nameToken(id: number, token: Identity): Promise<void> {
    // a new transaction's id, so that the other nodes read it once more, now with the token
    await this.#sql`
      update revocations set token = ${token.key}, expires_at = ${token.expires}, xid = pg_current_xact_id()
      where id = ${id} and token is null`;
    this.#stored();
  }

  /** A cursor before every later commit. */
  async cursor(): Promise<string> {
    const [{ xmin }] = await this.#sql<
      [{ xmin: string }]
    >`select pg_snapshot_xmin(pg_current_snapshot())::text as xmin`;
    return xmin;
  }

  /**
   * The revocations that were committed since the cursor, and the next cursor. A transaction that was open at the cursor may have had
   * a lower id than others that were done; therefore some rows come again.
   */
  async since(cursor: string): Promise<{ cursor: string; rows: Revocation[] }> {
    let next: string | undefined;
    const rows: Revocation[] = [];
    for (let after = { xid: cursor, id: 0 }; ;) {
      // older than a day: out of another database's backup, whose transactions counted further
      const found = await this.#sql<(RevocationRow & { xmin: string })[]>`
        select s.xmin, r.* from (select pg_snapshot_xmin(pg_current_snapshot())::text as xmin) s
        left join lateral (
          select id, xid::text as xid, user_id, token, session, issued_before, spared, spared_session, reason
          from revocations
          where (revocations.xid, id) > (${after.xid}::text::xid8, ${after.id}::int8)
            and created_at > clock_timestamp() - interval '1 day'
          order by revocations.xid, id limit ${page}
        ) r on true`;
      // the cursor of the first page: commits during the other pages come again
      next ??= found[0]?.xmin ?? cursor;
      for (const row of found) if (row.id !== null) rows.push(revocationOf(row));
      const last = rows.at(-1);
      if (found.length < page || last === undefined) return { cursor: next, rows };
      after = { xid: last.xid, id: last.id };
    }
  }

  async prune(): Promise<void> {
    // locked rows are deleted in the next round
    await this.#sql`
      delete from revocations where ctid = any (array(
        select ctid from revocations where expires_at < clock_timestamp() for update skip locked))`;
  }
}

interface RevocationRow {
  id: number | null;
  xid: string;
  user_id: string;
  token: string | null;
  session: string | null;
  issued_before: number | null;
  spared: string | null;
  spared_session: string | null;
  reason: RevocationReason;
}

function revocationOf(row: RevocationRow): Revocation {
  return {
    id: row.id ?? 0,
    xid: row.xid,
    user: row.user_id,
    token: row.token,
    session: row.session,
    issuedBefore: row.issued_before,
    spared: row.spared,
    sparedSession: row.spared_session,
    reason: row.reason,
  };
}
