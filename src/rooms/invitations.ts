/** Invitations that are accepted or declined. */
import type { postgres } from '../storage/sql.ts';
import type { Fanout } from '../fanout/fanout.ts';
import type { CommandOutput, ParsedInput } from '../protocol/commands.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { EventData } from '../protocol/events.ts';
import { limits } from '../protocol/limits.ts';
import type { Invitation } from '../protocol/model.ts';
import { invitationsWhere } from './invitation-rows.ts';
import { rightsOf } from '../protocol/permissions.ts';
import { requireRight } from './access.ts';
import { invitationTo } from './room-events.ts';
import { refuse, type Refusal } from './refusals.ts';
import { lostEntry, youAreBanned, type RoomLimits, type Rooms } from './rooms.ts';

export class Invitations {
  readonly #sql: postgres.Sql;
  readonly #reads: postgres.Sql;
  readonly #fanout: Fanout;
  readonly #rooms: Rooms;
  readonly #limits: RoomLimits;

  constructor(parts: RoomLimits & { sql: postgres.Sql; reads: postgres.Sql; fanout: Fanout; rooms: Rooms }) {
    this.#sql = parts.sql;
    this.#reads = parts.reads;
    this.#fanout = parts.fanout;
    this.#rooms = parts.rooms;
    this.#limits = parts;
  }

  /**
   * `room:invite`: adds the user where that needs no consent, else invites the user. A member gets the role.
   * @param mayAdd whether users may be added without an invitation
   */
  async add(actor: string, input: ParsedInput<'room:invite'>, mayAdd: boolean): Promise<CommandOutput<'room:invite'>> {
    if (input.user === actor) throw new ParleyError('invalid', 'user: you are in the room already.');
    const added = mayAdd ? await this.#rooms.add(actor, input) : undefined;
    if (added !== undefined) return added;
    return (await this.#invite(actor, input)) ?? this.#rooms.setRole(actor, input);
  }

  async create(actor: string, input: ParsedInput<'invitation:create'>): Promise<CommandOutput<'invitation:create'>> {
    const invited = await this.#invite(actor, input);
    if (invited === undefined) throw new ParleyError('conflict', 'The user is in the room already.');
    return invited;
  }

  /** @returns undefined if the user is a member. */
  async #invite(
    actor: string,
    input: ParsedInput<'invitation:create'>,
  ): Promise<{ invitation: Invitation } | undefined> {
    const { room, user, role } = input;
    type Outcome = 'invited' | 'invited_again' | 'already' | Refusal;
    const [row] = await this.#sql<[{ outcome: Outcome }]>`
      select invite_user(${room}, ${actor}, ${user}, ${role}, ${`${limits.invitationDays} days`}::text::interval,
        ${limits.roomInvitations}, ${limits.userInvitations}, ${rightsOf('invite')}::text::jsonb) as outcome`;
    refuse(row.outcome, {
      limit_reached: 'The room or the user has as many open invitations as it may.',
      resting: `The user declined an invitation to this room less than ${limits.invitationRestDays} days ago.`,
    });
    if (row.outcome === 'already') return undefined;
    const [found] = await invitationsWhere(this.#sql, this.#sql`i.room_id = ${room} and i.user_id = ${user}`, 1);
    // the invitation was answered or cancelled meanwhile
    if (found === undefined)
      throw new ParleyError('not_found', 'The invitation was made, and ended before the answer.');
    if (row.outcome === 'invited') {
      this.#fanout.publish([invitationTo(user, { change: 'created', room, user, by: actor, invitation: found })]);
    }
    return { invitation: found };
  }

  async list(user: string, input: ParsedInput<'invitation:list'>): Promise<CommandOutput<'invitation:list'>> {
    const { room, after = '', limit } = input;
    const sql = this.#reads;
    if (room !== undefined) await requireRight(sql, user, room, 'invitations');
    const found =
      room === undefined
        ? await invitationsWhere(
            sql,
            sql`i.user_id = ${user} and i.room_id > ${after} and not has_blocked(i.user_id, i.invited_by)`,
            limit + 1,
          )
        : await invitationsWhere(sql, sql`i.room_id = ${room} and i.user_id > ${after}`, limit + 1);
    const page = found.slice(0, limit);
    const last = page.at(-1);
    const next = room === undefined ? last?.room : last?.user;
    return { invitations: page, after: next ?? null, more: found.length > limit };
  }

  async accept(user: string, room: string): Promise<CommandOutput<'invitation:accept'>> {
    const inviter = await this.#answer(user, room, true);
    await this.#rooms.memberships.joined(room, [user], user);
    this.#publishAnswer(inviter, { change: 'accepted', room, user, by: user });
    return { room: await this.#rooms.summary(user, room, lostEntry) };
  }

  async decline(user: string, room: string): Promise<void> {
    const inviter = await this.#answer(user, room, false);
    this.#publishAnswer(inviter, { change: 'declined', room, user, by: user });
  }

  async cancel(actor: string, { room, user }: ParsedInput<'invitation:cancel'>): Promise<void> {
    const [row] = await this.#sql<[{ outcome: 'cancelled' | Refusal }]>`
      select cancel_invitation(${room}, ${actor}, ${user}, ${rightsOf('invitations')}::text::jsonb) as outcome`;
    refuse(row.outcome, { no_subject: 'There is no such invitation.' });
    this.#fanout.publish([invitationTo(user, { change: 'cancelled', room, user, by: actor })]);
  }

  /** @returns the user that sent the invitation. */
  async #answer(user: string, room: string, accept: boolean): Promise<string> {
    const { maxMembersPerRoom, maxRoomsPerUser } = this.#limits;
    const [row] = await this.#sql<[{ outcome: 'joined' | 'declined' | Refusal; inviter: string }]>`
      select outcome, inviter
      from answer_invitation(${room}, ${user}, ${accept},
        ${`${limits.invitationRestDays} days`}::text::interval, ${maxMembersPerRoom}, ${maxRoomsPerUser})`;
    refuse(row.outcome, { banned: youAreBanned, not_found: 'You have no invitation to this room.' });
    return row.inviter;
  }

  #publishAnswer(inviter: string, data: EventData<'invitation'>): void {
    this.#fanout.publish([invitationTo(data.user, data), invitationTo(inviter, data)]);
  }
}
