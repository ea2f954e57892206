/** Users that callers without a connection name: back ends act for users who may never have connected. */
import type { postgres } from '../storage/sql.ts';
import { Batcher } from '../storage/batcher.ts';

interface Named {
  readonly user: string;
  readonly name: string | null;
}

export class KnownUsers {
  readonly #sql: postgres.Sql;
  readonly #reads: postgres.Sql;
  readonly #names: Batcher<Named, string | null>;

  constructor(sql: postgres.Sql, reads: postgres.Sql) {
    this.#sql = sql;
    this.#reads = reads;
    this.#names = new Batcher((users) => this.#load(users), { maxBatch: 500, maxWaiting: 20_000 });
  }

  /**
   * The stored name of a user. A user that is new is stored.
   * @param name the name of a user that has none
   */
  nameOf(user: string, name: string | null = null): Promise<string | null> {
    return this.#names.add({ user, name });
  }

  /** The owner of a room, else the member who joined first. Undefined: nobody is in the room. */
  async ownerOf(room: string): Promise<string | undefined> {
    const [row] = await this.#reads<{ user_id: string }[]>`
      select user_id from members where room_id = ${room} order by role <> 'owner', joined_at, user_id limit 1`;
    return row?.user_id;
  }

  async #load(users: Named[]): Promise<(string | null)[]> {
    const offered = new Map<string, string | null>();
    for (const { user, name } of users) offered.set(user, offered.get(user) ?? name);
    const ids = [...offered.keys()].sort();
    const rows = await this.#reads<{ id: string; name: string | null }[]>`
      select id, name from users where id = any (${ids}::text[])`;
    const names = new Map(rows.map(({ id, name }) => [id, name]));
    const fresh = ids.filter((id) => !names.has(id) || (names.get(id) === null && offered.get(id) !== null));
    if (fresh.length > 0) {
      const added = await this.#sql<{ id: string; name: string | null }[]>`
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
