/** Rooms and their members: making, joining, leaving, inviting, listing. Writes go through SQL functions (migrations/). */
import type postgres from 'postgres';
import { createHash, randomBytes } from 'node:crypto';
import type { Envelope, Fanout, UserEvent } from '../fanout/fanout.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { EventData } from '../protocol/events.ts';
import type { CommandOutput, ParsedInput } from '../protocol/commands.ts';
import type { Member, Role, RoomSummary } from '../protocol/model.ts';
import { summaryOf, type SummaryRow } from './summary.ts';

type Outcome = 'joined' | 'role' | 'already' | 'left' | 'not_found' | 'not_member' | 'forbidden' | 'limit_reached';

interface MemberRow {
  user_id: string;
  name: string | null;
  role: Role;
  last_read_seq: number;
  joined_at: number;
}

export class Rooms {
  readonly #sql: postgres.Sql;
  readonly #fanout: Fanout;
  readonly #maxRooms: number;
  readonly #maxMembers: number;

  constructor(options: { sql: postgres.Sql; fanout: Fanout; maxRoomsPerUser: number; maxMembersPerRoom: number }) {
    this.#sql = options.sql;
    this.#fanout = options.fanout;
    this.#maxRooms = options.maxRoomsPerUser;
    this.#maxMembers = options.maxMembersPerRoom;
  }

