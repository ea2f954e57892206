/**
 * Which nodes have applied which changes. The acknowledgement of a removal waits until every node has applied the removal, or
 * may not deliver any more.
 *
 * A node has a row for as long as it may deliver. The row holds the snapshot of Postgres up to which the node has applied
 * changes of membership and revocations. Each poll of a node compares that snapshot with the log. If the poll finds no new
 * change, or its changes were applied and confirmed, the node may deliver for `leaseMs` from the poll's beginning.
 *
 * A change waits for every row whose snapshot does not contain it. After `leaseMs` the node of such a row has not polled
 * since the change, so its lease has ended. The row is deleted, and later changes do not wait for that node. A node without a
 * row registers, and polls again before it delivers. No clock of one machine is compared with the clock of another.
 */
import { randomUUID } from 'node:crypto';
import { pause, systemClock, type Clock } from '../jobs/clock.ts';
import type { postgres } from './sql.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/** How long a node may deliver after the beginning of a poll. All nodes need the same value, so this is no setting. */
export const leaseMs = 3000;

/** In place of a user in the log of memberships: every member of the room. */
export const everyMember = '*';

/** An empty snapshot: a node that has just registered has confirmed no change. */
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
  /** Whether the log holds a change that the node has not confirmed. */
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
  readonly clock?: Clock;
}

export class Confirmations {
  readonly #options: ConfirmationsOptions;
  /** The id of this process. Another process may have taken over the configured name. */
  readonly #node = randomUUID();
  readonly #waits = new Set<Wait>();
  readonly #clock: Clock;
  #waiting = false;

  constructor(options: ConfirmationsOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  async poll(): Promise<Reading> {
    // a row of another history (a restored database) has transactions that this history has not reached: it counts as no row
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

  /** Confirms every change that the snapshot contains. @returns false if the row is gone: nothing is confirmed. */
  async confirm(snapshot: string): Promise<boolean> {
    const rows = await this.#options.sql`
      update node_confirmations set confirmed = ${snapshot}::text::pg_snapshot, at = clock_timestamp()
      where node = ${this.#node}`;
    return rows.count > 0;
  }

  /** Removes the row of this node, which delivers nothing any more. */
  async leave(): Promise<void> {
    await this.#options.sql`delete from node_confirmations where node = ${this.#node}`;
  }

  /** Removes the rows of killed processes, where no other process has this database. */
  async forgetOthers(): Promise<void> {
    await this.#options.sql`delete from node_confirmations where node <> ${this.#node}`;
  }

  /**
   * Resolves when no other node delivers by the state before a committed change. The promise never rejects, and takes at
   * most `leaseMs`: a node without a connection to Postgres has stopped delivering by then.
   */
  applied(of: Applied): Promise<void> {
    return new Promise((resolve) => {
      this.#waits.add({ of, deadline: this.#clock.now() + leaseMs, resolve });
      if (!this.#waiting) void this.#watch();
    });
  }

  /** One query at a time for all waiting changes. */
  async #watch(): Promise<void> {
    this.#waiting = true;
    for (let pauseMs = firstPauseMs; this.#waits.size > 0; pauseMs = Math.min(longestPauseMs, pauseMs * 1.5)) {
      const waits = [...this.#waits];
      const from = this.#clock.now();
      let pending: readonly Pending[] | undefined;
      try {
        pending = await this.#pending(waits);
      } catch (error) {
        this.#options.log?.debug(
          { err: error },
          'Could not read from Postgres which nodes have applied a removal; retrying. Its acknowledgement waits for at most 3 s.',
        );
      }
      await this.#settle(waits, pending, from);
      if (this.#waits.size > 0) await pause(pauseMs, this.#clock);
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

  /** Deletes the rows of nodes whose leases have ended. A row that was confirmed in this moment stays. */
  async #forget(nodes: readonly Pending[]): Promise<void> {
    const { sql, metrics, log } = this.#options;
    metrics?.unconfirmedNodes.inc(nodes.length);
    log?.warn(
      { nodes: nodes.length },
      `Some nodes did not confirm a removal within ${leaseMs} ms. Such nodes deliver nothing until they confirm it.`,
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

/** For commands beside the nodes: `parley users forget`, `parley sessions revoke`. */
export function whenApplied(sql: postgres.Sql): (of: Applied) => Promise<void> {
  const confirmations = new Confirmations({ sql });
  return (of) => confirmations.applied(of);
}
