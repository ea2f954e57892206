/** The commands that administer a room and its members. Their permissions are in protocol/permissions.ts. */
import type { Cache } from '../storage/cache.ts';
import { invalidationsOf } from '../storage/cache/invalidations.ts';
import type { postgres } from '../storage/sql.ts';
import type { Fanout } from '../fanout/fanout.ts';
import type { CommandOutput, ParsedInput } from '../protocol/commands.ts';
import { ParleyError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type { Ban, RoomState } from '../protocol/model.ts';
import { rightsOf } from '../protocol/permissions.ts';
import type { RoomChange } from './settings-changes.ts';
import { roomToRoom } from './room-events.ts';
import type { RoomPurge } from '../retention/room-purge.ts';
import { refuse, type Refusal } from './refusals.ts';
import { everyMember } from '../storage/confirmations.ts';
import { requireRight } from './access.ts';
import { lostChange, type Rooms } from './rooms.ts';
import { settingsJson, stateColumns, stateOf, type StateRow } from './summary.ts';

export interface RoomAdminParts {
  readonly sql: postgres.Sql;
  readonly reads: postgres.Sql;
  readonly fanout: Fanout;
  readonly rooms: Rooms;
  readonly purge: RoomPurge;
  readonly cache: Pick<Cache, 'invalidate'>;
}

interface BanRow {
  user_id: string;
  name: string | null;
  banned_by: string;
  reason: string | null;
  at: number;
}

export class RoomAdmin {
  readonly #sql: postgres.Sql;
  readonly #reads: postgres.Sql;
  readonly #fanout: Fanout;
  readonly #rooms: Rooms;
  readonly #purge: RoomPurge;
  readonly #cache: RoomAdminParts['cache'];

  constructor({ sql, reads, fanout, rooms, purge, cache }: RoomAdminParts) {
    this.#sql = sql;
    this.#reads = reads;
    this.#fanout = fanout;
    this.#rooms = rooms;
    this.#purge = purge;
    this.#cache = cache;
  }

  /**
   * @param seen the room on whose settings the change depends
   * @throws {RestError} `precondition_failed` if the room has other settings by now
   */
  async update(
    actor: string,
    { room, ...changes }: ParsedInput<'room:update'>,
    seen?: RoomState,
  ): Promise<CommandOutput<'room:update'>> {
    const action = changes.retentionDays === undefined ? 'update' : 'retention';
    const sql = this.#sql;
    await this.#change(
      actor,
      room,
      'updated',
      () => sql`
      update_room(${room}, ${actor}, ${JSON.stringify(changes)}::text::jsonb, ${rightsOf(action)}::text::jsonb,
        ${seen === undefined ? null : settingsJson(seen)}::text::jsonb)`,
    );
    return { room: await this.#rooms.summary(actor, room, lostChange) };
  }

  async archive(actor: string, room: string, archive: boolean): Promise<CommandOutput<'room:archive'>> {
    const sql = this.#sql;
    await this.#change(
      actor,
      room,
      archive ? 'archived' : 'unarchived',
      () => sql`
      archive_room(${room}, ${actor}, ${archive}, ${rightsOf('archive')}::text::jsonb)`,
    );
    return { room: await this.#rooms.summary(actor, room, lostChange) };
  }

  async delete(actor: string, room: string): Promise<void> {
    const [row] = await this.#sql<[{ outcome: 'deleted' | Refusal }]>`
      select delete_room(${room}, ${actor}, ${rightsOf('delete')}::text::jsonb) as outcome`;
    refuse(row.outcome);
    const json = JSON.stringify({ room, change: 'deleted', by: actor });
    this.#fanout.publish([{ to: 'closed', room, event: 'room', json }]);
    this.#purge.wake();
    await this.#cache.invalidate(invalidationsOf('room', { room, change: 'deleted', by: actor }));
    await this.#rooms.memberships.applied(room, everyMember);
  }

  async transfer(actor: string, { room, user }: ParsedInput<'room:transfer'>): Promise<CommandOutput<'room:transfer'>> {
    const [row] = await this.#sql<[{ outcome: 'transferred' | 'already' | Refusal }]>`
      select transfer_room(${room}, ${actor}, ${user}, ${rightsOf('transfer')}::text::jsonb) as outcome`;
    refuse(row.outcome);
    if (row.outcome === 'transferred') {
      await this.#rooms.memberships.changed(room, user, 'role', actor);
      await this.#rooms.memberships.changed(room, actor, 'role', actor);
    }
    return { member: await this.#rooms.member(room, user) };
  }

  async remove(actor: string, { room, user }: ParsedInput<'room:remove'>): Promise<void> {
    const [row] = await this.#sql<[{ outcome: 'removed' | Refusal; name: string | null; version: number | null }]>`
      select outcome, ${this.#rooms.memberships.nameOf(user)}, ${this.#rooms.memberships.endIf(this.#sql`outcome = 'removed'`)}
      from remove_from_room(${room}, ${actor}, ${user}, ${rightsOf('remove')}::text::jsonb) as outcome`;
    // another user removed the member at the same time: this answer promises the same
    if (row.outcome === 'no_subject') await this.#rooms.memberships.applied(room, user);
    refuse(row.outcome);
    await this.#rooms.memberships.ended({ room, user, name: row.name, change: 'removed', by: actor }, row.version);
    await this.#rooms.memberships.applied(room, user);
  }

  /** @param seconds undefined: the mute has no end */
  async mute(actor: string, { room, user, seconds }: ParsedInput<'room:mute'>): Promise<CommandOutput<'room:mute'>> {
    // by the clock that decides when the mute ends
    const [row] = await this.#sql<[{ outcome: 'muted' | 'already' | Refusal; until: number | null }]>`
      select mute_member(${room}, ${actor}, ${user}, coalesce(m.until, 'infinity'), ${rightsOf('mute')}::text::jsonb) as outcome,
        m.until
      from (select date_trunc('milliseconds', clock_timestamp()) + ${seconds ?? null}::integer * interval '1 s') m (until)`;
    refuse(row.outcome);
    if (row.outcome === 'muted') await this.#rooms.memberships.changed(room, user, 'muted', actor);
    await this.#rooms.memberships.applied(room, user);
    return { until: row.until };
  }

  async unmute(actor: string, { room, user }: ParsedInput<'room:unmute'>): Promise<void> {
    const [row] = await this.#sql<[{ outcome: 'unmuted' | 'already' | Refusal }]>`
      select mute_member(${room}, ${actor}, ${user}, null::timestamptz, ${rightsOf('mute')}::text::jsonb) as outcome`;
    refuse(row.outcome);
    if (row.outcome === 'unmuted') await this.#rooms.memberships.changed(room, user, 'unmuted', actor);
  }

  async ban(actor: string, { room, user, reason }: ParsedInput<'room:ban'>): Promise<void> {
    if (user === actor) throw new ParleyError('invalid', 'user: you cannot ban yourself.');
    const [row] = await this.#sql<
      [{ outcome: 'banned' | 'already' | Refusal; removed: boolean; name: string | null; version: number | null }]
    >`
      select outcome, removed, ${this.#rooms.memberships.nameOf(user)}, ${this.#rooms.memberships.endIf(this.#sql`removed`)}
      from ban_user(${room}, ${actor}, ${user}, ${reason ?? null}, ${limits.roomBans}, ${rightsOf('ban')}::text::jsonb)`;
    // `banned` is the success of `ban_user`
    if (row.outcome !== 'banned') {
      refuse(row.outcome, { limit_reached: `A room has at most ${limits.roomBans} bans.` });
    }
    if (row.removed)
      await this.#rooms.memberships.ended({ room, user, name: row.name, change: 'banned', by: actor }, row.version);
    await this.#rooms.memberships.applied(room, user);
  }

  async unban(actor: string, { room, user }: ParsedInput<'room:unban'>): Promise<void> {
    const [row] = await this.#sql<[{ outcome: 'lifted' | 'already' | Refusal }]>`
      select lift_ban(${room}, ${actor}, ${user}, ${rightsOf('ban')}::text::jsonb) as outcome`;
    refuse(row.outcome);
  }

  async bans(
    actor: string,
    { room, after = '', limit }: ParsedInput<'room:bans'>,
  ): Promise<CommandOutput<'room:bans'>> {
    await requireRight(this.#reads, actor, room, 'ban');
    const rows = await this.#reads<BanRow[]>`
      select b.user_id, u.name, b.banned_by, b.reason, b.at
      from bans b left join users u on u.id = b.user_id
      where b.room_id = ${room} and b.user_id > ${after} order by b.user_id limit ${limit + 1}`;
    const page = rows.slice(0, limit);
    return { bans: page.map(banOf), after: page.at(-1)?.user_id ?? null, more: rows.length > limit };
  }

  /** Stores the change in the same statement, for nodes that miss the event, and publishes it. */
  async #change(by: string, room: string, change: RoomChange, call: () => postgres.Fragment): Promise<void> {
    const [row] = await this.#sql<[{ outcome: 'updated' | 'unchanged' | Refusal }]>`
      with done as materialized (select ${call()} as outcome),
      noted as (
        insert into room_changes (room_id, change, changed_by)
        select ${room}, ${change}, ${by} from done where outcome = 'updated'
      )
      select outcome from done`;
    refuse(row.outcome);
    if (row.outcome === 'updated') await this.#publishState(room, change, by);
  }

  /** The present state of the room, as all users see it. */
  async #publishState(room: string, change: RoomChange, by: string): Promise<void> {
    const [row] = await this.#sql<StateRow[]>`select ${stateColumns(this.#sql)} from rooms r where r.id = ${room}`;
    // the room was deleted meanwhile
    if (row === undefined) return;
    const data = { room, change, by, state: stateOf(row) };
    this.#fanout.publish([roomToRoom(data)]);
    await this.#cache.invalidate(invalidationsOf('room', data));
  }
}

function banOf({ user_id: user, name, banned_by: by, reason, at }: BanRow): Ban {
  return { user, name, by, reason, at };
}
