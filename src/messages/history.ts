import type { postgres } from '../storage/sql.ts';
import type { ParsedInput } from '../protocol/commands.ts';
import { HistoryPage } from './history-page.ts';
import { messageText } from './message-columns.ts';
import type { Role, RoomKind } from '../protocol/model.ts';
import { requireMember, roomAccess } from '../rooms/access.ts';

/** A wanted page, and the epoch of its answer. */
export interface PageQuestion {
  readonly input: ParsedInput<'history'>;
  readonly epoch: string;
}

interface Row {
  /** The place of the question. */
  readonly n: number;
  /** Null: there is no such room. */
  readonly kind: RoomKind | null;
  readonly role: Role | null;
  readonly last_rev: number;
  readonly messages: string | null;
  readonly oldest: number | null;
  readonly newest: number | null;
  /** Messages of the page, and one more if there is one. */
  readonly found: number;
}

/** The page of one question. @throws {ParleyError} as the command lists them */
export async function history(
  sql: postgres.Sql,
  user: string,
  input: ParsedInput<'history'>,
  epoch: string,
): Promise<HistoryPage> {
  const [page] = await pagesOf(sql, user, [{ input, epoch }]);
  if (page instanceof Error) throw page;
  if (page === undefined) throw new Error('The statement of a page has no row for its question.');
  return page;
}

/**
 * Pages of rooms for one user, with one statement for all pages of a direction. Access, head and messages of a page are of
 * one snapshot.
 * @returns one page a question; an Error is the refusal of that question alone
 */
export async function pagesOf(
  sql: postgres.Sql,
  user: string,
  questions: readonly PageQuestion[],
): Promise<(HistoryPage | Error)[]> {
  const pages: (HistoryPage | Error)[] = [];
  for (const forward of [false, true]) {
    const wanted = questions.flatMap((question, n) => (isForward(question) === forward ? [wantedOf(question, n)] : []));
    if (wanted.length === 0) continue;
    for (const row of await read(sql, user, wanted, forward)) {
      const question = questions[row.n];
      if (question !== undefined) pages[row.n] = pageOf(row, question);
    }
  }
  return pages;
}

interface Wanted {
  readonly n: number;
  readonly room: string;
  /** The seq that ends or precedes the page. */
  readonly bound: number;
  readonly limit: number;
  readonly rows: number;
}

function wantedOf(question: PageQuestion, n: number): Wanted {
  const { room, before, after, limit } = question.input;
  const bound = after ?? before ?? Number.MAX_SAFE_INTEGER;
  return { n, room, bound, limit, rows: isReset(question) ? 0 : limit + 1 };
}

/**
 * The planner expects the same number of questions in any JSON, so it keeps one plan. With arrays, the planner plans each
 * statement again, which takes longer than the page. With `limit 1` the statement finds each room by its key, also while there are few.
 */
function read(sql: postgres.Sql, user: string, wanted: readonly Wanted[], forward: boolean): Promise<Row[]> {
  return sql<Row[]>`
    select q.n, a.kind, a.role, a.last_rev, p.*
    from jsonb_to_recordset(${JSON.stringify(wanted)}::text::jsonb)
      as q (n integer, room text, bound bigint, "limit" bigint, rows bigint)
    left join lateral (
      select r.id, r.kind, r.last_rev, r.first_seq, m.role from ${roomAccess(sql, user, sql`q.room`)} limit 1
    ) a on true
    left join lateral (
      select string_agg(x.message, ',' order by x.seq) filter (where x.place <= q.limit) as messages,
        min(x.seq) filter (where x.place <= q.limit) as oldest, max(x.seq) filter (where x.place <= q.limit) as newest,
        count(*) as found
      from (
        select t.seq, row_number() over (order by t.seq ${forward ? sql`asc` : sql`desc`}) as place,
          ${messageText(sql, user)} as message
        from messages t left join users u on u.id = t.sender_id
        where a.role is not null and t.room_id = a.id and t.seq >= a.first_seq
          and ${forward ? sql`t.seq > q.bound` : sql`t.seq < q.bound`}
        order by t.seq ${forward ? sql`asc` : sql`desc`} limit q.rows
      ) x
    ) p on true`;
}

function isForward({ input }: PageQuestion): boolean {
  return input.after !== undefined;
}

/** Whether the place in the question is of another history of the database. */
function isReset({ input: { before, after, epoch: given }, epoch }: PageQuestion): boolean {
  return (before ?? after) !== undefined && given !== undefined && given !== epoch;
}

function pageOf(row: Row, question: PageQuestion): HistoryPage | Error {
  const { kind, role, oldest: before, newest: after, last_rev: rev } = row;
  const { input, epoch } = question;
  try {
    requireMember(kind === null ? undefined : { kind, role });
  } catch (refusal) {
    return refusal as Error;
  }
  const [more, reset] = [row.found > input.limit, isReset(question)];
  return new HistoryPage({ messages: row.messages ?? '', before, after, more, rev, epoch, reset });
}
