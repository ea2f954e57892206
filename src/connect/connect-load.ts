/** Reads for new connections: the memberships and the rooms of their users. Batched over connections. */
import type { postgres } from '../storage/sql.ts';
import { revokedAmong } from '../sessions/revocations.ts';
import type { Identity } from '../sessions/tokens.ts';
import { ParleyError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type { Role, RoomSummary } from '../protocol/model.ts';
import { Batcher } from '../storage/batcher.ts';
import { muteEnd } from '../rooms/membership-changes.ts';
import { peerOf, summaryColumns, summaryOf, type SummaryRow } from '../rooms/summary.ts';

export interface Memberships {
  /** The name in the token, else the stored one. A name that REST set after the token was issued precedes both. */
  readonly name: string | null;
  readonly rooms: readonly {
    readonly room: string;
    readonly role: Role;
    readonly version: number;
    readonly mutedUntil?: number;
  }[];
}

/** Users in one query: 10,000 clients that reconnect at once cost 20 queries of each kind, not 20,000. */
const batch = { maxBatch: 500, maxWaiting: 50_000 };

export class ConnectLoad {
  readonly #sql: postgres.Sql;
  readonly #memberships: Batcher<Identity, Memberships>;
  readonly #summaries: Batcher<string, { rooms: RoomSummary[]; more: boolean }>;

  readonly #renamed: (users: readonly string[]) => Promise<void>;

  /** @param renamed called after a name in a token has replaced the stored one; resolves when no node serves the old one */
  constructor(sql: postgres.Sql, renamed: (users: readonly string[]) => Promise<void> = () => Promise.resolve()) {
    this.#sql = sql;
    this.#renamed = renamed;
    this.#memberships = new Batcher((identities) => this.#loadMemberships(identities), batch);
    this.#summaries = new Batcher((users) => this.#loadSummaries(users), batch);
  }

  /**
   * Stores a new user or a new name, and reads the user's memberships.
   * @throws {ParleyError} `unauthorized` if the token has been revoked in the database.
   */
  memberships(identity: Identity): Promise<Memberships> {
    return this.#memberships.add(identity);
  }

  /** The first page of the user's rooms, read after this call began. */
  summaries(user: string): Promise<{ rooms: RoomSummary[]; more: boolean }> {
    return this.#summaries.add(user);
  }

  async #loadMemberships(identities: Identity[]): Promise<(Memberships | Error)[]> {
    const revoked = await revokedAmong(this.#sql, identities);
    const tokens = new Map<string, { readonly name: string | null; readonly issuedAt: number }>();
    identities.forEach(({ user, name, issuedAt }, i) => {
      if (!revoked.has(i) && (name !== null || !tokens.has(user))) tokens.set(user, { name, issuedAt });
    });
    const ids = [...tokens.keys()].sort();
    const given = ids.map((id) => tokens.get(id)?.name ?? null);
    const issued = ids.map((id) => tokens.get(id)?.issuedAt ?? 0);
    const rows = await this.#sql<MembershipsRow[]>`
      with arriving as (
        select t.id, case when k.named_at > to_timestamp(t.issued / 1000.0) then null else t.name end as name
        from unnest(${ids}::text[], ${given}::text[], ${issued}::int8[]) as t (id, name, issued)
        left join users k on k.id = t.id
      ), kept as (
        insert into users (id, name) select id, name from arriving order by id
        on conflict (id) do update set name = excluded.name
        where excluded.name is not null and users.name is distinct from excluded.name
        returning id
      )
      select a.id, coalesce(a.name, u.name) as name, k.id is not null as renamed, m.*
      from arriving a
      left join users u on u.id = a.id
      left join kept k on k.id = a.id
      left join lateral (
        select array_agg(room_id) as rooms, array_agg(role) as roles, array_agg(version) as versions,
          array_agg(room_id) filter (where muted_until > now()) as muted,
          array_agg(
            case when muted_until = 'infinity' then '' else (extract(epoch from muted_until) * 1000)::bigint::text end
          ) filter (where muted_until > now()) as until
        from members m where user_id = a.id and exists (select from rooms r where r.id = m.room_id)
      ) m on true`;
    const renamed = rows.filter((row) => row.renamed).map(({ id }) => id);
    if (renamed.length > 0) await this.#renamed(renamed);
    const found = new Map(rows.map((row) => [row.id, { name: row.name, rooms: membershipsIn(row) }]));
    return identities.map(({ user }, i) =>
      revoked.has(i)
        ? new ParleyError('unauthorized', 'This token has been revoked.')
        : (found.get(user) ?? { name: null, rooms: [] }),
    );
  }

  async #loadSummaries(users: string[]): Promise<{ rooms: RoomSummary[]; more: boolean }[]> {
    const ids = [...new Set(users)];
    const rows = await this.#sql<(SummaryRow & { user_id: string })[]>`
      select u.id as user_id, s.*
      from unnest(${ids}::text[]) as u (id)
      cross join lateral (
        select ${summaryColumns(this.#sql)}
        from members m join rooms r on r.id = m.room_id ${peerOf(this.#sql)}
        where m.user_id = u.id order by m.room_id limit ${limits.readyRooms + 1}
      ) s
      order by s.id`;
    const pages = new Map<string, { rooms: RoomSummary[]; more: boolean }>(
      ids.map((id) => [id, { rooms: [], more: false }]),
    );
    for (const row of rows) {
      const page = pages.get(row.user_id);
      if (page === undefined) continue;
      if (page.rooms.length === limits.readyRooms) page.more = true;
      else page.rooms.push(summaryOf(row));
    }
    return users.map((user) => pages.get(user) ?? { rooms: [], more: false });
  }
}

interface MembershipsRow {
  id: string;
  /** The user is new, or has another name. */
  renamed: boolean;
  name: string | null;
  rooms: string[] | null;
  roles: Role[] | null;
  versions: number[] | null;
  /** Rooms in which the user is muted; nearly always null. */
  muted: string[] | null;
  /** The end of each mute in milliseconds since 1970; empty: the mute has no end. */
  until: string[] | null;
}

function membershipsIn({ rooms, roles, versions, muted, until }: MembershipsRow): Memberships['rooms'] {
  const found = (rooms ?? []).map((room, i) => ({
    room,
    role: (roles ?? [])[i] as Role,
    version: versions?.[i] ?? 0,
  }));
  if (muted === null) return found;
  const ends = new Map(muted.map((room, i) => [room, until?.[i] ?? '']));
  return found.map((membership) => {
    const end = ends.get(membership.room);
    const mutedUntil = muteEnd({ muted: end !== undefined, muted_until: end === '' ? null : Number(end) });
    return mutedUntil === undefined ? membership : { ...membership, mutedUntil };
  });
}
