/**
 * Brings the rooms of this node's users to the state in Postgres, after changes that fan-out lost (see anti-entropy.ts). An
 * affected user also gets the `member` event of the change.
 *
 * A step reads the memberships that changed since the last step, in their present state. A change or a connection that
 * comes during the read may be newer than the read. A row with a version is applied, and Subscriptions drops it if it is
 * the older one. A membership that a whole read does not show has no version: its user is read again.
 *
 * States of a join that a step found: *late*, while its own events may be on their way; then *applied*, after `joinWaitMs`.
 * A node that cannot reach others applies at once. Subscriptions drops a late join that its events have overtaken.
 */
import { pause, systemClock, type Clock, type ClockTimer } from '../jobs/clock.ts';
import type { UserEvent } from '../fanout/fanout.ts';
import { memberToUser } from '../rooms/room-events.ts';
import {
  wireMuteEnd,
  type Membership,
  type MembershipPage,
  type MembershipStart,
} from '../rooms/membership-changes.ts';
import type { EventData } from '../protocol/events.ts';
import type { RoomSummary } from '../protocol/model.ts';
import { everyMember } from '../storage/confirmations.ts';

export interface MembershipSource {
  start(): Promise<MembershipStart>;
  changes(cursor: string): Promise<MembershipPage>;
  membershipsOf(users: readonly string[]): Promise<Membership[]>;
  /** @returns undefined if the user is not a member */
  summary(user: string, room: string): Promise<RoomSummary | undefined>;
}

/** The part of `Subscriptions` that the reconciler works on. */
export interface SubscribedMembers {
  /** A read begins. The set collects the users whose memberships change here from now on. */
  beginRead(): ReadonlySet<string>;
  /** Each change up to this version is in every later read, or comes as a row. */
  startFrom(version: number): void;
  endRead(): void;
  userIds(): string[];
  /** Users with connections in the room, or with connections that are not `ready` yet. */
  usersIn(room: string): string[];
  /** Whether the user has a connection here that is not in the room. */
  isOutside(user: string, room: string): boolean;
  /** Whether a connection of the user is here and in the room. */
  isInside(user: string, room: string): boolean;
  joined(): Iterable<{ readonly user: string; readonly room: string }>;
  reconcile(membership: Membership): 'joined' | 'left' | 'role' | undefined;
  unwelcomed(user: string, room: string): void;
  takeUnwelcomed(ms: number): { user: string; room: string }[];
  nameOf(user: string): string | null;
}

/** The recipient of the reconciler's events. */
export interface MemberEvents {
  toUser(event: UserEvent): void;
  /** The user left a room, with or without connections here. */
  departed(user: string): void;
}

/** Rows are kept for an hour. */
const maxGapMs = 45 * 60_000;
/** The `member` event of a join follows its membership change after one query. */
const welcomeMs = 1000;
const maxPasses = 5;
/** A join waits so long for its own events. Without the wait the user would get three `member` events. */
const joinWaitMs = 1000;
const maxLate = 10_000;
/** A step waits at most this long for the events of removals, which carry the reason. Far below the lease of 3 s. */
const removalWaitMs = 500;
const removalPauseMs = 5;

export class MembershipReconciler {
  readonly #source: MembershipSource;
  readonly #members: SubscribedMembers;
  readonly #events: MemberEvents;
  readonly #maxGapMs: number;
  readonly #clock: Clock;
  #cursor: string | undefined = undefined;
  #readAt = 0;
  #life = 0;
  readonly #reachable: () => boolean;
  /** Late joins by `user\nroom`, in order of time. */
  readonly #late = new Map<string, { readonly membership: Membership; readonly since: number }>();
  #lateTimer: ClockTimer | undefined = undefined;
  /** Users whose memberships changed here during the present read. */
  #touched: ReadonlySet<string> = new Set();
  #running: Promise<boolean> | undefined = undefined;
  #next: Promise<boolean> | undefined = undefined;

  constructor(
    source: MembershipSource,
    members: SubscribedMembers,
    events: MemberEvents,
    options: { maxGapMs?: number; reachable?: () => boolean; clock?: Clock } = {},
  ) {
    this.#reachable = options.reachable ?? (() => false);
    this.#clock = options.clock ?? systemClock;
    this.#source = source;
    this.#members = members;
    this.#events = events;
    this.#maxGapMs = options.maxGapMs ?? maxGapMs;
  }

  /** Changes are followed from here on. The call comes before any connection. */
  async start(): Promise<void> {
    this.#cursor = await this.#begin();
    this.#readAt = this.#clock.now();
  }

  stop(): void {
    this.#lateTimer?.cancel();
    this.#late.clear();
    this.#life++;
  }

  /** The database went back in time: the next step reads all memberships of the users here. */
  restart(): void {
    this.#life++;
    this.#cursor = undefined;
    this.#late.clear();
  }

  /** Resolves after a step that began after this call. @returns false if changes are left, for the next step. */
  step(): Promise<boolean> {
    if (this.#running === undefined) return this.#run();
    this.#next ??= this.#running.then(
      () => this.#run(),
      () => this.#run(),
    );
    return this.#next;
  }

