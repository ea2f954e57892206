/** Finding messages in a user's rooms. The words come from the index (search-index.ts), everything else from the messages. */
import type { postgres } from '../storage/sql.ts';
import type { ParsedInput } from '../protocol/commands.ts';
import { ParleyError } from '../protocol/errors.ts';
import { errorCode } from '../startup-error.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { requireSize } from '../rooms/channel-search.ts';
import { FairTurns } from '../rates/fair-turns.ts';
import type { Role, RoomKind } from '../protocol/model.ts';
import { messageColumns } from '../messages/message-columns.ts';
import { messageJson, type StoredMessage } from '../messages/message-json.ts';
import { membership, requireMember } from '../rooms/access.ts';
import { hitCursor } from '../rooms/page-cursor.ts';

export interface SearchSettings {
  /** The text search configuration of Postgres, such as `simple` or `english`. */
  readonly language: string;
  /** Searches at once, one of each user. Four times as many wait, and the next is refused. */
  readonly atOnce: number;
  /** The longest time that a search waits for its place. */
  readonly waitMs: number;
  /** Postgres ends a statement that takes longer. Absent: the database cannot end one. */
  readonly timeoutMs: number | undefined;
}

/** The newest messages of a user's rooms that are compared before the index is read: common words are among them. */
const newestCompared = 1200;

/** Searches of one user that wait while another one of that user runs. */
const waitingPerUser = 2;

/** Kept out of the text before its matches are marked with them. */
const [open, close] = ['\u0002', '\u0003'];

/** The longest snippet, in UTF-16 units: before its first match, and in all. */
const [snippetBefore, snippetLength] = [60, 200];

interface Parsed {
  readonly size: number;
  readonly wanted: string;
  readonly hits: string | null;
  readonly runs: string[];
  readonly kind: RoomKind | null;
  readonly role: Role | null;
}

export class Search {
  readonly #sql: postgres.Sql;
  readonly #settings: SearchSettings;
  readonly #metrics: Metrics;
  readonly #turns: FairTurns;

  constructor(sql: postgres.Sql, settings: SearchSettings, metrics: Metrics) {
    this.#sql = sql;
    this.#settings = settings;
    this.#metrics = metrics;
    this.#turns = new FairTurns({
      place: 'search',
      places: settings.atOnce,
      placesPerUser: 1,
      waiting: settings.atOnce * 4,
      waitingPerUser,
      waitMs: settings.waitMs,
      metrics,
    });
  }

  /**
   * A page as the JSON text of `search`'s output.
   * @throws {ParleyError} `invalid` for a wrong cursor or a query that is too large, `overloaded` for a search without a
   * place or beyond its time
   */
  page(user: string, input: ParsedInput<'search'>): Promise<string> {
    return this.#turns.take(user, () => this.#page(user, input));
  }

  async #page(user: string, input: ParsedInput<'search'>): Promise<string> {
    const { language } = this.#settings;
    const { room, from, since, until, limit } = input;
    const last = input.cursor === undefined ? undefined : hitCursor.decode(input.cursor);
    const [parsed] = await this.#sql<[Parsed]>`
      select search_size(q.wanted) as size, q.wanted::text, q.hits::text, q.runs, r.kind, m.role
      from search_parse(${language}, ${input.query}, false) q
      left join rooms r on r.id = ${room ?? null} left join ${membership(this.#sql, user)}`;
    if (room !== undefined) requireMember(parsed.kind === null ? undefined : { kind: parsed.kind, role: parsed.role });
    requireSize(parsed.size);
    if (parsed.size === 0) return '{"hits":[],"next":null}';
    // the index may be a moment old: a hit is returned only if the present message matches
    const rows = await this.#inTime(
      (sql) => sql<(Hit & { match: boolean })[]>`
      with q as materialized (
        select ${parsed.wanted}::text::tsquery as query, ${parsed.hits}::text::tsquery as hits, ${parsed.runs}::text[] as runs
      )
      select ${messageColumns(this.#sql, user)}, u.name,
        coalesce(search_words(${language}, b.content) @@ q.query, false) as match,
        search_marked(${language}, translate(b.content, ${open + close}, ''), q.hits, q.runs, ${open}, ${close}) as snippet
      from q
      cross join lateral search_messages(
        ${user}, q.query, ${room ?? null}, ${from ?? null}, ${since ?? null}::timestamptz, ${until ?? null}::timestamptz,
        ${last?.at ?? null}::timestamptz, ${last?.room ?? null}, ${last?.seq ?? null}::bigint, ${limit + 1}, ${newestCompared}
      ) with ordinality as s (room_id, seq, n)
      join messages t on t.room_id = s.room_id and t.seq = s.seq
      cross join lateral (select search_text(t.body) as content) b
      left join users u on u.id = t.sender_id
      where querytree(q.query) <> 'T'
      order by s.n`,
    );
    const page = rows.slice(0, limit);
    const end = rows.length > limit ? page.at(-1) : undefined;
    const hits = page.flatMap((row) =>
      row.match
        ? `{"message":${messageJson(row)},"snippet":${JSON.stringify(cutSnippet(pieces(row.snippet ?? '')))}}`
        : [],
    );
    return `{"hits":[${hits.join(',')}],"next":${end === undefined ? 'null' : JSON.stringify(hitCursor.encode(end))}}`;
  }

  /** Runs the statement with a separate time limit: other reads have a longer one. */
  async #inTime<T>(read: (sql: postgres.ISql) => Promise<T>): Promise<T> {
    const { timeoutMs } = this.#settings;
    if (timeoutMs === undefined) return read(this.#sql);
    try {
      return (await this.#sql.begin('read only', async (sql) => {
        await sql`select set_config('statement_timeout', ${String(timeoutMs)}, true)`;
        return read(sql);
      })) as T;
    } catch (error) {
      if (errorCode(error) !== '57014') throw error;
      this.#metrics.searchTimeouts.inc();
      throw new ParleyError('overloaded', tooLong, { retryAfter: timeoutMs, cause: error });
    }
  }
}

