/**
 * Activity over nodes that share a Redis. Each user with active connections has a hash `active:<user>`: connection → the end
 * of the entry in milliseconds since 1970, a space, and the room. A node renews its entries, so the entries of a dead node
 * end by themselves, and Redis may lose any of them for one renewal.
 */
import { every } from '../jobs/periodic.ts';
import { within } from '../jobs/within.ts';
import type { RedisLink } from '../storage/redis.ts';
import { LocalActivity, staleMs, type Activity, type ActivityState } from './activity.ts';

export interface RedisActivityOptions {
  readonly redis: RedisLink;
  readonly prefix: string;
  readonly now?: () => number;
}

const renewMs = 15_000;
const usersAtOnce = 1000;
/** The longest wait for Redis: without an answer no user counts as active elsewhere. */
const patienceMs = 500;

export class RedisActivity implements Activity {
  readonly #options: RedisActivityOptions;
  readonly #local = new LocalActivity();
  readonly #timer: NodeJS.Timeout;

  constructor(options: RedisActivityOptions) {
    this.#options = options;
    this.#timer = every(() => this.#renew(), renewMs);
  }

  set(user: string, session: string, state: ActivityState, room: string | undefined): void {
    if (state !== 'active') this.gone(user, session);
    else if (this.#local.set(user, session, room ?? '')) this.#write([[user, session, room ?? '']]);
  }

  gone(user: string, session: string): void {
    if (!this.#local.delete(user, session)) return;
    // an entry that Redis keeps ends by itself
    this.#options.redis.commands.hdel(this.#keyOf(user), session).catch(() => undefined);
  }

  async of(users: readonly string[]): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
    const found = new Map<string, Set<string>>();
    const add = (user: string, rooms: Iterable<string>): void => {
      found.set(user, new Set([...(found.get(user) ?? []), ...rooms]));
    };
    for (const user of users) {
      const rooms = this.#local.roomsOf(user);
      if (rooms !== undefined) add(user, rooms);
    }
    for (let at = 0; at < users.length; at += usersAtOnce) {
      const some = users.slice(at, at + usersAtOnce);
      const entries = await this.#read(some);
      entries.forEach((rooms, i) => {
        if (rooms.length > 0) add(some[i] as string, rooms);
      });
    }
    return found;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    const pipeline = this.#options.redis.commands.pipeline();
    for (const [user, session] of this.#local.all()) pipeline.hdel(this.#keyOf(user), session);
    // without Redis the entries end by themselves
    if (pipeline.length > 0) await within(patienceMs, pipeline.exec()).catch(() => undefined);
  }

  async #read(users: readonly string[]): Promise<readonly string[][]> {
    if (!this.#options.redis.up) return [];
    const pipeline = this.#options.redis.commands.pipeline();
    for (const user of users) pipeline.hvals(this.#keyOf(user));
    const now = this.#now;
    try {
      const replies = (await within(patienceMs, pipeline.exec())) ?? [];
      return replies.map(([, values]) =>
        (Array.isArray(values) ? (values as string[]) : []).flatMap((value) => {
          const space = value.indexOf(' ');
          return Number(value.slice(0, space)) > now ? [value.slice(space + 1)] : [];
        }),
      );
    } catch {
      // Redis is unavailable, which its link logs; this node knows its own connections
      return [];
    }
  }

  #renew(): void {
    this.#write([...this.#local.all()]);
  }

  #write(entries: readonly (readonly [user: string, session: string, room: string])[]): void {
    if (entries.length === 0 || !this.#options.redis.up) return;
    const end = this.#now + staleMs;
    const pipeline = this.#options.redis.commands.pipeline();
    for (const [user, session, room] of entries) {
      pipeline.hset(this.#keyOf(user), session, `${end} ${room}`);
      pipeline.pexpire(this.#keyOf(user), staleMs);
    }
    // the next renewal writes the entries again
    pipeline.exec().catch(() => undefined);
  }

  get #now(): number {
    return (this.#options.now ?? Date.now)();
  }

  #keyOf(user: string): string {
    return `${this.#options.prefix}active:${user}`;
  }
}
