/** Finding messages in a user's rooms. The words come from the index (search-index.ts), everything else from the messages. */
import type postgres from 'postgres';
import type { ParsedInput } from '../protocol/commands.ts';
import { ParleyError } from '../protocol/errors.ts';
import { instant, roomIdPattern, type Role } from '../protocol/model.ts';
import { messageColumns } from './message-columns.ts';
import { messageJson, type StoredMessage } from './message-json.ts';
import { requireMember } from './rooms.ts';

export interface SearchSettings {
  /** The text search configuration of Postgres, such as `simple` or `english`. */
  readonly language: string;
  /** Searches at once; as many again wait four times over, the next is refused. */
  readonly atOnce: number;
}

/** The newest messages of a user's rooms that are looked at before the index is asked: what is common is among them. */
const look = 1200;

/** Kept out of the text before its matches are marked with them. */
const [open, close] = ['\u0002', '\u0003'];

/** Of a snippet, in UTF-16 units: in front of its first match, and in all. */
const [snippetBefore, snippetLength] = [60, 200];

export class Search {
  readonly #sql: postgres.Sql;
  readonly #settings: SearchSettings;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(sql: postgres.Sql, settings: SearchSettings) {
    this.#sql = sql;
    this.#settings = settings;
  }

  /**
   * A page as the JSON text of `search`'s output.
   * @throws {ParleyError} `invalid` for a cursor that is none, `overloaded` when as many wait as may
   */
  async page(user: string, input: ParsedInput<'search'>): Promise<string> {
    const { atOnce } = this.#settings;
    if (this.#running >= atOnce) {
      if (this.#waiting.length >= atOnce * 4) throw new ParleyError('overloaded', undefined, { retryAfter: 1000 });
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.#running++;
    }
    try {
      return await this.#page(user, input);
    } finally {
      // whoever waited longest takes the place
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }

  async #page(user: string, input: ParsedInput<'search'>): Promise<string> {
    const sql = this.#sql;
    const { language } = this.#settings;
    const { room, from, since, until, limit } = input;
    const last = input.cursor === undefined ? undefined : parseCursor(input.cursor);
    if (room !== undefined) {
      const [access] = await sql<{ kind: string; role: Role | null }[]>`
        select r.kind, m.role from rooms r left join members m on m.room_id = r.id and m.user_id = ${user}
        where r.id = ${room}`;
      requireMember(access);
    }
    // what the index has may be a moment old: a row is told only if it matches as it stands now
    const rows = await sql<(Hit & { match: boolean })[]>`
      with q as materialized (select wanted as query, hits, runs from search_parse(${language}, ${input.query}, false))
      select ${messageColumns(sql, user)}, u.name,
        coalesce(search_words(${language}, b.content) @@ q.query, false) as match,
        search_marked(${language}, translate(b.content, ${open + close}, ''), q.hits, q.runs, ${open}, ${close}) as snippet
      from q
      cross join lateral search_messages(
        ${user}, q.query, ${room ?? null}, ${from ?? null}, ${since ?? null}::timestamptz, ${until ?? null}::timestamptz,
        ${last?.at ?? null}::timestamptz, ${last?.room ?? null}, ${last?.seq ?? null}::bigint, ${limit + 1}, ${look}
      ) with ordinality as s (room_id, seq, n)
      join messages t on t.room_id = s.room_id and t.seq = s.seq
      cross join lateral (select search_text(t.body) as content) b
      left join users u on u.id = t.sender_id
      where numnode(q.query) > 0 and querytree(q.query) <> 'T'
      order by s.n`;
    const page = rows.slice(0, limit);
    const end = rows.length > limit ? page.at(-1) : undefined;
    const hits = page.flatMap((row) =>
      row.match
        ? `{"message":${messageJson(row)},"snippet":${JSON.stringify(cutSnippet(pieces(row.snippet ?? '')))}}`
        : [],
    );
    return `{"hits":[${hits.join(',')}],"next":${end === undefined ? 'null' : JSON.stringify(cursorOf(end))}}`;
  }
}

type Hit = StoredMessage & { readonly snippet: string | null };

function cursorOf({ at, room, seq }: StoredMessage): string {
  return Buffer.from(JSON.stringify([at, room, seq])).toString('base64url');
}

function parseCursor(text: string): { at: number; room: string; seq: number } {
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
  } catch {
    parts = undefined;
  }
  if (Array.isArray(parts) && parts.length === 3) {
    const [at, room, seq] = parts as unknown[];
    if (
      instant.safeParse(at).success &&
      typeof room === 'string' &&
      roomIdPattern.test(room) &&
      Number.isSafeInteger(seq)
    ) {
      return { at: at as number, room, seq: seq as number };
    }
  }
  throw new ParleyError('invalid', 'cursor: not one of `search`.');
}

export interface SnippetPiece {
  readonly text: string;
  readonly hit: boolean;
}

/** What is marked, as pieces. */
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

/** The part around the first match. It is cut between words, or, where there are none, between characters as readers see them. */
export function cutSnippet(whole: readonly SnippetPiece[]): SnippetPiece[] {
  const cut: SnippetPiece[] = [];
  let left = snippetLength;
  for (const [i, { text, hit }] of whole.entries()) {
    if (left <= 0) break;
    const before = i === 0 && !hit && whole.length > 1;
    const kept = before ? tailOf(text, snippetBefore) : headOf(text, left);
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
  // one that is longer than all that may be kept is cut where a character of Unicode ends
  return start > 0
    ? text.slice(0, start)
    : text
        .slice(0, most)
        .toWellFormed()
        .replace(/\ufffd$/, '');
}

function tailOf(text: string, most: number): string {
  if (text.length <= most) return text;
  const from = text.length - most;
  const space = text.indexOf(' ', from);
  if (space !== -1 && space < from + most / 2) return text.slice(space + 1);
  const { index = from, segment = '' } = graphemes.segment(text).containing(from) ?? {};
  return text.slice(index === from ? from : index + segment.length);
}
