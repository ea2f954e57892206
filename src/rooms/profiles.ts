/** The stored profiles of users. A name that is set here counts against tokens that were issued before (ConnectLoad). */
import type { Cache } from '../storage/cache.ts';
import { invalidationsOfChanges } from '../storage/cache/invalidations.ts';
import type { postgres } from '../storage/sql.ts';
import type { Seen } from '../protocol/http-route.ts';
import type { Profile, ProfileChange, WholeProfile } from '../protocol/profile.ts';
import { refusalError } from './refusals.ts';

interface ProfileRow {
  readonly id: string;
  readonly name: string | null;
  readonly avatar: string | null;
  readonly locale: string | null;
  readonly zone: string | null;
  readonly created_at: number;
}

export interface ProfilesParts {
  readonly sql: postgres.Sql;
  readonly cache: Pick<Cache, 'read' | 'invalidate'>;
}

/** A user that is not stored has no cached value: the user may be stored in any moment. */
class NotStored extends Error {}

export class Profiles {
  readonly #sql: postgres.Sql;
  readonly #cache: ProfilesParts['cache'];

  constructor(parts: ProfilesParts) {
    this.#sql = parts.sql;
    this.#cache = parts.cache;
  }

  /** The profile, from the cache. @returns undefined for a user that is not stored. */
  async read(user: string): Promise<Profile | undefined> {
    try {
      return await this.#cache.read('profile', [user], () => this.#stored(user));
    } catch (error) {
      if (error instanceof NotStored) return undefined;
      throw error;
    }
  }

  /** Reads the primary: a load of the cache sees every finished commit. @throws {NotStored} */
  async #stored(user: string): Promise<Profile> {
    const [row] = await this.#sql<ProfileRow[]>`
      select id, name, avatar, locale, zone, created_at from users where id = ${user}`;
    if (row === undefined) throw new NotStored();
    return profileOf(row);
  }

  /** Resolves when no node serves the profile of before. */
  async #changed(user: string): Promise<void> {
    await this.#cache.invalidate(invalidationsOfChanges.user(user));
  }

  /**
   * Stores a user that is new, unless the write depends on a profile.
   * @throws {RestError} `precondition_failed` if the profile is another one than `seen` by now
   */
  async replace(user: string, whole: WholeProfile, seen?: Seen<Profile>): Promise<Profile> {
    if (seen !== undefined) {
      const changed = await this.change(user, whole, seen);
      if (changed === undefined) throw refusalError('stale');
      return changed;
    }
    const { name, avatar, locale, zone } = whole;
    const [row] = await this.#sql<[ProfileRow]>`
      insert into users as u (id, name, avatar, locale, zone, named_at)
      values (${user}, ${name}, ${avatar}, ${locale}, ${zone}, case when ${name}::text is not null then clock_timestamp() end)
      on conflict (id) do update set name = excluded.name, avatar = excluded.avatar, locale = excluded.locale,
        zone = excluded.zone, named_at = excluded.named_at
      returning u.id, u.name, u.avatar, u.locale, u.zone, u.created_at`;
    await this.#changed(user);
    return profileOf(row);
  }

  /**
   * @returns undefined for a user that is not stored.
   * @throws {RestError} `precondition_failed` if the profile is another one than `seen` by now
   */
  async change(user: string, fields: ProfileChange, seen?: Seen<Profile>): Promise<Profile | undefined> {
    const { name, avatar, locale, zone } = fields;
    const compared = seen === 'any' ? undefined : seen;
    const [row] = await this.#sql<ProfileRow[]>`
      update users set
        name = case when ${name !== undefined} then ${name ?? null}::text else name end,
        named_at = case when ${name === undefined} then named_at when ${name ?? null}::text is not null then clock_timestamp() end,
        avatar = case when ${avatar !== undefined} then ${avatar ?? null}::text else avatar end,
        locale = case when ${locale !== undefined} then ${locale ?? null}::text else locale end,
        zone = case when ${zone !== undefined} then ${zone ?? null}::text else zone end
      where id = ${user} ${compared === undefined ? this.#sql`` : this.#sql`and ${isAs(this.#sql, compared)}`}
      returning id, name, avatar, locale, zone, created_at`;
    if (row === undefined) {
      if (compared !== undefined) throw refusalError('stale');
      return undefined;
    }
    await this.#changed(user);
    return profileOf(row);
  }
}

/** Whether a row of `users` is the profile that a caller has read. */
function isAs(sql: postgres.ISql, { name, avatar, locale = null, zone = null }: Profile): postgres.Fragment {
  return sql`(name, avatar, locale, zone) is not distinct from (${name}, ${avatar}, ${locale}, ${zone})`;
}

function profileOf({ created_at, ...row }: ProfileRow): Profile {
  return { ...row, createdAt: created_at };
}
