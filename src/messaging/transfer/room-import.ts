/** A room of an import: it is begun without members, and made whole when all of it is there. */
import type postgres from 'postgres';
import { leaveToOutbox } from '../outbox.ts';
import type { LineOf } from './lines.ts';
import { WrongLine } from './wrong-line.ts';

/**
 * Makes the room, if it is not there.
 * @returns whether it was, with members who may hold some of it.
 * @throws {WrongLine} if the file does not fit the room that is there.
 */
export async function beginRoom(sql: postgres.Sql, line: LineOf<'room'>): Promise<{ shared: boolean }> {
  const { id, kind, name, createdBy, createdAt, first, retentionDays } = line;
  await sql`
    insert into rooms (id, kind, name, created_by, created_at, last_seq, first_seq, retention_days, topic, archived_at,
      slow_mode_s, senders, edit_window_s)
    values (${id}, ${kind}, ${name}, ${createdBy}, ${createdAt}::timestamptz, ${first - 1}, ${first}, ${retentionDays},
      ${line.topic ?? null}, ${line.archivedAt ?? null}::timestamptz, ${line.slowMode ?? 0}, ${line.senders ?? 'all'},
      ${line.editWindow ?? null})
    on conflict (id) do update set created_at = excluded.created_at where rooms.created_at > excluded.created_at`;
  const [held] = await sql<{ kind: string; last_seq: number; first_seq: number; shared: boolean }[]>`
    select kind, last_seq, first_seq, exists (select from members where room_id = id) as shared from rooms where id = ${id}`;
  if (held === undefined) throw new WrongLine(`room ${id} was deleted while it was read.`);
  if (held.kind !== kind) throw new WrongLine(`room ${id} is a ${held.kind} here, not a ${kind}.`);
  if (first > held.last_seq + 1) {
    throw new WrongLine(
      `room ${id} begins with message ${first}; here it ends with ${held.last_seq}, so some would be missing.`,
    );
  }
  return { shared: held.shared };
}

export interface StoredRoom {
  readonly line: LineOf<'room'>;
  readonly shared: boolean;
  /** Messages that were stored or replaced. */
  readonly applied: number;
  /** Of the file. */
  readonly format: number;
}

/**
 * The whole room is there: what the file says of it must be true of the tables now.
 * @throws {WrongLine} if it is not.
 */
export async function settleRoom(
  tx: postgres.TransactionSql,
  { line, shared, applied, format }: StoredRoom,
): Promise<void> {
  const { id } = line;
  const [now] = await tx<{ first_seq: number; last_seq: number; last_rev: number; purged_rev: number }[]>`
    select first_seq, last_seq, last_rev, purged_rev from rooms where id = ${id} for no key update`;
  const [sums] = await tx<{ messages: number; revs: number; top: number; miscounted: number | null }[]>`
    select count(*) as messages, count(distinct rev) as revs, coalesce(max(rev), 0) as top, (
      select min(coalesce(c.seq, r.seq)) from (select * from reaction_counts where room_id = ${id}) c
      full join (
        select seq, emoji, count(*) as n from reactions where room_id = ${id} group by seq, emoji
      ) r on r.seq = c.seq and r.emoji = c.emoji where c.count is distinct from r.n) as miscounted
    from messages where room_id = ${id} and seq >= ${now?.first_seq ?? 1}`;
  if (now === undefined || sums === undefined) throw new WrongLine(`room ${id} was deleted while it was read.`);
  if (sums.messages !== now.last_seq - now.first_seq + 1) throw new WrongLine(`room ${id} has gaps in its numbers.`);
  if (sums.revs !== sums.messages) throw new WrongLine(`room ${id} has two messages of one rev.`);
  if (sums.miscounted !== null) throw new WrongLine(`the reactions of message ${sums.miscounted} do not add up.`);
  if (applied > 0) await tx`select recount_threads(${id}, ${format === 1})`;
  if (applied === 0 && now.last_rev >= line.rev) return;
  // some of it may have revs that the search index has passed: it takes the room in anew
  await tx`delete from search_rooms where room_id = ${id}`;
  let rev = Math.max(line.rev, now.last_rev);
  // cursors of members are from before what came now, some of it with lower revs
  if (shared && applied > 0) rev = Math.max(rev, now.last_rev) + 1;
  // the head has no row: that of a message which has expired, or is older than the export
  const purged = rev > sums.top ? rev : now.purged_rev;
  await tx`update rooms set last_rev = ${rev}, purged_rev = ${purged} where id = ${id}`;
  // members may be connected to a server beside this
  if (shared) await leaveToOutbox(tx, { room: id, from: rev, to: rev });
}
