/** Rooms and their members: making, joining, leaving, adding, listing. Writes go through SQL functions (migrations/functions). */
import type { postgres } from '../storage/sql.ts';
import { createHash, randomBytes } from 'node:crypto';
import type { Envelope, Fanout } from '../fanout/fanout.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { EventData } from '../protocol/events.ts';
import type { CommandOutput, ParsedInput } from '../protocol/commands.ts';
import { limits } from '../protocol/limits.ts';
import type { Member, Role, RoomSummary } from '../protocol/model.ts';
import { readCursor, requireSize, wordsOf, writeCursor } from './channel-search.ts';
import { Flaps } from './flaps.ts';
import { invitationsWhere } from './invitation-rows.ts';
import { muteEnd } from './membership-changes.ts';
import { rightsOf } from '../protocol/permissions.ts';
import type { Applied } from '../storage/confirmations.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { departure, invitationTo, memberToRoom, memberToUser } from './room-events.ts';
import { refuse, type Refusal } from './room-refusals.ts';
import { muteColumns, peerOf, summaryColumns, summaryOf, type MuteRow, type SummaryRow } from './summary.ts';

interface MemberRow extends MuteRow {
  user_id: string;
  name: string | null;
  role: Role;
  last_read_seq: number;
  joined_at: number;
}

/** Resolves when no node delivers, answers or accepts by what was before a committed change. */
export type WhenApplied = (of: Applied) => Promise<void>;

/** What `create_room` did; with `_alone` the other user of the direct room is to be asked. */
type Opened = 'created' | 'exists' | 'returned';

export interface RoomLimits {
  readonly maxRoomsPerUser: number;
  readonly maxMembersPerRoom: number;
}

export class Rooms {
  readonly #sql: postgres.Sql;
  readonly #reads: postgres.Sql;
  readonly #fanout: Fanout;
  readonly #applied: WhenApplied;
  readonly #maxRooms: number;
  readonly #maxMembers: number;
  readonly #flaps: Flaps;

  constructor(
    options: RoomLimits & {
      sql: postgres.Sql;
      reads?: postgres.Sql;
      fanout: Fanout;
      applied: WhenApplied;
      metrics?: Metrics;
    },
  ) {
    this.#sql = options.sql;
    this.#reads = options.reads ?? options.sql;
    this.#fanout = options.fanout;
    const publish = (data: EventData<'member'>): void => options.fanout.publish([memberToRoom(data)]);
    this.#flaps = new Flaps({ publish, publishLate: (data) => void this.#tellIfSo(data), metrics: options.metrics });
    this.#applied = options.applied;
    this.#maxRooms = options.maxRoomsPerUser;
    this.#maxMembers = options.maxMembersPerRoom;
  }

