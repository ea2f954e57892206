/**
 * Deletes the data of a user, on the user's request. docs/export.md lists the deleted data and the rest.
 *
 * The work is done in small transactions, room by room, so a write waits for at most one of them. Each changed message takes
 * a rev of its room, and the outbox brings the change to the nodes, so every client gets the same content. After a break
 * anywhere, another run does the rest. An index of messages by sender would slow down each send, so all messages are read.
 *
 * Locks are taken in one order: the room, its messages by seq, then the rows that belong to those messages. Retention
 * deletes expired messages without the lock of their room, so the lock of the room alone would not do.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { postgres } from '../storage/sql.ts';
import { Revocations } from '../sessions/revocations.ts';
import type { Applied } from '../storage/confirmations.ts';
import { notifierLock } from '../storage/locks.ts';
import { leaveToOutbox } from '../recovery/relay.ts';

export interface ForgetOptions {
  /** Keep the user's messages under the pseudonym; else the bodies are removed, as if each message had been deleted. */
  readonly keepMessages: boolean;
  /** Makes nodes read revoked tokens at once; without it they do within a second. */
  readonly nudge?: () => void;
  /** Resolves when no node serves the user any more. */
  readonly applied: (of: Applied) => Promise<void>;
  /** Where an earlier run stopped. */
  readonly from?: ForgetProgress;
  /** Called in each transaction that changes rows. An error undoes the transaction and ends the run. */
  readonly saving?: (tx: postgres.ISql, progress: ForgetProgress) => Promise<void>;
}

/** How far a run is. */
export interface ForgetProgress extends Omit<Forgotten, 'known'> {
  /** The rooms up to this one have no rows of the user any more. */
  readonly after: string;
}

export interface Forgotten {
  /** Replaces the user's id in the remaining rows. */
  readonly pseudonym: string;
  readonly known: boolean;
  readonly rooms: number;
  readonly messages: number;
  readonly reactions: number;
}

const roomsPage = 50;
/** Messages that one statement reads. */
const scanned = 10_000;
/** Messages changed in one transaction: about 20 ms with the room locked. */
const changedAtOnce = 200;
/** Rows of one table that belong to no single room, in one statement. */
const rowsAtOnce = 500;
/** The pause before locked rows are tried again. */
const heldMs = 20;

/** Rows about the user that only the server reads. */
const ownTables = ['blocks', 'departures', 'invitation_rests', 'slow_edits', 'preferences', 'devices'] as const;

export async function forgetUser(sql: postgres.Sql, user: string, options: ForgetOptions): Promise<Forgotten> {
  const run = new Forget(sql, user, options);
  // first: rows that the user writes later would remain
  const revocations = new Revocations(sql, options.applied);
  if (options.nudge !== undefined) revocations.onStored(options.nudge);
  await revocations.revokeAll(user, 'operator');
  await run.leaveRooms();
  await options.applied({ kind: 'membership', user });
  for (;;) {
    const [page, last] = await run.roomsWithTraces();
    for (const room of page) await run.room(room);
    if (last === undefined) break;
    await run.passed(last);
  }
  const known = await run.erase();
  const { pseudonym, rooms, messages, reactions } = run;
  return { pseudonym, known, rooms, messages, reactions };
}

class Forget {
  readonly #sql: postgres.Sql;
  readonly #user: string;
  readonly #keep: boolean;
  readonly #saving: ForgetOptions['saving'];
  #after: string;
  /** Random, so that the id does not lead to it. */
  readonly pseudonym: string;
  rooms: number;
  messages: number;
  reactions: number;

  constructor(sql: postgres.Sql, user: string, { keepMessages, from, saving }: ForgetOptions) {
    this.#sql = sql;
    this.#user = user;
    this.#keep = keepMessages;
    this.#saving = saving;
    this.#after = from?.after ?? '';
    this.pseudonym = from?.pseudonym ?? `forgotten-${randomBytes(8).toString('hex')}`;
    this.rooms = from?.rooms ?? 0;
    this.messages = from?.messages ?? 0;
    this.reactions = from?.reactions ?? 0;
  }

  /** The rooms up to this one are done. */
  async passed(room: string): Promise<void> {
    this.#after = room;
    await this.#save(this.#sql);
  }

