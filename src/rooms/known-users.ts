/** Users that callers without a connection name: back ends act for users who may never have connected. */
import type { postgres } from '../storage/sql.ts';
import { Batcher } from '../storage/batcher.ts';

export class KnownUsers {
  readonly #sql: postgres.Sql;
  readonly #reads: postgres.Sql;
  readonly #names: Batcher<string, string | null>;

  constructor(sql: postgres.Sql, reads: postgres.Sql) {
    this.#sql = sql;
    this.#reads = reads;
    this.#names = new Batcher((users) => this.#load(users), { maxBatch: 500, maxWaiting: 20_000 });
  }

  /** The stored name of a user. A user that is new is stored without a name. */
  nameOf(user: string): Promise<string | null> {
    return this.#names.add(user);
  }

  /** The owner of a room, else the member who joined first. Undefined: nobody is in the room. */
  async ownerOf(room: string): Promise<string | undefined> {
    const [row] = await this.#reads<{ user_id: string }[]>`
      select user_id from members where room_id = ${room} order by role <> 'owner', joined_at, user_id limit 1`;
    return row?.user_id;
  }

  async #load(users: string[]): Promise<(string | null)[]> {
    const ids = [...new Set(users)].sort();
    const rows = await this.#reads<{ id: string; name: string | null }[]>`
      select id, name from users where id = any (${ids}::text[])`;
    const names = new Map(rows.map(({ id, name }) => [id, name]));
    const fresh = ids.filter((id) => !names.has(id));
    if (fresh.length > 0) {
      await this.#sql`
        insert into users (id) select id from unnest(${fresh}::text[]) as u (id) order by id on conflict do nothing`;
    }
    return users.map((id) => names.get(id) ?? null);
  }
}
