/** Join links. The token is 24 random bytes. The table has only its SHA-256, so a reader of the table cannot join by it. */
import type { postgres } from '../storage/sql.ts';
import { createHash, randomBytes } from 'node:crypto';
import type { CommandOutput, ParsedInput } from '../protocol/commands.ts';
import { limits } from '../protocol/limits.ts';
import type { JoinLink } from '../protocol/model.ts';
import { rightsOf } from '../protocol/permissions.ts';
import { requireRight } from './access.ts';
import { refuse, type Refusal } from './refusals.ts';
import { lostEntry, youAreBanned, type RoomLimits, type Rooms } from './rooms.ts';

interface LinkRow {
  id: string;
  role: JoinLink['role'];
  made_by: string;
  at: number;
  expires_at: number | null;
  max_uses: number | null;
  uses: number;
}

export class JoinLinks {
  readonly #sql: postgres.Sql;
  readonly #reads: postgres.Sql;
  readonly #rooms: Rooms;
  readonly #limits: RoomLimits;

  constructor(parts: RoomLimits & { sql: postgres.Sql; reads: postgres.Sql; rooms: Rooms }) {
    this.#sql = parts.sql;
    this.#reads = parts.reads;
    this.#rooms = parts.rooms;
    this.#limits = parts;
  }

  async create(actor: string, input: ParsedInput<'link:create'>): Promise<CommandOutput<'link:create'>> {
    const { room, role, seconds, maxUses = null } = input;
    const id = randomBytes(8).toString('hex');
    const token = randomBytes(24).toString('base64url');
    // by the clock that decides when the link expires
    const [row] = await this.#sql<[{ outcome: 'made' | Refusal; at: number; expires: number | null }]>`
      select make_link(${room}, ${actor}, ${id}, ${hashOf(token)}, ${role}, l.expires, ${maxUses}::integer,
        ${limits.roomLinks}, ${rightsOf('link')}::text::jsonb) as outcome, l.at, l.expires
      from (select t.at, t.at + ${seconds ?? null}::integer * interval '1 s'
        from (select date_trunc('milliseconds', clock_timestamp())) t (at)) l (at, expires)`;
    const { at, expires } = row;
    refuse(row.outcome, { limit_reached: `A room has at most ${limits.roomLinks} links.` });
    return { link: { id, room, role, by: actor, at, expires, maxUses, uses: 0 }, token };
  }

  async list(user: string, input: ParsedInput<'link:list'>): Promise<CommandOutput<'link:list'>> {
    const { room, after = '', limit } = input;
    await requireRight(this.#reads, user, room, 'links');
    const rows = await this.#reads<LinkRow[]>`
      select l.id, l.role, l.made_by, l.at, l.expires_at, l.max_uses, l.uses from join_links l
      where l.room_id = ${room} and l.id > ${after}
        and (l.expires_at is null or l.expires_at > now()) and (l.max_uses is null or l.uses < l.max_uses)
      order by l.id limit ${limit + 1}`;
    const links = rows.slice(0, limit).map((row): JoinLink => {
      const { id, role, made_by: by, at, expires_at: expires, max_uses: maxUses, uses } = row;
      return { id, room, role, by, at, expires, maxUses, uses };
    });
    return { links, after: links.at(-1)?.id ?? null, more: rows.length > limit };
  }

  async revoke(actor: string, { room, id }: ParsedInput<'link:revoke'>): Promise<void> {
    const [row] = await this.#sql<[{ outcome: 'revoked' | Refusal }]>`
      select revoke_link(${room}, ${actor}, ${id}, ${rightsOf('links')}::text::jsonb) as outcome`;
    refuse(row.outcome, { no_subject: 'There is no such link.' });
  }

  async join(user: string, token: string): Promise<CommandOutput<'link:join'>> {
    const { maxMembersPerRoom, maxRoomsPerUser } = this.#limits;
    const [row] = await this.#sql<[{ outcome: 'joined' | 'already' | Refusal; link_room: string; maker: string }]>`
      select outcome, link_room, maker
      from use_link(${hashOf(token)}, ${user}, ${maxMembersPerRoom}, ${maxRoomsPerUser}, ${rightsOf('link')}::text::jsonb)`;
    refuse(row.outcome, { banned: youAreBanned, not_found: 'This link does not work, or not any more.' });
    if (row.outcome === 'joined') await this.#rooms.memberships.joined(row.link_room, [user], row.maker);
    return { room: await this.#rooms.summary(user, row.link_room, lostEntry) };
  }
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
