/** Users that callers without a connection name: back ends act for users who may never have connected. */
import { Batcher } from '../storage/batcher.ts';
import type { Cache } from '../storage/cache.ts';
import type { UserFacts } from '../storage/cache/kinds.ts';
import type { postgres } from '../storage/sql.ts';

export interface KnownUsersParts {
  readonly sql: postgres.Sql;
  readonly reads: postgres.Sql;
  readonly cache: Pick<Cache, 'read'>;
}

export class KnownUsers {
  readonly #parts: KnownUsersParts;
  readonly #names: Batcher<string, string | null>;

  constructor(parts: KnownUsersParts) {
    this.#parts = parts;
    this.#names = new Batcher((users) => this.#load(users), { maxBatch: 500, maxWaiting: 20_000 });
  }

  /** The stored name of a user, from the cache. A user that is new is stored without a name. */
  async nameOf(user: string): Promise<string | null> {
    const load = async (): Promise<UserFacts> => ({ id: user, name: await this.#names.add(user) });
    return (await this.#parts.cache.read('user', [user], load))?.name ?? null;
  }

  /** The owner of a room, else the member who joined first. Undefined: nobody is in the room. */
  async ownerOf(room: string): Promise<string | undefined> {
    const [row] = await this.#parts.reads<{ user_id: string }[]>`
      select user_id from members where room_id = ${room} order by role <> 'owner', joined_at, user_id limit 1`;
    return row?.user_id;
  }

  /** Reads the primary: a load of the cache sees every finished commit. */
  async #load(users: string[]): Promise<(string | null)[]> {
    const { sql } = this.#parts;
    const ids = [...new Set(users)].sort();
    const rows = await sql<{ id: string; name: string | null }[]>`
      select id, name from users where id = any (${ids}::text[])`;
    const names = new Map(rows.map(({ id, name }) => [id, name]));
    const fresh = ids.filter((id) => !names.has(id));
    if (fresh.length > 0) {
      await sql`
        insert into users (id) select id from unnest(${fresh}::text[]) as u (id) order by id on conflict do nothing`;
    }
    return users.map((id) => names.get(id) ?? null);
  }
}
