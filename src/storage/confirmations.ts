/**
 * Which nodes have applied what: the acknowledgement of a removal waits until every node that may still deliver has
 * applied it, or may not deliver any more.
 *
 * A node has a row for as long as it may deliver. The row holds the snapshot of Postgres up to which the node has applied
 * changes of membership and revocations. Each look of a node compares that snapshot with the log; a look that finds
 * nothing new, or that was applied and confirmed, lets the node deliver for `leaseMs` from the moment the look began.
 *
 * A change waits for every row whose snapshot does not contain it. After `leaseMs` the node of such a row has not looked
 * since the change, so its lease has ended; the row is deleted, and later changes do not wait for it. A node that finds no
 * row of its own registers, and looks again before it delivers. No clock of one machine is compared with another's.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { postgres } from './sql.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/** How long a node may deliver after the beginning of a look. The same on all nodes, so it is no setting. */
export const leaseMs = 3000;

/** In place of a user in the log of memberships: every member of the room. */
export const everyMember = '*';

/** A snapshot that contains nothing: a node that has just registered has confirmed nothing. */
const nothing = '1:1:';
const firstPauseMs = 4;
const longestPauseMs = 50;

/** A change to wait for. Without a room: in any room. */
export type Applied =
  | { readonly kind: 'membership'; readonly room?: string; readonly user: string }
  | { readonly kind: 'revocation'; readonly user: string };

export interface Reading {
  readonly snapshot: string;
  /** Whether the node has a row. */
  readonly registered: boolean;
  /** Whether the log holds anything that the node has not confirmed. */
  readonly news: boolean;
}

interface Wait {
  readonly of: Applied;
  readonly deadline: number;
  readonly resolve: () => void;
}

interface Pending {
  n: number;
  node: string;
  confirmed: string;
}

export interface ConfirmationsOptions {
  readonly sql: postgres.Sql;
  readonly metrics?: Pick<Metrics, 'unconfirmedNodes'> | undefined;
  readonly log?: Log | undefined;
}

export class Confirmations {
  readonly #options: ConfirmationsOptions;
  /** Of this process, not of the configured name, which another process may have taken over. */
  readonly #node = randomUUID();
  readonly #waits = new Set<Wait>();
  #waiting = false;

  constructor(options: ConfirmationsOptions) {
    this.#options = options;
  }

