/** Rooms and their members: making, joining, leaving, adding, listing. Writes go through SQL functions (migrations/functions). */
import type { Cache } from '../storage/cache.ts';
import { invalidationsOf, invalidationsOfChanges } from '../storage/cache/invalidations.ts';
import type { FoundChannels } from '../storage/cache/kinds.ts';
import type { postgres } from '../storage/sql.ts';
import { createHash, randomBytes } from 'node:crypto';
import type { Fanout } from '../fanout/fanout.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { CommandOutput, ParsedInput } from '../protocol/commands.ts';
import { limits } from '../protocol/limits.ts';
import type { Member, Role, RoomSummary } from '../protocol/model.ts';
import { membership, readAccess } from './access.ts';
import { requireSize, wordsOf } from './channel-search.ts';
import { invitationsWhere } from './invitation-rows.ts';
import { MembershipEvents, type MembershipEventsOptions } from './membership-events.ts';
import { channelCursor, type ChannelPosition } from './page-cursor.ts';
import { rightsOf } from '../protocol/permissions.ts';
import { invitationTo } from './room-events.ts';
import { refuse, type Refusal } from './refusals.ts';
import {
  muteColumns,
  peerOf,
  readSummary,
  summaryColumns,
  summaryOf,
  type MuteRow,
  type SummaryRow,
} from './summary.ts';

interface MemberRow extends MuteRow {
  user_id: string;
  name: string | null;
  role: Role;
  last_read_seq: number;
  joined_at: number;
}

/** Outcomes of `create_room`; with `_alone` the other user of the direct room is to be invited. */
type Opened = 'created' | 'exists' | 'returned';

/** The error of a command whose result ended before its answer was read. The same command would get this error next. */
export interface LostResult {
  readonly code: 'conflict' | 'not_found';
  readonly detail: string;
}

export interface RoomLimits {
  readonly maxRoomsPerUser: number;
  readonly maxMembersPerRoom: number;
}

export class Rooms {
  readonly #sql: postgres.Sql;
  readonly #reads: postgres.Sql;
  readonly #fanout: Fanout;
  readonly #cache: Pick<Cache, 'read' | 'invalidate'>;
  readonly #maxRooms: number;
  readonly #maxMembers: number;
  readonly memberships: MembershipEvents;

  constructor(
    options: RoomLimits &
      MembershipEventsOptions & { readonly cache: Pick<Cache, 'read' | 'invalidate'>; reads?: postgres.Sql },
  ) {
    this.#sql = options.sql;
    this.#reads = options.reads ?? options.sql;
    this.#fanout = options.fanout;
    this.memberships = new MembershipEvents(options);
    this.#cache = options.cache;
    this.#maxRooms = options.maxRoomsPerUser;
    this.#maxMembers = options.maxMembersPerRoom;
  }