  /** @returns the cursor of a history without earlier rows: events of before are late, and unknown here. */
  async #begin(): Promise<string> {
    const { cursor, version } = await this.#source.start();
    this.#members.startFrom(version);
    return cursor;
  }

  #run(): Promise<boolean> {
    this.#next = undefined;
    this.#touched = this.#members.beginRead();
    this.#running = this.#step().finally(() => {
      this.#running = undefined;
      this.#members.endRead();
    });
    return this.#running;
  }

  async #step(): Promise<boolean> {
    const life = this.#life;
    const first = this.#cursor === undefined;
    const cursor = this.#cursor ?? (await this.#begin());
    const startedAt = this.#clock.now();
    const page = await this.#source.changes(cursor);
    const whole = first || page.changed === undefined || startedAt - this.#readAt > this.#maxGapMs;
    // a whole read has no version of a membership that has ended
    if (whole && !first) await this.#begin();
    if (!whole) await this.#untilRemoved(page.changed ?? []);
    let again = this.#apply(whole ? await this.#wholly(this.#members.userIds()) : (page.changed ?? []));
    for (let pass = 0; again.size > 0 && pass < maxPasses; pass++) {
      this.#touched = this.#members.beginRead();
      again = this.#apply(await this.#wholly([...again.keys()], again));
    }
    // users that change faster are read by the next step, which has the rows of this one again
    if (again.size === 0 && life === this.#life) {
      this.#cursor = page.cursor;
      this.#readAt = startedAt;
    }
    this.#applyLate();
    for (const { user, room } of this.#members.takeUnwelcomed(welcomeMs)) void this.#welcome(user, room);
    return again.size === 0;
  }

  /** @returns users to read again, with the rooms in which their role or a mute changed */
  #apply(memberships: readonly Membership[]): Map<string, Set<string>> {
    const again = new Map<string, Set<string>>();
    for (const membership of memberships.flatMap((one) => this.#ofEach(one))) {
      const { user, room, role } = membership;
      if (role === null) this.#events.departed(user);
      // a version decides without a second read: with one, steps would not end in a busy room, and the lease would lapse
      if (membership.version === undefined && this.#touched.has(user)) {
        const updated = again.get(user) ?? new Set();
        if (membership.updated === true) updated.add(room);
        again.set(user, updated);
        continue;
      }
      if (this.#mayWait(membership)) this.#late.set(`${user}\n${room}`, { membership, since: this.#clock.now() });
      else this.#reconcile(membership);
    }
    return again;
  }

  /**
   * The row of a removal may overtake its event. Applied first, the row would end the membership without the reason: a
   * banned user would read that they left. A removal is acknowledged after the step, so the wait delivers nothing that
   * it may not.
   */
  async #untilRemoved(changed: readonly Membership[]): Promise<void> {
    const life = this.#life;
    const deadline = this.#clock.now() + removalWaitMs;
    let ends = changed.filter(({ role }) => role === null).flatMap((one) => this.#ofEach(one));
    for (;;) {
      ends = ends.filter(({ user, room }) => this.#members.isInside(user, room));
      if (ends.length === 0 || !this.#reachable() || life !== this.#life || this.#clock.now() > deadline) return;
      await pause(removalPauseMs, this.#clock);
    }
  }

  /** Whether this is a fresh join, whose event is on its way. Its version shows later whether it is still current. */
  #mayWait({ user, room, role, version }: Membership): boolean {
    const isFresh = role !== null && version !== undefined && this.#reachable();
    return isFresh && this.#late.size < maxLate && this.#members.isOutside(user, room);
  }

  #applyLate(): void {
    const before = this.#clock.now() - (this.#reachable() ? joinWaitMs : 0);
    for (const [key, { membership, since }] of this.#late) {
      if (since > before) break; // in order of time
      this.#late.delete(key);
      this.#reconcile(membership);
    }
    this.#lateTimer?.cancel();
    this.#lateTimer = undefined;
    if (this.#late.size === 0) return;
    this.#lateTimer = this.#clock.after(joinWaitMs, () => this.#applyLate());
    this.#lateTimer.unref();
  }

  #reconcile(membership: Membership): void {
    const { user, room } = membership;
    const change = this.#members.reconcile(membership);
    if (change === 'joined') void this.#welcome(user, room);
    else if (change !== undefined) this.#events.toUser(memberToUser(user, this.#member(membership, change)));
  }

  /** The deletion of a room is one row for all of its members. */
  #ofEach(membership: Membership): readonly Membership[] {
    const { user, room } = membership;
    if (user !== everyMember) return [membership];
    return this.#members.usersIn(room).map((member) => ({ user: member, room, role: null }));
  }

  /**
   * All memberships of the users, and null roles for rooms that they have left. Such a read does not show which roles are
   * new. @param updated the rooms with a new role or mute, by user
   */
  async #wholly(users: readonly string[], updated?: ReadonlyMap<string, ReadonlySet<string>>): Promise<Membership[]> {
    const rows = await this.#source.membershipsOf(users);
    const found = rows.map((row): Membership =>
      updated?.get(row.user)?.has(row.room) === true ? { ...row, updated: true } : row,
    );
    const keys = new Set(found.map(({ user, room }) => `${user}\n${room}`));
    const wanted = new Set(users);
    for (const { user, room } of this.#members.joined()) {
      if (wanted.has(user) && !keys.has(`${user}\n${room}`)) found.push({ user, room, role: null });
    }
    return found;
  }

  async #welcome(user: string, room: string): Promise<void> {
    try {
      const summary = await this.#source.summary(user, room);
      if (summary === undefined) return; // the user left again
      const member = this.#member({ user, room, role: summary.role }, 'joined');
      this.#events.toUser(memberToUser(user, { ...member, summary }));
    } catch {
      // Postgres is unavailable: the next step tries again
      this.#members.unwelcomed(user, room);
    }
  }

  /** Postgres does not keep the user who made the change: `by` names the member. */
  #member({ user, room, role, mutedUntil }: Membership, change: 'joined' | 'left' | 'role'): EventData<'member'> {
    const until = mutedUntil === undefined ? {} : { until: wireMuteEnd(mutedUntil) };
    return { room, user, name: this.#members.nameOf(user), role, change, by: user, ...until };
  }
}