const tooLong = 'The search takes too long; search for rarer words, in one room, or in a shorter time.';

type Hit = StoredMessage & { readonly snippet: string | null };

export interface SnippetPiece {
  readonly text: string;
  readonly hit: boolean;
}

/** A marked text as pieces. */
export function pieces(snippet: string): SnippetPiece[] {
  const found: SnippetPiece[] = [];
  for (const [i, part] of snippet.split(open).entries()) {
    const [first = '', ...rest] = i === 0 ? ['', part] : part.split(close);
    if (first !== '') found.push({ text: first, hit: true });
    const plain = rest.join('');
    if (plain !== '') found.push({ text: plain, hit: false });
  }
  return found;
}

const graphemes = new Intl.Segmenter('en');

/** The part around the first match. The cut is between words, or, in a text without spaces, between characters as readers see them. */
export function cutSnippet(whole: readonly SnippetPiece[]): SnippetPiece[] {
  const cut: SnippetPiece[] = [];
  let left = snippetLength;
  for (const [i, { text, hit }] of whole.entries()) {
    if (left <= 0) break;
    const before = i === 0 && !hit && whole.length > 1;
    const kept = before ? endOf(text, snippetBefore) : headOf(text, left);
    if (kept !== '') cut.push({ text: kept, hit });
    left = kept.length < text.length && !before ? 0 : left - kept.length;
  }
  return cut;
}

function headOf(text: string, most: number): string {
  if (text.length <= most) return text;
  const space = text.lastIndexOf(' ', most);
  if (space > most / 2) return text.slice(0, space);
  const start = graphemes.segment(text).containing(most)?.index ?? 0;
  // a visible character that is longer than the snippet is cut where a code point ends
  return start > 0
    ? text.slice(0, start)
    : text
        .slice(0, most)
        .toWellFormed()
        .replace(/\ufffd$/, '');
}

function endOf(text: string, most: number): string {
  if (text.length <= most) return text;
  const from = text.length - most;
  const space = text.indexOf(' ', from);
  if (space !== -1 && space < from + most / 2) return text.slice(space + 1);
  const { index = from, segment = '' } = graphemes.segment(text).containing(from) ?? {};
  return text.slice(index === from ? from : index + segment.length);
}