  async #save(sql: postgres.ISql): Promise<void> {
    const { pseudonym, rooms, messages, reactions } = this;
    await this.#saving?.(sql, { pseudonym, rooms, messages, reactions, after: this.#after });
  }

  /** The other user of a direct room keeps the room. */
  async leaveRooms(): Promise<void> {
    const sql = this.#sql;
    // before the first change: a later run takes the same pseudonym
    await this.#save(sql);
    for (;;) {
      const rooms = await sql<{ room: string }[]>`
        select m.room_id as room from members m
        where m.user_id = ${this.#user} order by m.room_id limit ${roomsPage}`;
      if (rooms.length === 0) return;
      for (const { room } of rooms) {
        await sql`select remove_member(${room}, ${this.#user}, false)`;
        await sql.begin(async (tx) => {
          await tx`select from rooms where id = ${room} for no key update`;
          const gone = await tx`delete from members where room_id = ${room} and user_id = ${this.#user}`;
          await tx`update rooms set member_count = member_count - ${gone.count} where id = ${room}`;
          this.rooms++;
          await this.#save(tx);
        });
      }
    }
  }

  /** A page of rooms with rows of the user, and the last room that was read; undefined: there are no more. */
  async roomsWithTraces(): Promise<[string[], string | undefined]> {
    const user = this.#user;
    // offset 0: for each page, a hash would read the rows of all rooms
    const rows = await this.#sql<{ id: string; found: boolean }[]>`
      select p.id, exists (select from messages t where t.room_id = p.id and t.sender_id = ${user} offset 0)
        or exists (select from reactions x where x.room_id = p.id and x.user_id = ${user} offset 0)
        or exists (select from message_versions v where v.room_id = p.id and v.edited_by = ${user} offset 0)
        or exists (select from messages t where t.room_id = p.id and t.pinned_at is not null and t.pinned_by = ${user} offset 0) as found
      from (select id from rooms where id > ${this.#after} order by id limit ${roomsPage}) p order by p.id`;
    const last = rows.length === roomsPage ? rows.at(-1)?.id : undefined;
    return [rows.flatMap(({ id, found }) => (found ? id : [])), last];
  }

  async room(room: string): Promise<void> {
    const sql = this.#sql;
    const [{ first, last } = { first: 1, last: 0 }] = await sql<{ first: number; last: number }[]>`
      select (select min(seq) from messages where room_id = ${room}) as first, last_seq as last from rooms where id = ${room}`;
    for (let from = first ?? last + 1; from <= last; from += scanned) {
      const rows = await sql<{ seq: number }[]>`
        select seq from messages where room_id = ${room} and seq >= ${from} and seq < ${from + scanned}
          and sender_id = ${this.#user} order by seq`;
      for (let at = 0; at < rows.length; at += changedAtOnce) {
        await this.#forgetMessages(
          room,
          rows.slice(at, at + changedAtOnce).map(({ seq }) => seq),
        );
      }
    }
    for (let more = true; more;) more = (await this.#takeReactionsBack(room)) === changedAtOnce;
    for (let more = true; more;) more = (await this.#renamePins(room)) === changedAtOnce;
    for (let after: number | undefined = 0; after !== undefined;) after = await this.#renameVersions(room, after);
  }

  async #forgetMessages(room: string, seqs: number[]): Promise<void> {
    const { pseudonym } = this;
    await this.#sql.begin(async (tx) => {
      const base = await lockRoom(tx, room);
      await lockMessages(tx, room, seqs);
      const changed = this.#keep
        ? await tx`
            update messages t set sender_id = ${pseudonym}, rev = ${base}::bigint + n.n, changed = true
            from unnest(${seqs}::bigint[]) with ordinality as n (seq, n) where t.room_id = ${room} and t.seq = n.seq`
        : await tx`
            update messages t set sender_id = ${pseudonym}, rev = ${base}::bigint + n.n, changed = true, body = null,
              pinned_at = null, pinned_by = null, deleted_at = coalesce(t.deleted_at, date_trunc('milliseconds', clock_timestamp()))
            from unnest(${seqs}::bigint[]) with ordinality as n (seq, n) where t.room_id = ${room} and t.seq = n.seq`;
      if (!this.#keep) {
        for (const table of ['message_versions', 'reactions', 'reaction_counts', 'mentions']) {
          await tx`delete from ${tx(table)} where room_id = ${room} and seq = any (${seqs}::bigint[])`;
        }
      }
      // the index names the sender; kept messages are indexed again. The search index locks these rows in seq order too.
      await tx`
        select from message_search where room_id = ${room} and seq = any (${seqs}::bigint[]) order by seq for update`;
      await tx`delete from message_search where room_id = ${room} and seq = any (${seqs}::bigint[])`;
      await tx`
        update threads t set rev = ${base + seqs.length}, repliers = array_replace(t.repliers, ${this.#user}, ${pseudonym}),
          replies = (
            select count(*) from messages m where m.room_id collate "POSIX" = ${room} and m.thread = t.root
              and m.reply_to is not null and m.deleted_at is null
          )
        where t.room_id = ${room} and t.root in (
          select m.thread from messages m where m.room_id = ${room} and m.seq = any (${seqs}::bigint[]))`;
      await moveRev(tx, room, base, seqs.length);
      this.messages += changed.count;
      await this.#save(tx);
    });
  }

  /** @returns the number of messages that were read. */
  async #takeReactionsBack(room: string): Promise<number> {
    const user = this.#user;
    return this.#sql.begin(async (tx) => {
      const base = await lockRoom(tx, room);
      const rows = await tx<{ seq: number }[]>`
        select distinct seq from reactions where room_id = ${room} and user_id = ${user} order by seq limit ${changedAtOnce}`;
      if (rows.length === 0) return 0;
      const seqs = rows.map(({ seq }) => seq);
      await lockMessages(tx, room, seqs);
      const gone = await tx<{ seq: number; emoji: string }[]>`
        delete from reactions where room_id = ${room} and user_id = ${user} and seq = any (${seqs}::bigint[]) returning seq, emoji`;
      await tx`
        update reaction_counts c set count = c.count - 1
        from unnest(${gone.map(({ seq }) => seq)}::bigint[], ${gone.map(({ emoji }) => emoji)}::text[]) as g (seq, emoji)
        where c.room_id = ${room} and c.seq = g.seq and c.emoji = g.emoji`;
      await tx`delete from reaction_counts where room_id = ${room} and seq = any (${seqs}::bigint[]) and count <= 0`;
      await tx`
        update messages t set rev = ${base}::bigint + n.n, changed = true
        from unnest(${seqs}::bigint[]) with ordinality as n (seq, n) where t.room_id = ${room} and t.seq = n.seq`;
      await moveRev(tx, room, base, seqs.length);
      this.reactions += gone.length;
      await this.#save(tx);
      return rows.length;
    });
  }

  /** The user's pins stay, under the pseudonym. @returns the number of messages that were read. */
  async #renamePins(room: string): Promise<number> {
    return this.#sql.begin(async (tx) => {
      const base = await lockRoom(tx, room);
      const rows = await tx<{ seq: number }[]>`
        select seq from messages where room_id = ${room} and pinned_at is not null and pinned_by = ${this.#user}
        order by seq limit ${changedAtOnce} for no key update`;
      if (rows.length === 0) return 0;
      const pinned = await tx`
        update messages t set pinned_by = ${this.pseudonym}, rev = ${base}::bigint + n.n, changed = true
        from unnest(${rows.map(({ seq }) => seq)}::bigint[]) with ordinality as n (seq, n)
        where t.room_id = ${room} and t.seq = n.seq`;
      await moveRev(tx, room, base, pinned.count);
      return pinned.count;
    });
  }

  /** Versions of a page of messages behind a seq. @returns the last of those messages; undefined: there are no more. */
  async #renameVersions(room: string, after: number): Promise<number | undefined> {
    return this.#sql.begin(async (tx) => {
      await lockRoom(tx, room);
      const rows = await tx<{ seq: number }[]>`
        select distinct seq from message_versions
        where room_id = ${room} and seq > ${after} and edited_by = ${this.#user} order by seq limit ${changedAtOnce}`;
      const seqs = rows.map(({ seq }) => seq);
      await lockMessages(tx, room, seqs);
      await tx`
        update message_versions set edited_by = ${this.pseudonym}
        where room_id = ${room} and seq = any (${seqs}::bigint[]) and edited_by = ${this.#user}`;
      return rows.length === changedAtOnce ? seqs.at(-1) : undefined;
    });
  }

  /** Removes the name, the rows about the user beside messages, and the user as actor. @returns whether there was such a user. */
  async erase(): Promise<boolean> {
    const sql = this.#sql;
    const user = this.#user;
    for (const table of ['mentions', 'thread_follows', 'invitations', 'bans', 'kept_mutes', ...ownTables]) {
      await this.#ofUser(table, 'user_id', (page) => sql`delete from ${sql(table)} where ctid = any (array(${page}))`);
    }
    for (const [table, column] of [
      ['blocks', 'blocked_id'],
      // links of the user work only by the user's role
      ['join_links', 'made_by'],
    ] as const) {
      await this.#ofUser(table, column, (page) => sql`delete from ${sql(table)} where ctid = any (array(${page}))`);
    }
    for (const [table, column] of [
      ['mentions', 'called_by'],
      ['deleted_rooms', 'deleted_by'],
      ['deleted_rooms', 'made_by'],
      ['bans', 'banned_by'],
      ['invitations', 'invited_by'],
      // the clean-up of uploads removes files that no message names any more
      ['uploads', 'owner_id'],
    ] as const) {
      await this.#ofUser(
        table,
        column,
        (page) => sql`update ${sql(table)} set ${sql(column)} = ${this.pseudonym} where ctid = any (array(${page}))`,
      );
    }
    await this.#eraseNotifications();
    await this.#renameInRooms();
    const gone = await sql`delete from users where id = ${user}`;
    return gone.count > 0;
  }

  /** After an expansion that began before the messages were changed: it may store what it has read. */
  async #eraseNotifications(): Promise<void> {
    const sql = this.#sql;
    const [space, key] = notifierLock;
    await sql.begin((tx) => tx`select pg_advisory_xact_lock(${space}, ${key})`);
    // the rows are in several partitions, so their place in a file is no key
    await sql`delete from notifications where user_id = ${this.#user}`;
    // a delivery has a copy of a message, which also names the users who pinned it
    await sql`delete from webhook_deliveries where position(${JSON.stringify(this.#user)} in body) > 0`;
  }

  /** Locks rooms in the order of their ids, as commits do. Without waiting for the locks, a busy room would never be renamed. */
  async #renameInRooms(): Promise<void> {
    const sql = this.#sql;
    // read first: the search through all rooms must not hold any
    const rows = await sql<{ id: string }[]>`
      select id from rooms where created_by = ${this.#user} or peer_id = ${this.#user} order by id`;
    for (let at = 0; at < rows.length; at += roomsPage) {
      const ids = rows.slice(at, at + roomsPage).map(({ id }) => id);
      await sql`
        with page as materialized (
          select id from rooms where id = any (${ids}::text[]) order by id for no key update
        )
        update rooms r set peer_id = null,
          created_by = case r.created_by when ${this.#user} then ${this.pseudonym} else r.created_by end
        from page p where r.id = p.id`;
    }
  }

  /** Page by page. Locked rows come later, so no statement waits with locked rows. */
  async #ofUser(
    table: string,
    column: string,
    change: (page: postgres.PendingQuery<postgres.Row[]>) => postgres.PendingQuery<postgres.Row[]>,
  ): Promise<void> {
    const sql = this.#sql;
    for (;;) {
      const { count } = await change(sql`
        select ctid from ${sql(table)} where ${sql(column)} = ${this.#user} limit ${rowsAtOnce} for update skip locked`);
      if (count === rowsAtOnce) continue;
      const left = await sql`select from ${sql(table)} where ${sql(column)} = ${this.#user} limit 1`;
      if (left.length === 0) return;
      if (count === 0) await delay(heldMs);
    }
  }
}

/** @returns the room's rev. */
async function lockRoom(tx: postgres.TransactionSql, room: string): Promise<number> {
  const [row] = await tx<{ rev: number }[]>`
    select last_rev as rev from rooms where id = ${room} for no key update`;
  return row?.rev ?? 0;
}

/** Locks in the order of all writers. Some of the messages may not be there any more. */
async function lockMessages(tx: postgres.TransactionSql, room: string, seqs: readonly number[]): Promise<void> {
  await tx`
    select from messages where room_id = ${room} and seq = any (${seqs as number[]}::bigint[]) order by seq for no key update`;
}

async function moveRev(tx: postgres.TransactionSql, room: string, base: number, steps: number): Promise<void> {
  await tx`update rooms set last_rev = ${base + steps} where id = ${room}`;
  await leaveToOutbox(tx, { room, from: base + 1, to: base + steps });
}