  /** @param mayAdd whether the other user of a direct room is in it without being asked */
  async create(user: string, input: ParsedInput<'room:create'>, mayAdd = false): Promise<CommandOutput<'room:create'>> {
    const direct = input.kind === 'direct';
    if (direct && input.user === user) throw new ParleyError('invalid', 'user: a direct room needs another user.');
    const id = direct ? directRoomId(user, input.user) : (input.id ?? randomBytes(12).toString('hex'));
    const peer = direct ? input.user : null;
    const name = direct ? null : input.name;
    const [row] = await this.#sql<[{ outcome: Opened | `${Opened}_alone` | 'blocked' | 'conflict' | Refusal }]>`
      select create_room(${id}, ${input.kind}, ${name}, ${user}, ${peer}, ${this.#maxRooms}, ${!mayAdd}) as outcome`;
    const { outcome } = row;
    if (outcome === 'conflict') throw new ParleyError('conflict', `The id ${id} is or was another room's.`);
    if (outcome === 'blocked') throw new ParleyError('forbidden', 'You have blocked this user.');
    refuse(outcome, { limit_reached: 'You have made, or are in, as many rooms as you may.' });
    if (outcome === 'created') await this.welcome(id, peer === null ? [user] : [user, peer], user);
    else if (outcome !== 'exists' && outcome !== 'exists_alone') await this.welcome(id, [user], user);
    if (peer !== null && outcome.endsWith('_alone')) await this.#askPeer(id, user, peer);
    return { room: await this.summary(user, id), created: outcome === 'created' || outcome === 'created_alone' };
  }

  /** Invites the other user of a direct room. Whether they get to know is not for the caller to see. */
  async #askPeer(room: string, by: string, user: string): Promise<void> {
    const [row] = await this.#sql<[{ asked: boolean }]>`
      select ask_peer(${room}, ${by}, ${user}, ${`${limits.invitationDays} days`}::text::interval, ${limits.userInvitations})
        as asked`;
    if (!row.asked) return;
    const [invitation] = await invitationsWhere(this.#sql, this.#sql`i.room_id = ${room} and i.user_id = ${user}`, 1);
    // answered in this moment
    if (invitation === undefined) return;
    this.#fanout.publish([invitationTo(user, { change: 'created', room, user, by, invitation })]);
  }

  /** A change that was held back: the user may have left, or come back, through another node meanwhile. */
  async #tellIfSo(data: EventData<'member'>): Promise<void> {
    const { room, user, change } = data;
    let isSo = true;
    try {
      const rows = await this.#sql`select from members where room_id = ${room} and user_id = ${user}`;
      isSo = rows.length > 0 === (change === 'joined');
    } catch {
      // Postgres is away: it is the last that this node knows
    }
    if (isSo) this.#fanout.publish([memberToRoom(data)]);
  }

  async join(user: string, room: string): Promise<CommandOutput<'room:join'>> {
    const [row] = await this.#sql<[{ outcome: 'joined' | 'already' | Refusal }]>`
      select join_room(${room}, ${user}, ${this.#maxMembers}, ${this.#maxRooms}, ${rightsOf('join')}::text::jsonb) as outcome`;
    // nobody is in a room that is not open to them, so there is no such room
    refuse(row.outcome === 'not_member' ? 'not_found' : row.outcome, { banned: youAreBanned });
    if (row.outcome === 'joined') await this.welcome(room, [user], user);
    return { room: await this.summary(user, room) };
  }

  /** Adds a user, or gives a member another role. @returns undefined if they may only be invited. */
  async add(actor: string, input: ParsedInput<'room:invite'>): Promise<{ member: Member } | undefined> {
    const { room, user, role } = input;
    const [row] = await this.#sql<[{ outcome: 'joined' | 'already' | 'another_role' | 'not_asked' | Refusal }]>`
      select add_member(${room}, ${actor}, ${user}, ${role}, ${this.#maxMembers}, ${this.#maxRooms},
        ${rightsOf('add')}::text::jsonb) as outcome`;
    refuse(row.outcome);
    if (row.outcome === 'not_asked') return undefined;
    if (row.outcome === 'another_role') return this.setRole(actor, input);
    if (row.outcome === 'joined') await this.welcome(room, [user], actor);
    return { member: await this.member(room, user) };
  }

  async setRole(actor: string, input: ParsedInput<'room:role'>): Promise<CommandOutput<'room:role'>> {
    const { room, user, role } = input;
    const [row] = await this.#sql<[{ outcome: 'role' | 'already' | Refusal }]>`
      select set_role(${room}, ${actor}, ${user}, ${role}, ${rightsOf('role')}::text::jsonb) as outcome`;
    refuse(row.outcome);
    if (row.outcome === 'role') await this.tell(room, user, 'role', actor);
    if (role === 'guest') await this.applied(room, user);
    return { member: await this.member(room, user) };
  }

  async leave(user: string, room: string): Promise<void> {
    const [row] = await this.#sql<
      [{ outcome: 'left' | 'closed' | Refusal; heir: string | null; name: string | null; version: number | null }]
    >`
      select outcome, heir, ${this.nameOf(user)}, ${this.endIf(this.#sql`outcome in ('left', 'closed')`)}
      from remove_member(${room}, ${user})`;
    refuse(row.outcome);
    this.departed({ room, user, name: row.name, change: 'left', by: user }, row.version);
    if (row.heir !== null) await this.tell(room, row.heir, 'role', user);
    if (row.outcome === 'closed') {
      const json = JSON.stringify({ room, change: 'deleted', by: user });
      this.#fanout.publish([{ to: 'closed', room, event: 'room', json }]);
    }
    await this.applied(room, user);
  }

  async list(user: string, input: ParsedInput<'room:list'>): Promise<CommandOutput<'room:list'>> {
    const { scope, after = '', limit } = input;
    const mine = scope === 'mine';
    const rows = await this.#reads<SummaryRow[]>`
      select ${summaryColumns(this.#sql)}
      from rooms r
      ${mine ? this.#sql`` : this.#sql`left`} join members m on m.room_id = r.id and m.user_id = ${user}
      ${peerOf(this.#sql)}
      where ${
        mine
          ? this.#sql`m.room_id > ${after}`
          : this.#sql`r.kind = 'channel' and r.archived_at is null and r.member_count > 0 and r.id > ${after}`
      }
      order by r.id limit ${limit + 1}`;
    const page = rows.slice(0, limit);
    return { rooms: page.map(summaryOf), after: page.at(-1)?.id ?? null, more: rows.length > limit };
  }

  /** Channels by the words of their names and topics; in the order of names, which a cursor can follow. */
  async search(user: string, input: ParsedInput<'room:search'>): Promise<CommandOutput<'room:search'>> {
    const { query, after, limit } = input;
    const words = wordsOf(query);
    if (words === '') return { rooms: [], after: null, more: false };
    const beyond = after === undefined ? undefined : readCursor(after);
    const [parsed] = await this.#reads<[{ wanted: string; size: number }]>`
      select wanted::text, search_size(wanted) as size from search_parse('simple', ${words}, true)`;
    requireSize(parsed.size);
    const rows = await this.#reads<(SummaryRow & { member_count: number; key: string })[]>`
      select ${summaryColumns(this.#sql)}, r.member_count, lower(r.name) as key
      from rooms r
      left join members m on m.room_id = r.id and m.user_id = ${user}
      ${peerOf(this.#sql)}
      where r.kind = 'channel' and r.archived_at is null and r.member_count > 0
        and room_words(r.name, r.topic) @@ ${parsed.wanted}::text::tsquery
        ${
          beyond === undefined
            ? this.#sql``
            : this.#sql`and (lower(r.name) collate "C", r.id) > (${beyond.key}, ${beyond.id})`
        }
      order by lower(r.name) collate "C", r.id limit ${limit + 1}`;
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    return {
      rooms: page.map(summaryOf),
      after: last === undefined ? null : writeCursor(last),
      more: rows.length > limit,
    };
  }

  async members(user: string, input: ParsedInput<'room:members'>): Promise<CommandOutput<'room:members'>> {
    const { room, role, after = '', limit } = input;
    const [access] = await this.#reads<{ kind: string; role: Role | null }[]>`
      select r.kind, m.role from rooms r left join members m on m.room_id = r.id and m.user_id = ${user}
      where r.id = ${room}`;
    requireMember(access);
    // said so that the index of those who are no plain members serves
    const only =
      role === undefined
        ? this.#sql``
        : role === 'member'
          ? this.#sql`and m.role = 'member'`
          : this.#sql`and m.role <> 'member' and m.role = ${role}`;
    const rows = await this.#reads<MemberRow[]>`
      select m.user_id, u.name, m.role, m.last_read_seq, m.joined_at, ${muteColumns(this.#sql)}
      from members m join users u on u.id = m.user_id
      where m.room_id = ${room} ${only} and m.user_id > ${after} order by m.user_id limit ${limit + 1}`;
    const page = rows.slice(0, limit);
    return { members: page.map(memberOf), after: page.at(-1)?.user_id ?? null, more: rows.length > limit };
  }

  /** A room of the user's, as they see it. @throws {ParleyError} `not_found` if it is none of theirs. */
  async summary(user: string, room: string): Promise<RoomSummary> {
    const summary = await this.#summaryOf(user, room);
    if (summary === undefined) throw new ParleyError('not_found');
    return summary;
  }

  async #summaryOf(user: string, room: string): Promise<RoomSummary | undefined> {
    const [row] = await this.#sql<SummaryRow[]>`
      select ${summaryColumns(this.#sql)}
      from rooms r
      join members m on m.room_id = r.id and m.user_id = ${user}
      ${peerOf(this.#sql)}
      where r.id = ${room}`;
    return row === undefined ? undefined : summaryOf(row);
  }

  /** A room of the user's, or any channel. */
  async get(user: string, room: string): Promise<CommandOutput<'room:get'>> {
    const [row] = await this.#reads<SummaryRow[]>`
      select ${summaryColumns(this.#sql)}, r.member_count
      from rooms r
      left join members m on m.room_id = r.id and m.user_id = ${user}
      ${peerOf(this.#sql)}
      where r.id = ${room} and (m.role is not null or r.kind = 'channel')`;
    if (row === undefined) throw new ParleyError('not_found');
    return { room: summaryOf(row) };
  }

  async member(room: string, user: string): Promise<Member> {
    const [row] = await this.#sql<MemberRow[]>`
      select m.user_id, u.name, m.role, m.last_read_seq, m.joined_at, ${muteColumns(this.#sql)}
      from members m join users u on u.id = m.user_id where m.room_id = ${room} and m.user_id = ${user}`;
    if (row === undefined) throw new ParleyError('not_found');
    return memberOf(row);
  }

  /**
   * Tells the room, subscribes the new members on every node, then gives each of them the room as they see it. In this
   * order they hear of themselves once.
   */
  async welcome(room: string, users: string[], by: string): Promise<void> {
    const standing = await Promise.all(users.map((user) => this.#standing(room, user)));
    const joined = standing.flatMap((one) =>
      one === undefined ? [] : [{ one, data: memberEvent(room, one, 'joined', by) }],
    );
    this.#fanout.publish([
      ...joined.filter(({ data }) => this.#flaps.note(data)).map(({ data }) => memberToRoom(data)),
      ...joined.map(({ one }) => membership(room, one)),
    ]);
    // read after the subscription: a message in between is in the summary's rev, or comes as an event
    const told = await Promise.all(
      joined.map(async ({ data }) => ({ data, summary: await this.#summaryOf(data.user, room) })),
    );
    // whoever left meanwhile is informed of that by the node where they left
    this.#fanout.publish(
      told.flatMap(({ data, summary }) =>
        summary === undefined ? [] : [memberToUser(data.user, { ...data, summary })],
      ),
    );
  }

  /** The room, and every node, hear how a member stands now. */
  async tell(room: string, user: string, change: 'role' | 'muted' | 'unmuted', by: string): Promise<void> {
    const standing = await this.#standing(room, user);
    // gone meanwhile: whoever did that tells it
    if (standing === undefined) return;
    const data = memberEvent(room, standing, change, by);
    this.#flaps.note(data);
    this.#fanout.publish([membership(room, standing), memberToRoom(data)]);
  }

  /** The column `name`, for the statement that ends a membership: asked for afterwards, it could fail and tell nobody. */
  nameOf(user: string): postgres.Fragment {
    return this.#sql`(select u.name from users u where u.id = ${user}) as name`;
  }

  /** The column `version`, of a membership that the same statement ends under the condition. */
  endIf(condition: postgres.Fragment): postgres.Fragment {
    return this.#sql`case when ${condition} then currval('membership_version') end as version`;
  }

  /** At once, without a query that could fail: they may hear nothing more. */
  departed(data: Omit<EventData<'member'>, 'role'>, version: number | null): void {
    const left = { ...data, role: null };
    this.#fanout.publish(departure(left, version ?? undefined, this.#flaps.note(left)));
  }

  /** Tells rooms what was held back of members who come and go. */
  flush(): void {
    this.#flaps.flush();
  }

  /** Resolves when every node has applied what was committed of the user in the room, or delivers nothing. */
  applied(room: string, user: string): Promise<void> {
    return this.#applied({ kind: 'membership', room, user });
  }

  async #standing(room: string, user: string): Promise<Standing | undefined> {
    const [row] = await this.#sql<(MuteRow & { name: string | null; role: Role; version: number })[]>`
      select u.name, m.role, m.version, ${muteColumns(this.#sql)}
      from members m join users u on u.id = m.user_id where m.room_id = ${room} and m.user_id = ${user}`;
    return row === undefined ? undefined : { user, ...row };
  }
}

interface Standing extends MuteRow {
  readonly user: string;
  readonly name: string | null;
  readonly role: Role;
  readonly version: number;
}

function membership(room: string, { user, role, version, ...mute }: Standing): Envelope {
  const mutedUntil = muteEnd(mute);
  return { to: 'membership', user, room, role, version, ...(mutedUntil === undefined ? {} : { mutedUntil }) };
}

function memberEvent(
  room: string,
  { user, name, role, muted, muted_until }: Standing,
  change: 'joined' | 'role' | 'muted' | 'unmuted',
  by: string,
): EventData<'member'> {
  return { room, user, name, role, change, by, ...(muted ? { until: muted_until } : {}) };
}

export const youAreBanned = 'You are banned from this room.';

/** The same for both users, whoever asks; a NUL-free separator that no user id holds keeps pairs apart. */
export function directRoomId(a: string, b: string): string {
  const pair = [a, b].sort().join('\n');
  return `direct:${createHash('sha256').update(pair).digest('base64url').slice(0, 32)}`;
}

/** @throws {ParleyError} unless a room was found and the user is a member. A room one may not see does not exist. */
export function requireMember(access: { kind: string; role: Role | null } | undefined): void {
  if (access === undefined) throw new ParleyError('not_found');
  if (access.role === null) throw new ParleyError(access.kind === 'channel' ? 'not_member' : 'not_found');
}

function memberOf(row: MemberRow): Member {
  const { user_id: user, name, role, last_read_seq: read, joined_at: joinedAt } = row;
  return { user, name, role, read, joinedAt, ...(row.muted ? { muted: { until: row.muted_until } } : {}) };
}
