/** The statement that stores a batch of messages: the input of `append_messages` and `note_sends`, and their outcomes. */
import type { postgres } from '../../storage/sql.ts';
import { limits } from '../../protocol/limits.ts';
import type { Mentions } from '../bodies/mentions.ts';

export interface Send {
  readonly room: string;
  readonly id: string;
  readonly sender: string;
  readonly senderName: string | null;
  /** JSON text from `encodeBody`. */
  readonly body: string;
  readonly replyTo: number | undefined;
  readonly lane: string | undefined;
  readonly mentions: Mentions | undefined;
  /**
   * The API key that publishes the message. The membership of the sender does not count then. Mutes, slow mode and the
   * right to send do not count either. Absent: the sender is the user who sends.
   */
  readonly publisher?: string | undefined;
}

export type Refused =
  | 'conflict'
  | 'not_found'
  | 'not_member'
  | 'forbidden'
  | 'no_reply_target'
  | 'archived'
  | 'muted'
  | 'admins_only'
  | 'slow';

export interface Outcome {
  n: number;
  outcome: 'fresh' | 'duplicate' | Refused;
  seq: number;
  rev: number;
  /** For `muted` and `slow` the end of that state; null: the mute has no end. */
  sent_at: number;
  outbox_id: number | null;
  /** A duplicate that was edited, deleted or reacted to since. */
  changed?: boolean;
  /** From `thread_state`; only replies have it. */
  thread?: string | null;
  /** JSON text of the mentioned users; only messages that were stored now have it. */
  mentioned?: string | null;
}

/**
 * A batch may hold a message twice, when a client sends again before it was answered. The copies go in a second call,
 * which finds the first stored: so `append_messages` need not join its input with itself.
 * @param outboxIds outbox rows that the statement deletes; see OutboxCleanup
 */
export async function storeSends(sql: postgres.ISql, sends: Send[], outboxIds: number[]): Promise<Outcome[]> {
  const seen = new Set<string>();
  const isCopy = sends.map(({ room, id }) => seen.size === seen.add(`${room}\n${id}`).size);
  if (seen.size === sends.length) return markChanged(sql, sends, await append(sql, sends, outboxIds));
  const distinct = sends.filter((_, i) => !isCopy[i]);
  const firsts = await markChanged(sql, distinct, await append(sql, distinct, outboxIds));
  const copies = await storeSends(
    sql,
    sends.filter((_, i) => isCopy[i]),
    [],
  );
  return isCopy.map((copy) => (copy ? copies.shift() : firsts.shift()) as Outcome);
}

/** Stores all of a batch in one transaction, or nothing if one of its outcomes is a refusal. */
export async function storeTogether(sql: postgres.Sql, sends: Send[]): Promise<Outcome[]> {
  let outcomes: Outcome[] = [];
  const refused = new Error('A message of an atomic batch is refused.');
  try {
    await sql.begin(async (tx) => {
      // a deletion of published outbox rows must not be undone with the batch
      outcomes = await storeSends(tx, sends, []);
      if (!outcomes.every(({ outcome }) => outcome === 'fresh' || outcome === 'duplicate')) throw refused;
    });
  } catch (error) {
    if (error !== refused) throw error;
  }
  return outcomes;
}

/** A duplicate may have changed since: its first body must not be published as the present state. */
async function markChanged(sql: postgres.ISql, sends: Send[], outcomes: Outcome[]): Promise<Outcome[]> {
  const duplicates = outcomes.flatMap(({ outcome }, i) => (outcome === 'duplicate' ? [sends[i] as Send] : []));
  if (duplicates.length === 0) return outcomes;
  const rooms = duplicates.map(({ room }) => room);
  const ids = duplicates.map(({ id }) => id);
  const changed = await sql<{ room_id: string; id: string }[]>`
    select d.room as room_id, d.id from unnest(${rooms}::text[], ${ids}::uuid[]) as d (room, id)
    cross join lateral (
      select m.changed from messages m
      where m.room_id collate "POSIX" = d.room and m.id >= d.id and m.id <= d.id order by m.id limit 1
    ) m where m.changed`;
  if (changed.length === 0) return outcomes;
  const keys = new Set(changed.map(({ room_id: room, id }) => `${room}\n${id}`));
  return outcomes.map((outcome, i) => {
    const { room, id } = sends[i] as Send;
    return outcome.outcome === 'duplicate' && keys.has(`${room}\n${id}`) ? { ...outcome, changed: true } : outcome;
  });
}

function append(sql: postgres.ISql, sends: Send[], outboxIds: number[]): Promise<Outcome[]> {
  const rooms = [...new Set(sends.map((send) => send.room))];
  const [batch, notes] = [batchJson(sends), noteJson(sends)];
  if (notes === undefined) {
    return sql<
      Outcome[]
    >`select * from append_messages(${rooms}::text[], ${batch}::text::jsonb, ${outboxIds}::bigint[])`;
  }
  return sql<Outcome[]>`
    with a as materialized (
      select * from append_messages(${rooms}::text[], ${batch}::text::jsonb, ${outboxIds}::bigint[])
    )
    select a.*, x.thread, x.mentioned from a
    left join note_sends(
      (select array_agg(case outcome when 'fresh' then seq when 'duplicate' then -seq else 0 end order by n) from a),
      ${notes}::text::jsonb, (select max(outbox_id) from a), ${limits.followedThreads}
    ) x on x.n = a.n
    order by a.n`;
}

function batchJson(sends: Send[]): string {
  // room and user ids, UUIDs and lanes hold nothing that JSON would escape
  const rows = sends.map(({ room, id, sender, body, replyTo, lane, publisher }) => {
    const published = publisher === undefined ? '' : ',true';
    const rest =
      replyTo === undefined && lane === undefined && published === ''
        ? ''
        : `,${replyTo ?? null},${JSON.stringify(lane ?? null)}${published}`;
    return `["${room}","${id}","${sender}",${body}${rest}]`;
  });
  return `[${rows.join(',')}]`;
}

/** The input of `note_sends`; undefined: the batch has no replies and no mentions. */
function noteJson(sends: Send[]): string | undefined {
  const rows = sends.flatMap(({ room, sender, replyTo, mentions, publisher }, i) => {
    if (replyTo === undefined && mentions === undefined) return [];
    const { names = [], everybody = false } = mentions ?? {};
    const published = publisher === undefined ? [] : [true];
    return JSON.stringify([i + 1, room, sender, names, everybody, ...published]);
  });
  return rows.length === 0 ? undefined : `[${rows.join(',')}]`;
}