  async create(user: string, input: ParsedInput<'room:create'>): Promise<CommandOutput<'room:create'>> {
    const direct = input.kind === 'direct';
    if (direct && input.user === user) throw new ParleyError('invalid', 'user: a direct room needs another user.');
    const id = direct ? directRoomId(user, input.user) : (input.id ?? randomBytes(12).toString('hex'));
    const peer = direct ? input.user : null;
    const name = direct ? null : input.name;
    const [row] = await this.#sql<[{ outcome: 'created' | 'exists' | 'conflict' | 'limit_reached' }]>`
      select create_room(${id}, ${input.kind}, ${name}, ${user}, ${peer}, ${this.#maxRooms}) as outcome`;
    if (row.outcome === 'conflict') throw new ParleyError('conflict', `There is a room with the id ${id} already.`);
    if (row.outcome === 'limit_reached') throw new ParleyError('limit_reached', 'You are in as many rooms as you may.');
    const created = row.outcome === 'created';
    const role: Role = direct ? 'member' : 'owner';
    if (created) await this.#welcome(id, peer === null ? [user] : [user, peer], role, user);
    return { room: await this.summary(user, id), created };
  }

  async join(user: string, room: string): Promise<CommandOutput<'room:join'>> {
    const outcome = await this.#add(room, user, user, 'member');
    if (outcome === 'joined') await this.#welcome(room, [user], 'member', user);
    return { room: await this.summary(user, room) };
  }

  async invite(user: string, input: ParsedInput<'room:invite'>): Promise<CommandOutput<'room:invite'>> {
    const { room, user: invited, role } = input;
    if (invited === user) throw new ParleyError('invalid', 'user: you are in the room already.');
    const outcome = await this.#add(room, user, invited, role);
    if (outcome === 'joined') await this.#welcome(room, [invited], role, user);
    if (outcome === 'role') await this.#roleChanged(room, invited, role, user);
    return { member: await this.member(room, invited) };
  }

  async leave(user: string, room: string): Promise<void> {
    const [row] = await this.#sql<[{ outcome: Outcome; heir: string | null }]>`
      select outcome, heir from remove_member(${room}, ${user})`;
    refuse(row.outcome);
    const name = await this.#nameOf(user);
    const left: EventData<'member'> = { room, user, name, role: null, change: 'left', by: user };
    // off the topic first: who has left hears nothing more of the room but this
    this.#fanout.publish([{ to: 'membership', user, room, role: null }, memberToUser(user, left), memberToRoom(left)]);
    if (row.heir !== null) await this.#roleChanged(room, row.heir, 'owner', user);
  }

  async list(user: string, input: ParsedInput<'room:list'>): Promise<CommandOutput<'room:list'>> {
    const { scope, after = '', limit } = input;
    const mine = scope === 'mine';
    const rows = await this.#sql<SummaryRow[]>`
      select r.id, r.kind, r.name, m.role, r.last_seq, r.last_rev, m.last_read_seq, p.user_id as peer, pu.name as peer_name
      from rooms r
      ${mine ? this.#sql`` : this.#sql`left`} join members m on m.room_id = r.id and m.user_id = ${user}
      left join members p on r.kind = 'direct' and p.room_id = r.id and p.user_id <> ${user}
      left join users pu on pu.id = p.user_id
      where ${mine ? this.#sql`m.room_id > ${after}` : this.#sql`r.kind = 'channel' and r.id > ${after}`}
      order by r.id limit ${limit + 1}`;
    const page = rows.slice(0, limit);
    return { rooms: page.map(summaryOf), after: page.at(-1)?.id ?? null, more: rows.length > limit };
  }

  async members(user: string, input: ParsedInput<'room:members'>): Promise<CommandOutput<'room:members'>> {
    const { room, after = '', limit } = input;
    const [access] = await this.#sql<{ kind: string; role: Role | null }[]>`
      select r.kind, m.role from rooms r left join members m on m.room_id = r.id and m.user_id = ${user}
      where r.id = ${room}`;
    requireMember(access);
    const rows = await this.#sql<MemberRow[]>`
      select m.user_id, u.name, m.role, m.last_read_seq, m.joined_at
      from members m join users u on u.id = m.user_id
      where m.room_id = ${room} and m.user_id > ${after} order by m.user_id limit ${limit + 1}`;
    const page = rows.slice(0, limit);
    return { members: page.map(memberOf), after: page.at(-1)?.user_id ?? null, more: rows.length > limit };
  }

  async summary(user: string, room: string): Promise<RoomSummary> {
    const [row] = await this.#sql<SummaryRow[]>`
      select r.id, r.kind, r.name, m.role, r.last_seq, r.last_rev, m.last_read_seq, p.user_id as peer, pu.name as peer_name
      from rooms r
      join members m on m.room_id = r.id and m.user_id = ${user}
      left join members p on r.kind = 'direct' and p.room_id = r.id and p.user_id <> ${user}
      left join users pu on pu.id = p.user_id
      where r.id = ${room}`;
    if (row === undefined) throw new ParleyError('not_found');
    return summaryOf(row);
  }

  async member(room: string, user: string): Promise<Member> {
    const [row] = await this.#sql<MemberRow[]>`
      select m.user_id, u.name, m.role, m.last_read_seq, m.joined_at
      from members m join users u on u.id = m.user_id where m.room_id = ${room} and m.user_id = ${user}`;
    if (row === undefined) throw new ParleyError('not_found');
    return memberOf(row);
  }

  async #add(room: string, actor: string, subject: string, role: Role): Promise<Outcome> {
    const [row] = await this.#sql<[{ outcome: Outcome }]>`
      select add_member(${room}, ${actor}, ${subject}, ${role}, ${this.#maxMembers}, ${this.#maxRooms}) as outcome`;
    refuse(row.outcome);
    return row.outcome;
  }

  /**
   * Tells the room, subscribes the new members on every node, then gives each of them the room as they see it. In this
   * order they hear of themselves once.
   */
  async #welcome(room: string, users: string[], role: Role, by: string): Promise<void> {
    const names = await Promise.all(users.map((user) => this.#nameOf(user)));
    const joined = users.map((user, i): EventData<'member'> => ({
      room,
      user,
      name: names[i] ?? null,
      role,
      change: 'joined',
      by,
    }));
    this.#fanout.publish([
      ...joined.map(memberToRoom),
      ...users.map((user): Envelope => ({ to: 'membership', user, room, role })),
    ]);
    // read after the subscription: a message in between is in the summary's rev, or comes as an event
    const summaries = await Promise.all(users.map((user) => this.summary(user, room)));
    this.#fanout.publish(
      joined.map((data, i) => memberToUser(data.user, { ...data, summary: summaries[i] as RoomSummary })),
    );
  }

  async #roleChanged(room: string, user: string, role: Role, by: string): Promise<void> {
    const changed: EventData<'member'> = { room, user, name: await this.#nameOf(user), role, change: 'role', by };
    this.#fanout.publish([{ to: 'membership', user, room, role }, memberToRoom(changed)]);
  }

  async #nameOf(user: string): Promise<string | null> {
    const [row] = await this.#sql<{ name: string | null }[]>`select name from users where id = ${user}`;
    return row?.name ?? null;
  }
}

/** The same for both users, whoever asks; a NUL-free separator that no user id holds keeps pairs apart. */
function directRoomId(a: string, b: string): string {
  const pair = [a, b].sort().join('\n');
  return `direct:${createHash('sha256').update(pair).digest('base64url').slice(0, 32)}`;
}

/** @throws {ParleyError} unless a room was found and the user is a member. A room one may not see does not exist. */
export function requireMember(access: { kind: string; role: Role | null } | undefined): void {
  if (access === undefined) throw new ParleyError('not_found');
  if (access.role === null) throw new ParleyError(access.kind === 'channel' ? 'not_member' : 'not_found');
}

function refuse(outcome: Outcome): void {
  if (outcome === 'limit_reached') {
    throw new ParleyError('limit_reached', 'The room has as many members, or the user as many rooms, as it may.');
  }
  if (outcome === 'not_found' || outcome === 'not_member' || outcome === 'forbidden') throw new ParleyError(outcome);
}

function memberOf(row: MemberRow): Member {
  return { user: row.user_id, name: row.name, role: row.role, read: row.last_read_seq, joinedAt: row.joined_at };
}

function memberToRoom(data: EventData<'member'>): Envelope {
  return { to: 'room', room: data.room, event: 'member', json: JSON.stringify(data) };
}

/** With the room's summary it tells a head, from which on the user counts on the room's events. */
export function memberToUser(user: string, data: EventData<'member'>): UserEvent {
  const { room, summary } = data;
  const told = { to: 'user' as const, user, event: 'member', json: JSON.stringify(data) };
  return summary === undefined ? told : { ...told, head: { room, rev: summary.rev } };
}
