/** Users that callers without a connection name: back ends act for users who may never have connected. */
import { Batcher } from '../storage/batcher.ts';
import type { Cache } from '../storage/cache.ts';
import type { UserFacts } from '../storage/cache/kinds.ts';
import type { postgres } from '../storage/sql.ts';

export interface KnownUsersParts {
  readonly sql: postgres.Sql;
  readonly reads: postgres.Sql;
  readonly cache: Pick<Cache, 'read' | 'invalidate'>;
}

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
    const load = async (): Promise<UserFacts> => ({ id: user, name: await this.#names.add({ user, name }) });
    const known = (await cache.read('user', [user], load))?.name ?? null;
    if (known !== null || name === null) return known;
    const stored = await this.#names.add({ user, name });
    await cache.invalidate([`user:${user}`]);
    return stored;
  }

  /** The owner of a room, else the member who joined first. Undefined: nobody is in the room. */
  async ownerOf(room: string): Promise<string | undefined> {
    const [row] = await this.#parts.reads<{ user_id: string }[]>`
      select user_id from members where room_id = ${room} order by role <> 'owner', joined_at, user_id limit 1`;
    return row?.user_id;
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
