/** Users that callers without a connection name: back ends act for users who may never have connected. */
import { Batcher } from '../storage/batcher.ts';
import type { Cache } from '../storage/cache.ts';
import type { UserFacts } from '../storage/cache/kinds.ts';
import type { postgres } from '../storage/sql.ts';

export interface KnownUsersParts {
  readonly sql: postgres.Sql;
  readonly background: postgres.Sql;
  readonly cache: Pick<Cache, 'read' | 'invalidate' | 'warm'>;
}

/** Rooms that the warm-up reads where Postgres has no statistics: the database is new, or embedded. */
const sampledRooms = 1000;

/** An empty room has no cached value: a user may join in any moment. */
class NobodyThere extends Error {}

interface Named {
  readonly user: string;
  readonly name: string | null;
}

export class KnownUsers {
  readonly #parts: KnownUsersParts;
  readonly #names: Batcher<Named, string | null>;

  constructor(parts: KnownUsersParts) {
    this.#parts = parts;
    this.#names = new Batcher((users) => this.#load(users), { maxBatch: 500, maxWaiting: 20_000 });
  }

  /**
   * The stored name of a user, from the cache. A user that is new is stored.
   * @param name the name of a user that has none
   */
  async nameOf(user: string, name: string | null = null): Promise<string | null> {
    const { cache } = this.#parts;
    const known = (await cache.read('user', [user], () => this.#facts(user, name)))?.name ?? null;
    if (known !== null || name === null) return known;
    const stored = await this.#names.add({ user, name });
    await cache.invalidate([`user:${user}`]);
    return stored;
  }

  /**
   * The owner of a room, else the member who joined first, from the cache. A command of that user is checked in its own
   * statement. Undefined: nobody is in the room.
   */
  async ownerOf(room: string): Promise<string | undefined> {
    try {
      return await this.#parts.cache.read('roomOwner', [room], () => this.#owner(room));
    } catch (error) {
      if (error instanceof NobodyThere) return undefined;
      throw error;
    }
  }

  /**
   * Loads the owners of the rooms with the most messages, and their names, before the first requests of back ends.
   * @returns how many values are cached now
   */
  async warm(rooms: number): Promise<number> {
    const { background: sql, cache } = this.#parts;
    const busiest = await sql<{ id: string; owner: string }[]>`
      select r.id, o.owner
      from (${busiestRooms(sql, rooms)}) r cross join lateral (${ownerIn(sql, sql`r.id`)}) o`;
    const [ids, owners] = [new Set(busiest.map(({ id }) => id)), new Set(busiest.map(({ owner }) => owner))];
    const warmed = await cache.warm('roomOwner', keysOf(ids), ([room]) => this.#owner(room));
    return warmed + (await cache.warm('user', keysOf(owners), ([user]) => this.#facts(user, null)));
  }

  async #facts(user: string, name: string | null): Promise<UserFacts> {
    return { id: user, name: await this.#names.add({ user, name }) };
  }

  /** Reads the primary, as every load of the cache. @throws {NobodyThere} */
  async #owner(room: string): Promise<string> {
    const { sql } = this.#parts;
    const [row] = await sql<{ owner: string }[]>`
      (${ownerIn(sql, sql`${room}`)})
      union all (select user_id from members where room_id = ${room} order by joined_at, user_id limit 1)
      limit 1`;
    if (row === undefined) throw new NobodyThere();
    return row.owner;
  }

  /** Reads the primary: a load of the cache sees every finished commit. */
  async #load(users: Named[]): Promise<(string | null)[]> {
    const { sql } = this.#parts;
    const offered = new Map<string, string | null>();
    for (const { user, name } of users) offered.set(user, offered.get(user) ?? name);
    const ids = [...offered.keys()].sort();
    const rows = await sql<{ id: string; name: string | null }[]>`
      select id, name from users where id = any (${ids}::text[])`;
    const names = new Map(rows.map(({ id, name }) => [id, name]));
    const fresh = ids.filter((id) => !names.has(id) || (names.get(id) === null && offered.get(id) !== null));
    if (fresh.length > 0) {
      const added = await sql<{ id: string; name: string | null }[]>`
        insert into users as u (id, name)
        select * from unnest(${fresh}::text[], ${fresh.map((id) => offered.get(id) ?? null)}::text[]) as f (id, name)
        order by f.id
        on conflict (id) do update set name = excluded.name where u.name is null and excluded.name is not null
        returning u.id, u.name`;
      for (const { id, name } of added) names.set(id, name);
    }
    return users.map(({ user }) => names.get(user) ?? null);
  }
}

/** The order is that of the index of roles. By the key of members, all members of a room would be read. */
function ownerIn(sql: postgres.Sql, room: postgres.Fragment): postgres.Fragment {
  return sql`
    select m.user_id as owner from members m where m.room_id = ${room} and m.role = 'owner' order by m.role, m.user_id limit 1`;
}

/**
 * The rooms with the most messages, as the statistics of Postgres know them: a row with about 100 rooms. An index of heads
 * would slow down each send, and a sort would read all rooms. Without statistics the first rooms have to do.
 */
function busiestRooms(sql: postgres.Sql, rooms: number): postgres.Fragment {
  return sql`
    with common as materialized (
      select c.id from pg_stats s, unnest(s.most_common_vals::text::text[]) with ordinality c (id, n)
      -- not current_schema(): a role with the name of another schema has that one first
      where s.attname = 'room_id' and (s.schemaname, s.tablename) = (
        select n.nspname, m.relname from pg_class m join pg_namespace n on n.oid = m.relnamespace where m.oid = 'messages'::regclass)
      order by c.n limit ${rooms}
    )
    select r.id from common c join rooms r on r.id = c.id
    union all
    (select f.id from (select id, last_seq from rooms order by id limit ${sampledRooms}) f
    where f.last_seq > 0 and not exists (select from common) order by f.last_seq desc limit ${rooms})`;
}

function keysOf(ids: ReadonlySet<string>): (readonly [string])[] {
  return [...ids].map((id) => [id] as const);
}
