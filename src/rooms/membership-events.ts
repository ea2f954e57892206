/**
 * The events of a committed change of membership. Other nodes subscribe and unsubscribe connections by the `membership`
 * envelope; clients get `member`. The statement that ends a membership returns the data of its events. A read
 * after the commit could fail, and then no node would learn of the end.
 */
import type { Cache } from '../storage/cache.ts';
import { invalidationsOf } from '../storage/cache/invalidations.ts';
import type { postgres } from '../storage/sql.ts';
import type { Envelope, Fanout } from '../fanout/fanout.ts';
import type { EventData } from '../protocol/events.ts';
import type { Role } from '../protocol/model.ts';
import type { Applied } from '../storage/confirmations.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { MemberCoalescer } from './member-coalescer.ts';
import { muteEnd } from './membership-changes.ts';
import { departure, memberToRoom, memberToUser } from './room-events.ts';
import { muteColumns, readSummary, type MuteRow } from './summary.ts';

/** Resolves when no node delivers, answers or accepts by the state before a committed change. */
export type WhenApplied = (of: Applied) => Promise<void>;

export interface MembershipEventsOptions {
  readonly sql: postgres.Sql;
  readonly fanout: Fanout;
  readonly applied: WhenApplied;
  readonly cache: Pick<Cache, 'invalidate'>;
  readonly metrics?: Metrics;
}

export class MembershipEvents {
  readonly #sql: postgres.Sql;
  readonly #fanout: Fanout;
  readonly #applied: WhenApplied;
  readonly #cache: MembershipEventsOptions['cache'];
  readonly #coalescer: MemberCoalescer;

  constructor({ sql, fanout, applied, cache, metrics }: MembershipEventsOptions) {
    this.#sql = sql;
    this.#fanout = fanout;
    this.#applied = applied;
    this.#cache = cache;
    this.#coalescer = new MemberCoalescer({
      publish: (data) => fanout.publish([memberToRoom(data)]),
      publishLate: (data) => void this.#publishIfCurrent(data),
      metrics,
    });
  }

  /**
   * Publishes to the room and subscribes the new members on every node, then gives each of them the room as they see it.
   * In this order a new member gets one `member` event of the own join.
   */
  async joined(room: string, users: string[], by: string): Promise<void> {
    const states = await Promise.all(users.map((user) => this.#state(room, user)));
    const joined = states.flatMap((state) =>
      state === undefined ? [] : [{ state, data: memberEvent(room, state, 'joined', by) }],
    );
    this.#fanout.publish([
      ...joined.filter(({ data }) => this.#coalescer.admit(data)).map(({ data }) => memberToRoom(data)),
      ...joined.map(({ state }) => membershipEnvelope(room, state)),
    ]);
    for (const { data } of joined) await this.#invalidate(data);
    // read after the subscription: a message in between is in the summary's rev, or comes as an event
    const welcomed = await Promise.all(
      joined.map(async ({ data }) => ({ data, summary: await readSummary(this.#sql, data.user, room) })),
    );
    // a user who left meanwhile gets that event from the node of the leave
    this.#fanout.publish(
      welcomed.flatMap(({ data, summary }) =>
        summary === undefined ? [] : [memberToUser(data.user, { ...data, summary })],
      ),
    );
  }

  /** Publishes a member's present role and mute to the room and to every node. */
  async changed(room: string, user: string, change: 'role' | 'muted' | 'unmuted', by: string): Promise<void> {
    const state = await this.#state(room, user);
    // the membership ended meanwhile, and the command that ended it publishes that
    if (state === undefined) return;
    const data = memberEvent(room, state, change, by);
    this.#coalescer.admit(data);
    this.#fanout.publish([membershipEnvelope(room, state), memberToRoom(data)]);
    await this.#invalidate(data);
  }

  /**
   * Publishes an end at once, without a query that could fail: the user may receive no further event of the room. Resolves
   * when no node has a cached value of before.
   */
  ended(data: Omit<EventData<'member'>, 'role'>, version: number | null): Promise<void> {
    const left = { ...data, role: null };
    this.#fanout.publish(departure(left, version ?? undefined, this.#coalescer.admit(left)));
    return this.#invalidate(left);
  }

  async #invalidate(data: EventData<'member'>): Promise<void> {
    const targets = invalidationsOf('member', data);
    if (targets.length > 0) await this.#cache.invalidate(targets);
  }

  /** The column `name`, for the statement that ends a membership. */
  nameOf(user: string): postgres.Fragment {
    return this.#sql`(select u.name from users u where u.id = ${user}) as name`;
  }

  /** The column `version` of a membership that the same statement ends under the condition. */
  endIf(condition: postgres.Fragment): postgres.Fragment {
    return this.#sql`case when ${condition} then currval('membership_version') end as version`;
  }

  /** Publishes the `member` events that were held back. */
  flush(): void {
    this.#coalescer.flush();
  }

  /** Resolves when every node has applied the committed changes of the user in the room, or delivers nothing. */
  applied(room: string, user: string): Promise<void> {
    return this.#applied({ kind: 'membership', room, user });
  }

  /** A change that was held back: the user may have left, or come back, through another node meanwhile. */
  async #publishIfCurrent(data: EventData<'member'>): Promise<void> {
    const { room, user, change } = data;
    let isCurrent = true;
    try {
      const rows = await this.#sql`select from members where room_id = ${room} and user_id = ${user}`;
      isCurrent = rows.length > 0 === (change === 'joined');
    } catch {
      // Postgres is unavailable: the held change is the last that this node knows
    }
    if (isCurrent) this.#fanout.publish([memberToRoom(data)]);
  }

  async #state(room: string, user: string): Promise<MemberState | undefined> {
    const [row] = await this.#sql<(MuteRow & { name: string | null; role: Role; version: number })[]>`
      select u.name, m.role, m.version, ${muteColumns(this.#sql)}
      from members m join users u on u.id = m.user_id where m.room_id = ${room} and m.user_id = ${user}`;
    return row === undefined ? undefined : { user, ...row };
  }
}

/** A membership as Postgres has it now. */
interface MemberState extends MuteRow {
  readonly user: string;
  readonly name: string | null;
  readonly role: Role;
  readonly version: number;
}

function membershipEnvelope(room: string, { user, role, version, ...mute }: MemberState): Envelope {
  const mutedUntil = muteEnd(mute);
  return { to: 'membership', user, room, role, version, ...(mutedUntil === undefined ? {} : { mutedUntil }) };
}

function memberEvent(
  room: string,
  { user, name, role, muted, muted_until }: MemberState,
  change: 'joined' | 'role' | 'muted' | 'unmuted',
  by: string,
): EventData<'member'> {
  return { room, user, name, role, change, by, ...(muted ? { until: muted_until } : {}) };
}
