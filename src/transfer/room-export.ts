/** Writes one room as lines (lines.ts), in pages of one snapshot. */
import type { postgres } from '../storage/sql.ts';
import type { RoomKind } from '../protocol/model.ts';
import { muteColumns, type MuteRow } from '../rooms/summary.ts';
import { noCounts, type LineOf } from './lines.ts';
import { recordParts } from './room-records.ts';

/** Resolves when more may be written. */
export type Write = (text: string) => Promise<void>;

const messagesPage = 500;
const rowsPage = 2000;
/** Users whose names were written; over it they are written again, which does no harm. */
const maxKnown = 10_000;

/**
 * @param since only messages that were committed at that moment or later; null: all messages
 * @param known the users whose names the file has; the names of the room are added
 * @returns how many messages the room has; undefined: there is no such room
 */
export function exportRoom(
  sql: postgres.Sql,
  { room, since, known }: { readonly room: string; readonly since: number | null; readonly known: Set<string> },
  write: Write,
): Promise<number | undefined> {
  return sql.begin('isolation level repeatable read read only', (tx) =>
    new RoomExport(tx, room, since, known, write).run(),
  );
}

class RoomExport {
  readonly #tx: postgres.TransactionSql;
  readonly #room: string;
  readonly #since: number | null;
  readonly #known: Set<string>;
  readonly #write: Write;
  readonly #written = noCounts();

  constructor(tx: postgres.TransactionSql, room: string, since: number | null, known: Set<string>, write: Write) {
    this.#tx = tx;
    this.#room = room;
    this.#since = since;
    this.#known = known;
    this.#write = write;
  }