  async look(): Promise<Reading> {
    // a row of another history (a restored database) has transactions that this one has not reached: it counts as none
    const [row] = await this.#options.sql<[Reading]>`
      select pg_current_snapshot()::text as snapshot, n.node is not null as registered,
        exists (
          select from membership_changes c
          where c.xid >= pg_snapshot_xmin(n.confirmed) and not pg_visible_in_snapshot(c.xid, n.confirmed)
        ) or exists (
          select from revocations r
          where r.xid >= pg_snapshot_xmin(n.confirmed) and not pg_visible_in_snapshot(r.xid, n.confirmed)
        ) as news
      from (select) one
      left join node_confirmations n on n.node = ${this.#node}
        and pg_snapshot_xmax(n.confirmed) <= pg_snapshot_xmax(pg_current_snapshot())`;
    return row;
  }

  async register(): Promise<void> {
    await this.#options.sql`
      insert into node_confirmations (node, confirmed) values (${this.#node}, ${nothing}::text::pg_snapshot)
      on conflict (node) do update set confirmed = excluded.confirmed, at = clock_timestamp()`;
  }

  /** All that the snapshot contains is applied here. @returns false if the row is gone: nothing is confirmed. */
  async confirm(snapshot: string): Promise<boolean> {
    const rows = await this.#options.sql`
      update node_confirmations set confirmed = ${snapshot}::text::pg_snapshot, at = clock_timestamp()
      where node = ${this.#node}`;
    return rows.count > 0;
  }

  /** This node delivers nothing any more. */
  async leave(): Promise<void> {
    await this.#options.sql`delete from node_confirmations where node = ${this.#node}`;
  }

  /** No other process has this database: rows of others are left from processes that were killed. */
  async forgetOthers(): Promise<void> {
    await this.#options.sql`delete from node_confirmations where node <> ${this.#node}`;
  }

  /**
   * Resolves when no other node delivers by what was before a change that is committed. It never rejects, and takes
   * `leaseMs` at most: a node that cannot be reached has stopped by then.
   */
  applied(of: Applied): Promise<void> {
    return new Promise((resolve) => {
      this.#waits.add({ of, deadline: performance.now() + leaseMs, resolve });
      if (!this.#waiting) void this.#watch();
    });
  }

  /** One query at a time for all that wait. */
  async #watch(): Promise<void> {
    this.#waiting = true;
    for (let pauseMs = firstPauseMs; this.#waits.size > 0; pauseMs = Math.min(longestPauseMs, pauseMs * 1.5)) {
      const waits = [...this.#waits];
      const from = performance.now();
      let pending: readonly Pending[] | undefined;
      try {
        pending = await this.#pending(waits);
      } catch (error) {
        this.#options.log?.debug({ err: error }, 'Could not read which nodes have applied a removal; retrying.');
      }
      await this.#settle(waits, pending, from);
      if (this.#waits.size > 0) await delay(pauseMs);
    }
    this.#waiting = false;
  }

  async #settle(waits: readonly Wait[], pending: readonly Pending[] | undefined, from: number): Promise<void> {
    const late = new Map<string, Pending>();
    const open = new Set((pending ?? []).map(({ n }) => n - 1));
    for (const [i, wait] of waits.entries()) {
      const isLate = from >= wait.deadline;
      if (!isLate && (pending === undefined || open.has(i))) continue;
      for (const row of pending ?? []) if (row.n - 1 === i) late.set(row.node, row);
      this.#waits.delete(wait);
      wait.resolve();
    }
    if (late.size > 0) await this.#forget([...late.values()]);
  }

  /** Their leases have ended. One that has confirmed in this moment stays. */
  async #forget(nodes: readonly Pending[]): Promise<void> {
    const { sql, metrics, log } = this.#options;
    metrics?.unconfirmedNodes.inc(nodes.length);
    log?.warn(
      { nodes: nodes.length },
      `A removal was not confirmed by every node within ${leaseMs} ms. Nodes that did not confirm it deliver nothing until they do.`,
    );
    try {
      await sql`
        delete from node_confirmations n using unnest(
          ${nodes.map(({ node }) => node)}::text[], ${nodes.map(({ confirmed }) => confirmed)}::text[]
        ) as gone (node, confirmed)
        where n.node = gone.node and n.confirmed::text = gone.confirmed`;
    } catch (error) {
      log?.warn(
        { err: error },
        'Could not delete the rows of nodes that stopped; the next removal waits for them again.',
      );
    }
  }

  #pending(waits: readonly Wait[]): Promise<Pending[]> {
    const kinds = waits.map(({ of }) => of.kind);
    const rooms = waits.map(({ of }) => (of.kind === 'membership' ? (of.room ?? null) : null));
    const users = waits.map(({ of }) => of.user);
    return this.#options.sql<Pending[]>`
      with w as materialized (
        select * from unnest(${kinds}::text[], ${rooms}::text[], ${users}::text[]) with ordinality as w (kind, room, subject, n)
      ), unconfirmed as (
        select n.node, n.confirmed, 'membership' as kind, c.room_id as room, c.user_id as subject
        from node_confirmations n join membership_changes c on c.xid >= pg_snapshot_xmin(n.confirmed)
        where n.node <> ${this.#node} and not pg_visible_in_snapshot(c.xid, n.confirmed)
        union all
        select n.node, n.confirmed, 'revocation', null, r.user_id
        from node_confirmations n join revocations r on r.xid >= pg_snapshot_xmin(n.confirmed)
        where n.node <> ${this.#node} and not pg_visible_in_snapshot(r.xid, n.confirmed)
      )
      select distinct w.n::int as n, u.node, u.confirmed::text as confirmed
      from w join unconfirmed u on u.kind = w.kind and u.subject = w.subject and (w.room is null or u.room = w.room)`;
  }
}

/** For what works beside the nodes and is none: `parley users forget`, `parley sessions revoke`. */
export function whenApplied(sql: postgres.Sql): (of: Applied) => Promise<void> {
  const confirmations = new Confirmations({ sql });
  return (of) => confirmations.applied(of);
}
