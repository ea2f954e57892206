/** Threads as their readers see them: pages of replies, the threads that a user follows, and their unread replies. */
import type { postgres } from '../storage/sql.ts';
import type { Fanout } from '../fanout/fanout.ts';
import type { CommandOutput, ParsedInput } from '../protocol/commands.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { EventData } from '../protocol/events.ts';
import { limits } from '../protocol/limits.ts';
import { messageColumns } from '../messages/message-columns.ts';
import { messageJson, type StoredMessage } from '../messages/message-json.ts';
import { requireMember, roomAccess, type Access } from '../rooms/access.ts';
import { pageCursor } from '../rooms/page-cursor.ts';

/** A message that may not be there, by the side of what is. */
type Nullable<T> = { [K in keyof T]: T[K] | null };
type Row = Access & {
  last_rev: number;
  root: number | null;
  is_root: boolean | null;
} & Nullable<StoredMessage>;

interface ThreadAccess extends Access {
  root: number | null;
  last_seq: number;
  following: number | null;
}

type InThread = ParsedInput<'thread:follow'>;

export class Threads {
  readonly #sql: postgres.Sql;
  readonly #reads: postgres.Sql;
  readonly #fanout: Fanout;

  constructor({ sql, reads = sql, fanout }: { sql: postgres.Sql; reads?: postgres.Sql; fanout: Fanout }) {
    this.#sql = sql;
    this.#reads = reads;
    this.#fanout = fanout;
  }

  /** A page of replies and the root, as the JSON text of the output of `thread:history`; from one snapshot. */
  async history(user: string, input: ParsedInput<'thread:history'>): Promise<string> {
    const sql = this.#reads;
    const { room, before, after, limit } = input;
    const forward = after !== undefined;
    const bound = forward ? sql`t.seq > ${after}` : before === undefined ? sql`true` : sql`t.seq < ${before}`;
    const rows = await sql<Row[]>`
      select a.kind, a.role, a.last_rev, a.root, x.*
      from (
        select r.kind, r.last_rev, r.first_seq, m.role, ${rootOf(sql, input)} as root
        from ${roomAccess(sql, user, room)}
      ) a
      left join lateral (
        (
          select ${messageColumns(sql, user)}, u.name, true as is_root
          from messages t left join users u on u.id = t.sender_id
          where a.role is not null and t.room_id = ${room} and t.seq = a.root and t.seq >= a.first_seq
        ) union all (
          select ${messageColumns(sql, user)}, u.name, false
          from messages t left join users u on u.id = t.sender_id
          where a.role is not null and t.room_id collate "POSIX" = ${room} and t.thread = a.root
            and t.seq >= greatest(a.root + 1, a.first_seq) and ${bound}
          order by t.seq ${forward ? sql`asc` : sql`desc`} limit ${limit + 1}
        )
      ) x on true`;
    const [first] = rows;
    requireMember(first);
    if (first.root === null) throw new ParleyError('not_found');
    const messages = rows.filter((row) => row.seq !== null);
    const root = messages.find((row) => row.is_root) as StoredMessage | undefined;
    const replies = messages.filter((row) => row.is_root === false) as unknown as StoredMessage[];
    const page = replies.slice(0, limit);
    if (!forward) page.reverse();
    const [oldest, newest] = [page[0]?.seq ?? null, page.at(-1)?.seq ?? null];
    return (
      `{"root":${root === undefined ? 'null' : messageJson(root)},"messages":[${page.map(messageJson).join(',')}],` +
      `"before":${oldest},"after":${newest},"more":${replies.length > limit},"rev":${first.last_rev}}`
    );
  }

  async follow(user: string, input: InThread): Promise<CommandOutput<'thread:follow'>> {
    const { room } = input;
    const { root, following, last_seq: head } = await this.#access(user, input);
    if (following !== null) return { root, read: following };
    const sql = this.#sql;
    // earlier replies are not unread
    const [row] = await sql<{ read: number; is_new: boolean }[]>`
      insert into thread_follows as f (room_id, root, user_id, read_seq, followed_at)
      values (${room}, ${root}, ${user}, ${head}, date_trunc('milliseconds', clock_timestamp()))
      on conflict (room_id, root, user_id) do update set read_seq = f.read_seq
      returning read_seq as read, f.xmax = 0 as is_new`;
    const read = row?.read ?? head;
    if (row?.is_new === true) {
      await sql`select trim_follows(${[user]}::text[], ${limits.followedThreads})`;
      this.#publish(user, { room, root, following: true, read });
    }
    return { root, read };
  }

  async unfollow(user: string, input: InThread): Promise<CommandOutput<'thread:unfollow'>> {
    const { room } = input;
    const { root, following } = await this.#access(user, input);
    if (following === null) return { root };
    await this.#sql`delete from thread_follows where room_id = ${room} and root = ${root} and user_id = ${user}`;
    this.#publish(user, { room, root, following: false, read: 0 });
    return { root };
  }

