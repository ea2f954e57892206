/** The stored preferences of users. A document that says nothing is no row. */
import type { RoomPreferences, UserPreferences } from '../protocol/notifications.ts';
import { limits } from '../protocol/limits.ts';
import { readAccess } from '../rooms/access.ts';
import type { postgres } from '../storage/sql.ts';

/** The row of the preferences for everything. */
const everyRoom = '';

export interface PreferenceParts {
  readonly sql: postgres.Sql;
  readonly reads: postgres.Sql;
  /** Runs a read in the turn of its user. */
  readonly reading: <T>(user: string, read: () => Promise<T>) => Promise<T>;
}

export class Preferences {
  readonly #sql: postgres.Sql;
  readonly #reads: postgres.Sql;

  readonly #reading: PreferenceParts['reading'];

  constructor({ sql, reads, reading }: PreferenceParts) {
    this.#sql = sql;
    this.#reads = reads;
    this.#reading = reading;
  }

  /** The preferences for everything, or for a room. @throws {ParleyError} unless the user is a member of the room */
  get(user: string, room?: string): Promise<UserPreferences> {
    return this.#reading(user, async () => {
      if (room !== undefined) await readAccess(this.#reads, user, room);
      return this.#read(user, room ?? everyRoom);
    });
  }

  /**
   * Replaces the preferences of a user, or of the user in a room. Notifications that wait are decided again, because a snooze or
   * quiet hours may have ended. @throws {ParleyError} unless the user is a member
   */
  async set(user: string, room: string | undefined, document: RoomPreferences | UserPreferences): Promise<void> {
    if (room !== undefined) await readAccess(this.#reads, user, room);
    await this.#store(user, room, document);
    await this.#sql`
      update notifications set due_at = clock_timestamp()
      where user_id = ${user} and state = 'waiting' and due_at > clock_timestamp()
        and ${room === undefined ? this.#sql`true` : this.#sql`room_id = ${room}`}`;
  }

  /** The preferences for rooms of the user, at most the latest `limits.preferredRooms`. */
  rooms(user: string): Promise<Record<string, RoomPreferences>> {
    return this.#reading(user, async () => {
      const rows = await this.#reads<{ room_id: string; document: string }[]>`
        select p.room_id, p.document from preferences p join members m on m.room_id = p.room_id and m.user_id = p.user_id
        where p.user_id = ${user} and p.room_id <> ${everyRoom}
        order by p.updated_at desc limit ${limits.preferredRooms}`;
      return Object.fromEntries(
        rows.map(({ room_id: room, document }) => [room, JSON.parse(document) as RoomPreferences]),
      );
    });
  }

  async #store(user: string, room: string | undefined, document: RoomPreferences | UserPreferences): Promise<void> {
    const json = JSON.stringify(document);
    if (json === '{}') {
      await this.#sql`delete from preferences where user_id = ${user} and room_id = ${room ?? everyRoom}`;
      return;
    }
    await this.#sql`
      insert into preferences as p (user_id, room_id, document, wants_all)
      values (${user}, ${room ?? everyRoom}, ${json}::text::jsonb, ${wantsAll(document)})
      on conflict (user_id, room_id) do update set
        document = excluded.document, wants_all = excluded.wants_all, updated_at = clock_timestamp()`;
  }

  async #read(user: string, room: string): Promise<UserPreferences> {
    const [row] = await this.#reads<{ document: string }[]>`
      select document from preferences where user_id = ${user} and room_id = ${room}`;
    return row === undefined ? {} : (JSON.parse(row.document) as UserPreferences);
  }
}

/** Whether a message that names nobody may notify the user: the expansion finds such users by an index. */
function wantsAll(document: RoomPreferences | UserPreferences): boolean {
  const levels = [document.level, ...Object.values(document.channels ?? {})];
  return levels.includes('all') || ('kinds' in document && document.kinds?.message === true);
}