  /** @returns how many messages it has; undefined if there is no such room. */
  async run(): Promise<number | undefined> {
    const [row] = await this.#tx<RoomRow[]>`
      select id, kind, name, created_by, created_at, last_seq, last_rev, retention_days, topic, archived_at, slow_mode_s,
        senders, edit_window_s,
        case when ${this.#since}::timestamptz is null then first_seq else first_since(id, ${this.#since}::timestamptz) end as first
      from rooms where id = ${this.#room}`;
    if (row === undefined) return undefined;
    const room: LineOf<'room'> = {
      type: 'room',
      id: row.id,
      kind: row.kind,
      name: row.name,
      createdBy: row.created_by,
      createdAt: row.created_at,
      first: row.first,
      seq: row.last_seq,
      rev: row.last_rev,
      retentionDays: row.retention_days,
      ...(row.topic === null ? {} : { topic: row.topic }),
      ...(row.archived_at === null ? {} : { archivedAt: row.archived_at }),
      ...(row.slow_mode_s === 0 ? {} : { slowMode: row.slow_mode_s }),
      ...(row.senders === 'admins' ? { senders: row.senders } : {}),
      ...(row.edit_window_s === null ? {} : { editWindow: row.edit_window_s }),
    };
    await this.#write(`${JSON.stringify(room)}\n`);
    for (let from = row.first; from <= row.last_seq; from += messagesPage) await this.#messages(from);
    for (const { count, page } of recordParts(this.#tx, row.id, row.first)) {
      for (let after: string | undefined = ''; after !== undefined;) {
        const found = await page(after, rowsPage);
        let text = '';
        for (const { line, names = [] } of found.rows) {
          for (const [id, name] of names) text += this.#user(id, name);
          text += `${JSON.stringify(line)}\n`;
        }
        await this.#write(text);
        this.#written[count] += found.rows.length;
        after = found.next;
      }
    }
    await this.#members();
    const end: LineOf<'room:end'> = { type: 'room:end', id: row.id, ...this.#written };
    await this.#write(`${JSON.stringify(end)}\n`);
    return this.#written.messages;
  }

  async #messages(from: number): Promise<void> {
    const to = from + messagesPage - 1;
    const rows = await this.#tx<MessageRow[]>`
      select t.seq, t.rev, t.id, t.sender_id, u.name, t.body, t.reply_to, t.created_at, t.edited_at, t.deleted_at, t.changed,
        t.thread, t.pinned_at, t.pinned_by,
        case when t.changed then (
          select '[' || string_agg(concat('[', to_json(c.emoji)::text, ',', c.count, ',', c.first_rev, ']'), ',' order by c.first_rev) || ']'
          from reaction_counts c where c.room_id = t.room_id and c.seq = t.seq) end as reactions
      from messages t left join users u on u.id = t.sender_id
      where t.room_id = ${this.#room} and t.seq between ${from} and ${to} order by t.seq`;
    const expired = await this.#tx<{ seq: number; at: number }[]>`
      select seq, ordered_at as at from message_order
      where room_id = ${this.#room} and expired and seq between ${from} and ${to} order by seq`;
    let text = '';
    let n = 0;
    const expiredBefore = (seq: number): string => {
      let lines = '';
      for (let gone = expired[n]; gone !== undefined && gone.seq < seq; gone = expired[++n]) {
        const line: LineOf<'expired'> = { type: 'expired', seq: gone.seq, at: gone.at };
        lines += `${JSON.stringify(line)}\n`;
      }
      return lines;
    };
    for (const row of rows) {
      text += expiredBefore(row.seq) + this.#user(row.sender_id, row.name) + messageLine(row);
    }
    await this.#write(text + expiredBefore(Infinity));
    this.#written.messages += rows.length;
    this.#written.expired += expired.length;
    await this.#mentions(from, to);
    if (!rows.some(({ changed }) => changed)) return;
    await this.#versions(from, to);
    await this.#reactions(from, to);
  }

  async #versions(from: number, to: number): Promise<void> {
    for (let after = { seq: from, version: 0 }; ;) {
      const rows = await this.#tx<
        {
          seq: number;
          rev: number;
          version: number;
          body: string | null;
          by: string;
          name: string | null;
          at: number;
        }[]
      >`
        select v.seq, t.rev, v.version, v.body, v.edited_by as by, u.name, v.at
        from message_versions v join messages t on t.room_id = v.room_id and t.seq = v.seq
        left join users u on u.id = v.edited_by
        where v.room_id = ${this.#room} and (v.seq, v.version) > (${after.seq}, ${after.version}) and v.seq <= ${to}
        order by v.seq, v.version limit ${messagesPage}`;
      let text = '';
      for (const { seq, rev, version, body, by, name, at } of rows) {
        text += `${this.#user(by, name)}{"type":"version","seq":${seq},"rev":${rev},"version":${version},"body":${body},"by":"${by}","at":${at}}\n`;
      }
      await this.#write(text);
      this.#written.versions += rows.length;
      const last = rows.at(-1);
      if (last === undefined || rows.length < messagesPage) return;
      after = last;
    }
  }

  async #reactions(from: number, to: number): Promise<void> {
    for (let after = { seq: from, user: '', emoji: '' }; ;) {
      const rows = await this.#tx<
        { seq: number; rev: number; user: string; name: string | null; emoji: string; at: number }[]
      >`
        select r.seq, t.rev, r.user_id as user, u.name, r.emoji, r.created_at as at
        from reactions r join messages t on t.room_id = r.room_id and t.seq = r.seq
        left join users u on u.id = r.user_id
        where r.room_id = ${this.#room} and r.seq <= ${to}
          and (r.seq, r.user_id, r.emoji) > (${after.seq}, ${after.user}, ${after.emoji})
        order by r.seq, r.user_id, r.emoji limit ${rowsPage}`;
      let text = '';
      for (const { name, ...row } of rows) {
        const reaction: LineOf<'reaction'> = { type: 'reaction', ...row };
        text += `${this.#user(row.user, name)}${JSON.stringify(reaction)}\n`;
      }
      await this.#write(text);
      this.#written.reactions += rows.length;
      const last = rows.at(-1);
      if (last === undefined || rows.length < rowsPage) return;
      after = last;
    }
  }

  async #mentions(from: number, to: number): Promise<void> {
    for (let after = { seq: from, user: '' }; ;) {
      const rows = await this.#tx<(Omit<LineOf<'mention'>, 'type' | 'by'> & { by: string | null })[]>`
        select n.seq, t.rev, n.user_id as user, n.called_by as by, n.at
        from mentions n join messages t on t.room_id = n.room_id and t.seq = n.seq
        where n.room_id = ${this.#room} and n.seq <= ${to} and (n.seq, n.user_id) > (${after.seq}, ${after.user})
        order by n.seq, n.user_id limit ${rowsPage}`;
      let text = '';
      for (const { by, ...row } of rows) {
        const mention: LineOf<'mention'> = { type: 'mention', ...row, ...(by !== null && { by }) };
        text += `${JSON.stringify(mention)}\n`;
      }
      await this.#write(text);
      this.#written.mentions += rows.length;
      const last = rows.at(-1);
      if (last === undefined || rows.length < rowsPage) return;
      after = last;
    }
  }

  async #members(): Promise<void> {
    for (let after = ''; ;) {
      const rows = await this.#tx<(Omit<LineOf<'member'>, 'type' | 'muted'> & MuteRow)[]>`
        select m.user_id as user, u.name, m.role, m.last_read_seq as read, m.last_delivered_seq as delivered,
          m.joined_at as "joinedAt", ${muteColumns(this.#tx)}
        from members m join users u on u.id = m.user_id
        where m.room_id = ${this.#room} and m.user_id > ${after} order by m.user_id limit ${rowsPage}`;
      let text = '';
      for (const { muted, muted_until: until, ...row } of rows) {
        const member: LineOf<'member'> = { type: 'member', ...row, ...(muted ? { muted: { until } } : {}) };
        text += `${JSON.stringify(member)}\n`;
      }
      await this.#write(text);
      this.#written.members += rows.length;
      const last = rows.at(-1);
      if (last === undefined || rows.length < rowsPage) return;
      after = last.user;
    }
  }

  /** A line for a user who is not in the file yet, else nothing. */
  #user(id: string, name: string | null): string {
    if (name === null || this.#known.has(id)) return '';
    if (this.#known.size >= maxKnown) this.#known.clear();
    this.#known.add(id);
    return `${JSON.stringify({ type: 'user', id, name } satisfies LineOf<'user'>)}\n`;
  }
}

interface RoomRow {
  id: string;
  kind: RoomKind;
  name: string | null;
  created_by: string;
  created_at: number;
  first: number;
  last_seq: number;
  last_rev: number;
  retention_days: number | null;
  topic: string | null;
  archived_at: number | null;
  slow_mode_s: number;
  senders: 'all' | 'admins';
  edit_window_s: number | null;
}

interface MessageRow {
  seq: number;
  rev: number;
  id: string;
  sender_id: string;
  name: string | null;
  body: string | null;
  reply_to: number | null;
  created_at: number;
  edited_at: number | null;
  deleted_at: number | null;
  changed: boolean;
  reactions: string | null;
  thread: number | null;
  pinned_at: number | null;
  pinned_by: string | null;
}

/** Written as text, as `messageJson` does: bodies are not parsed. */
function messageLine(m: MessageRow): string {
  const reply = m.reply_to === null ? '' : `,"replyTo":${m.reply_to}`;
  const edited = m.edited_at === null ? '' : `,"editedAt":${m.edited_at}`;
  const deleted = m.deleted_at === null ? '' : `,"deletedAt":${m.deleted_at}`;
  const changed = m.changed ? ',"changed":true' : '';
  const reactions = m.reactions === null ? '' : `,"reactions":${m.reactions}`;
  // of an answer to the root itself, and of the root, it follows from the answers
  const thread = m.reply_to === null || m.thread === m.reply_to ? '' : `,"thread":${m.thread}`;
  const pinned = m.pinned_at === null ? '' : `,"pinnedAt":${m.pinned_at},"pinnedBy":"${m.pinned_by}"`;
  return `{"type":"message","seq":${m.seq},"rev":${m.rev},"id":"${m.id}","from":"${m.sender_id}","body":${m.body}${reply}${thread},"at":${m.created_at}${edited}${deleted}${changed}${pinned}${reactions}}\n`;
}