  async read(user: string, input: ParsedInput<'thread:read'>): Promise<CommandOutput<'thread:read'>> {
    const { room, seq } = input;
    const { root, following, last_seq: head } = await this.#access(user, input);
    if (following === null) throw new ParleyError('not_found', 'You do not follow this thread.');
    const target = Math.min(seq, head);
    if (target <= following) return { root, read: following };
    const [row] = await this.#sql<{ read: number }[]>`
      update thread_follows set read_seq = greatest(read_seq, ${target}::bigint)
      where room_id = ${room} and root = ${root} and user_id = ${user} returning read_seq as read`;
    if (row === undefined) throw new ParleyError('not_found', 'You do not follow this thread.');
    this.#publish(user, { room, root, following: true, read: row.read });
    return { root, read: row.read };
  }

  /**
   * A page of followed threads, as the JSON text of the output of `thread:list`. They are in the order of their last
   * replies. No index has that order for one user, so all threads of the user are read: at most a thousand, by key.
   */
  async list(user: string, input: ParsedInput<'thread:list'>): Promise<string> {
    const sql = this.#reads;
    const { limit } = input;
    const before = input.before === undefined ? undefined : pageCursor.decode(input.before);
    const bound =
      before === undefined
        ? sql``
        : sql`and (h.last_reply_at, h.room_id, h.root) < (${before.at}::timestamptz, ${before.room}::text collate "C", ${before.seq}::bigint)`;
    type ListRow = { room_id: string; head: number; last_at: number; state: string; read: number; unread: number };
    const rows = await sql<(ListRow & Nullable<StoredMessage>)[]>`
      select x.room_id, x.root as head, x.last_reply_at as last_at, x.state, x.read, y.unread, z.*
      from (
        select f.room_id, f.root, h.last_reply_at, thread_state(h) as state, f.read_seq as read
        from thread_follows f
        join members m on m.room_id = f.room_id and m.user_id = f.user_id
        join threads h on h.room_id = f.room_id and h.root = f.root
        where f.user_id = ${user} ${bound}
        order by h.last_reply_at desc, h.room_id desc, h.root desc limit ${limit + 1}
      ) x
      left join rooms r on r.id = x.room_id -- so that one deleted now does not make the page seem the last
      cross join lateral (
        select count(*)::integer as unread from (
          select from messages t
          where t.room_id collate "POSIX" = x.room_id and t.thread = x.root
            and t.seq > greatest(x.read, x.root, r.first_seq - 1) and t.deleted_at is null
          limit ${limits.threadUnread}
        ) s
      ) y
      left join lateral (
        select ${messageColumns(sql, user)}, u.name
        from messages t left join users u on u.id = t.sender_id
        where t.room_id = x.room_id and t.seq = x.root and t.seq >= r.first_seq
      ) z on true
      order by x.last_reply_at desc, x.room_id desc, x.root desc`;
    const found = rows.slice(0, limit);
    const list = found.map((row) => {
      const root = row.seq === null ? 'null' : messageJson(row as StoredMessage);
      // the state begins with a comma, as it follows the other fields of a message
      return `{"room":"${row.room_id}","root":${root}${row.state},"read":${row.read},"unread":${row.unread}}`;
    });
    const last = found.at(-1);
    const next =
      last === undefined ? null : pageCursor.encode({ at: last.last_at, room: last.room_id, seq: last.head });
    return `{"threads":[${list.join(',')}],"before":${JSON.stringify(next)},"more":${rows.length > limit}}`;
  }

  /** @throws {ParleyError} unless the user is a member and the message is or was there. */
  async #access(user: string, input: InThread): Promise<ThreadAccess & { root: number }> {
    const sql = this.#sql;
    const [access] = await sql<ThreadAccess[]>`
      select a.*, f.read_seq as following
      from (
        select r.id, r.kind, r.last_seq, m.role, ${rootOf(sql, input)} as root
        from ${roomAccess(sql, user, input.room)}
      ) a
      left join thread_follows f on f.room_id = a.id and f.root = a.root and f.user_id = ${user}`;
    requireMember(access);
    if (access.root === null) throw new ParleyError('not_found');
    return { ...access, root: access.root };
  }

  /** Publishes to all of the user's devices, with the one that sent the command. */
  #publish(user: string, data: EventData<'thread'>): void {
    this.#fanout.publish([{ to: 'user', user, event: 'thread', json: JSON.stringify(data), about: data.room }]);
  }
}

/**
 * The root of the thread that a message is in, or would be. For an expired message: the message itself if it was a root,
 * else null.
 * Within a statement that has the room as `r`.
 */
function rootOf(sql: postgres.ISql, { room, root }: { room: string; root: number }): postgres.Fragment {
  return sql`coalesce(
    (select coalesce(t.thread, t.seq) from messages t where t.room_id = ${room} and t.seq = ${root} and t.seq >= r.first_seq),
    (select h.root from threads h where h.room_id = ${room} and h.root = ${root}))`;
}