  /** @param mayAdd whether the other user of a direct room is added without an invitation */
  async create(user: string, input: ParsedInput<'room:create'>, mayAdd = false): Promise<CommandOutput<'room:create'>> {
    const direct = input.kind === 'direct';
    if (direct && input.user === user) throw new ParleyError('invalid', 'user: a direct room needs another user.');
    const id = direct ? directRoomId(user, input.user) : (input.id ?? randomBytes(12).toString('hex'));
    const peer = direct ? input.user : null;
    const name = direct ? null : input.name;
    const [row] = await this.#sql<[{ outcome: Opened | `${Opened}_alone` | Refusal }]>`
      select create_room(${id}, ${input.kind}, ${name}, ${user}, ${peer}, ${this.#maxRooms}, ${!mayAdd}) as outcome`;
    const { outcome } = row;
    refuse(outcome, {
      conflict: `The id ${id} is or was another room's.`,
      limit_reached: 'You have made, or are in, as many rooms as you may.',
    });
    if (outcome === 'created') await this.memberships.joined(id, peer === null ? [user] : [user, peer], user);
    else if (outcome !== 'exists' && outcome !== 'exists_alone') await this.memberships.joined(id, [user], user);
    if (input.kind === 'channel' && outcome === 'created')
      await this.#cache.invalidate(invalidationsOfChanges.channels());
    if (peer !== null && outcome.endsWith('_alone')) await this.#invitePeer(id, user, peer);
    const room = await this.summary(user, id, { code: 'conflict', detail: lostResult('The room was made.') });
    return { room, created: outcome === 'created' || outcome === 'created_alone' };
  }

  /** Invites the other user of a direct room. The caller does not learn whether the user gets the invitation. */
  async #invitePeer(room: string, by: string, user: string): Promise<void> {
    const [row] = await this.#sql<[{ invited: boolean }]>`
      select ask_peer(${room}, ${by}, ${user}, ${`${limits.invitationDays} days`}::text::interval, ${limits.userInvitations})
        as invited`;
    if (!row.invited) return;
    const [invitation] = await invitationsWhere(this.#sql, this.#sql`i.room_id = ${room} and i.user_id = ${user}`, 1);
    // the user accepted or declined meanwhile
    if (invitation === undefined) return;
    this.#fanout.publish([invitationTo(user, { change: 'created', room, user, by, invitation })]);
  }

  async join(user: string, room: string): Promise<CommandOutput<'room:join'>> {
    const [row] = await this.#sql<[{ outcome: 'joined' | 'already' | Refusal }]>`
      select join_room(${room}, ${user}, ${this.#maxMembers}, ${this.#maxRooms}, ${rightsOf('join')}::text::jsonb) as outcome`;
    // a room that is not open to the user does not exist for the user
    refuse(row.outcome === 'not_member' ? 'not_found' : row.outcome, { banned: youAreBanned });
    if (row.outcome === 'joined') await this.memberships.joined(room, [user], user);
    return { room: await this.summary(user, room, lostEntry) };
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
    if (row.outcome === 'joined') await this.memberships.joined(room, [user], actor);
    return { member: await this.member(room, user) };
  }

  /**
   * @param seen the member on whose state the change depends
   * @throws {RestError} `precondition_failed` if the member has another state by now
   */
  async setRole(actor: string, input: ParsedInput<'room:role'>, seen?: Member): Promise<CommandOutput<'room:role'>> {
    const { room, user, role } = input;
    const [row] = await this.#sql<[{ outcome: 'role' | 'already' | Refusal }]>`
      select set_role(${room}, ${actor}, ${user}, ${role}, ${rightsOf('role')}::text::jsonb,
        ${seen === undefined ? null : memberJson(seen)}::text::jsonb) as outcome`;
    refuse(row.outcome);
    if (row.outcome === 'role') await this.memberships.changed(room, user, 'role', actor);
    if (role === 'guest') await this.memberships.applied(room, user);
    return { member: await this.member(room, user) };
  }

  async leave(user: string, room: string): Promise<void> {
    const [row] = await this.#sql<
      [{ outcome: 'left' | 'closed' | Refusal; heir: string | null; name: string | null; version: number | null }]
    >`
      select outcome, heir, ${this.memberships.nameOf(user)}, ${this.memberships.endIf(this.#sql`outcome in ('left', 'closed')`)}
      from remove_member(${room}, ${user})`;
    refuse(row.outcome);
    await this.memberships.ended({ room, user, name: row.name, change: 'left', by: user }, row.version);
    if (row.heir !== null) await this.memberships.changed(room, row.heir, 'role', user);
    if (row.outcome === 'closed') {
      const json = JSON.stringify({ room, change: 'deleted', by: user });
      this.#fanout.publish([{ to: 'closed', room, event: 'room', json }]);
      await this.#cache.invalidate(invalidationsOf('room', { room, change: 'deleted', by: user }));
    }
    await this.memberships.applied(room, user);
  }

  async list(user: string, input: ParsedInput<'room:list'>): Promise<CommandOutput<'room:list'>> {
    const { scope, after = '', limit } = input;
    const mine = scope === 'mine';
    const rows = await this.#reads<SummaryRow[]>`
      select ${summaryColumns(this.#sql)}
      from rooms r
      ${mine ? this.#sql`` : this.#sql`left`} join ${membership(this.#sql, user)}
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
    const beyond = after === undefined ? undefined : channelCursor.decode(after);
    const found = await this.#cache.read('channelSearch', [words, JSON.stringify([after ?? null, limit])], () =>
      this.#found(words, beyond, limit),
    );
    const rows = await this.#reads<(SummaryRow & { member_count: number })[]>`
      select ${summaryColumns(this.#sql)}, r.member_count
      from unnest(${[...found.ids]}::text[]) with ordinality as f (id, n)
      join rooms r on r.id = f.id
      left join ${membership(this.#sql, user)}
      ${peerOf(this.#sql)}
      where ${openChannels(this.#sql)}
      order by f.n`;
    return { rooms: rows.map(summaryOf), after: found.after, more: found.more };
  }

  /** A page of channels, the same for every user. Reads the primary, as every load of the cache. */
  async #found(words: string, beyond: ChannelPosition | undefined, limit: number): Promise<FoundChannels> {
    const [parsed] = await this.#sql<[{ wanted: string; size: number }]>`
      select wanted::text, search_size(wanted) as size from search_parse('simple', ${words}, true)`;
    requireSize(parsed.size);
    const rows = await this.#sql<{ id: string; key: string }[]>`
      select r.id, lower(r.name) as key
      from rooms r
      where ${openChannels(this.#sql)} and room_words(r.name, r.topic) @@ ${parsed.wanted}::text::tsquery
        ${
          beyond === undefined
            ? this.#sql``
            : this.#sql`and (lower(r.name) collate "C", r.id) > (${beyond.key}, ${beyond.id})`
        }
      order by lower(r.name) collate "C", r.id limit ${limit + 1}`;
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    return {
      ids: page.map(({ id }) => id),
      after: last === undefined ? null : channelCursor.encode(last),
      more: rows.length > limit,
    };
  }

  async members(user: string, input: ParsedInput<'room:members'>): Promise<CommandOutput<'room:members'>> {
    const { room, role, after = '', limit } = input;
    await readAccess(this.#reads, user, room);
    // the index of members with a higher role or as guests has the condition `role <> 'member'`
    const only =
      role === undefined
        ? this.#sql``
        : role === 'member'
          ? this.#sql`and m.role = 'member'`
          : this.#sql`and m.role <> 'member' and m.role = ${role}`;
    const rows = await this.#reads<MemberRow[]>`
      select ${memberRows(this.#sql)} where m.room_id = ${room} ${only} and m.user_id > ${after} order by m.user_id limit ${limit + 1}`;
    const page = rows.slice(0, limit);
    return { members: page.map(memberOf), after: page.at(-1)?.user_id ?? null, more: rows.length > limit };
  }

  async oneMember(viewer: string, { room, user }: ParsedInput<'room:member'>): Promise<CommandOutput<'room:member'>> {
    await readAccess(this.#reads, viewer, room);
    const [row] = await this.#reads<MemberRow[]>`
      select ${memberRows(this.#sql)} where m.room_id = ${room} and m.user_id = ${user}`;
    if (row === undefined) throw new ParleyError('not_found', 'The user is not a member of the room.');
    return { member: memberOf(row) };
  }

  /**
   * The room for the answer to a command of its member. The read follows the commit, so the result may have ended in between.
   * @param lost the error in that case: an answer would bring the room back to a client that got the event of the end
   */
  async summary(user: string, room: string, { code, detail }: LostResult): Promise<RoomSummary> {
    const summary = await readSummary(this.#sql, user, room);
    if (summary === undefined) throw new ParleyError(code, detail);
    return summary;
  }

  /** A room of the user's, or any channel. */
  async get(user: string, room: string): Promise<CommandOutput<'room:get'>> {
    const [row] = await this.#reads<SummaryRow[]>`
      select ${summaryColumns(this.#sql)}, r.member_count
      from rooms r
      left join ${membership(this.#sql, user)}
      ${peerOf(this.#sql)}
      where r.id = ${room} and (m.role is not null or r.kind = 'channel')`;
    if (row === undefined) throw new ParleyError('not_found');
    return { room: summaryOf(row) };
  }

  /** Publishes the `member` events that are held back. */
  flush(): void {
    this.memberships.flush();
  }

  /** A member for the answer to a command. The membership may have ended since the commit. */
  async member(room: string, user: string): Promise<Member> {
    const [row] = await this.#sql<MemberRow[]>`
      select ${memberRows(this.#sql)} where m.room_id = ${room} and m.user_id = ${user}`;
    if (row === undefined) throw new ParleyError('not_found', lostResult('The change is stored.'));
    return memberOf(row);
  }
}

function lostResult(done: string): string {
  return `${done} The membership or the room ended before the answer.`;
}

export const lostEntry: LostResult = { code: 'not_found', detail: lostResult('You entered the room.') };
export const lostChange: LostResult = { code: 'not_found', detail: lostResult('The change is stored.') };
export const youAreBanned = 'You are banned from this room.';

/** The same id for both users. The separator is in no user id, so two pairs never get one id. */
export function directRoomId(a: string, b: string): string {
  const pair = [a, b].sort().join('\n');
  return `direct:${createHash('sha256').update(pair).digest('base64url').slice(0, 32)}`;
}

/** The condition of a channel `r` that everybody may find. */
function openChannels(sql: postgres.ISql): postgres.Fragment {
  return sql`r.kind = 'channel' and r.archived_at is null and r.member_count > 0`;
}

/** The columns of `MemberRow`, from `m`, the members of rooms, and `u`, their users. */
function memberRows(sql: postgres.ISql): postgres.Fragment {
  return sql`m.user_id, u.name, m.role, m.last_read_seq, m.joined_at, ${muteColumns(sql)}
    from members m join users u on u.id = m.user_id`;
}

function memberOf(row: MemberRow): Member {
  const { user_id: user, name, role, last_read_seq: read, joined_at: joinedAt } = row;
  return { user, name, role, read, joinedAt, ...(row.muted ? { muted: { until: row.muted_until } } : {}) };
}

/** A member as `set_role` compares it. */
function memberJson({ role, joinedAt, muted }: Member): string {
  return JSON.stringify({ role, joinedAt, mutedUntil: muted === undefined ? null : (muted.until ?? 'infinity') });
}
