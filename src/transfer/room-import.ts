/** A room of an import: it is begun without members, and made whole when all of it is there. */
import type { postgres } from '../storage/sql.ts';
import { leaveToOutbox } from '../recovery/relay.ts';
import type { LineOf } from './lines.ts';
import { WrongLine } from './wrong-line.ts';

export interface BegunRoom {
  /** The room existed before, with members who may have some messages. This run did not make it, nor did an earlier, unfinished one. */
  readonly shared: boolean;
  /** A run before began it and did not settle it. */
  readonly resumed: boolean;
}

/**
 * Makes the room, if it does not exist, and notes in `imports` that it is not complete. A run that stops leaves the note to
 * the next one. Until then a room without members is archived, so it is not listed and no user joins. The messages of such a
 * user would take the seqs of the file.
 * @throws {WrongLine} if the file does not fit the room that is there.
 */
export function beginRoom(sql: postgres.Sql, line: LineOf<'room'>): Promise<BegunRoom> {
  const { id, kind, name, createdBy, createdAt, first, retentionDays } = line;
  return sql.begin(async (tx) => {
    await tx`
      insert into rooms (id, kind, name, created_by, created_at, last_seq, first_seq, retention_days, topic, slow_mode_s, senders,
        edit_window_s)
      values (${id}, ${kind}, ${name}, ${createdBy}, ${createdAt}::timestamptz, ${first - 1}, ${first}, ${retentionDays},
        ${line.topic ?? null}, ${line.slowMode ?? 0}, ${line.senders ?? 'all'}, ${line.editWindow ?? null})
      on conflict (id) do update set created_at = least(rooms.created_at, excluded.created_at)`;
    // read after the insert, which waits for a deletion that is under way
    const [held] = await tx<(RoomRow & { begun: boolean | null; deleted: boolean; peopled: boolean })[]>`
      select kind, last_seq, first_seq, exists (select from members where room_id = id) as peopled,
        exists (select from deleted_rooms d where d.id = r.id) as deleted,
        (select shared from imports where room_id = id) as begun
      from rooms r where id = ${id}`;
    if (held === undefined || held.deleted) {
      throw new WrongLine(`room ${id} was deleted here, and its id cannot be taken again yet.`);
    }
    if (held.kind !== kind) throw new WrongLine(`room ${id} is a ${held.kind} here, not a ${kind}.`);
    if (first > held.last_seq + 1) {
      throw new WrongLine(
        `room ${id} begins with message ${first}; here it ends with ${held.last_seq}, so some would be missing.`,
      );
    }
    if (held.begun !== null) return { shared: held.begun, resumed: true };
    const shared = held.peopled;
    await tx`insert into imports (room_id, shared) values (${id}, ${shared})`;
    if (!shared) await tx`update rooms set archived_at = coalesce(archived_at, now()) where id = ${id}`;
    return { shared, resumed: false };
  });
}

interface RoomRow {
  kind: string;
  last_seq: number;
  first_seq: number;
}

export interface StoredRoom extends BegunRoom {
  readonly line: LineOf<'room'>;
  /** Messages that were stored or replaced. */
  readonly applied: number;
  /** The format of the file. */
  readonly format: number;
}

/**
 * The whole room is there: what the file says of it must be true of the tables now.
 * @throws {WrongLine} if it is not.
 */
export async function settleRoom(
  tx: postgres.TransactionSql,
  { line, shared, resumed, applied, format }: StoredRoom,
): Promise<void> {
  const { id } = line;
  const [now] = await tx<{ first_seq: number; last_seq: number; last_rev: number; purged_rev: number }[]>`
    select first_seq, last_seq, last_rev, purged_rev from rooms where id = ${id} for no key update`;
  const [sums] = await tx<
    { messages: number; expired: number; revs: number; top: number; miscounted: number | null }[]
  >`
    select count(*) as messages, (
      select count(*) from message_order o where o.room_id = ${id} and o.expired and o.seq >= ${now?.first_seq ?? 1}) as expired, count(distinct rev) as revs, coalesce(max(rev), 0) as top, (
      select min(coalesce(c.seq, r.seq)) from (select * from reaction_counts where room_id = ${id}) c
      full join (
        select seq, emoji, count(*) as n from reactions where room_id = ${id} group by seq, emoji
      ) r on r.seq = c.seq and r.emoji = c.emoji where c.count is distinct from r.n) as miscounted
    from messages where room_id = ${id} and seq >= ${now?.first_seq ?? 1}`;
  if (now === undefined || sums === undefined) throw new WrongLine(`room ${id} was deleted while it was read.`);
  if (sums.messages + sums.expired !== now.last_seq - now.first_seq + 1)
    throw new WrongLine(`room ${id} has gaps in its numbers.`);
  if (sums.revs !== sums.messages) throw new WrongLine(`room ${id} has two messages of one rev.`);
  if (sums.miscounted !== null) throw new WrongLine(`the reactions of message ${sums.miscounted} do not add up.`);
  await tx`delete from imports where room_id = ${id}`;
  if (!shared) await openRoom(tx, line);
  // messages of an earlier run count too: that run did not come to this statement
  const changed = !shared || resumed || applied > 0;
  if (changed) await tx`select recount_threads(${id}, ${format === 1})`;
  else if (now.last_rev >= line.rev) return;
  // some messages may have revs that the search index has passed: the room is indexed again
  await tx`delete from search_rooms where room_id = ${id}`;
  const rev = Math.max(line.rev, now.last_rev);
  // the head has no row: that of a message which has expired, is older than the export, or which a batch moved on (storeBatch)
  const purged = rev > sums.top ? rev : now.purged_rev;
  await tx`update rooms set last_rev = ${rev}, purged_rev = ${purged} where id = ${id}`;
  // members may be connected to a server beside this
  if (shared) await leaveToOutbox(tx, { room: id, from: rev, to: rev });
}

/** Sets the room's state from the file. Nodes with members that saw the room archived get the change. */
async function openRoom(tx: postgres.TransactionSql, { id, archivedAt, createdBy }: LineOf<'room'>): Promise<void> {
  await tx`update rooms set archived_at = ${archivedAt ?? null}::timestamptz where id = ${id}`;
  await tx`insert into room_changes (room_id, change, changed_by) values (${id}, 'updated', ${createdBy})`;
}
