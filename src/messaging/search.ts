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

/**
 * Kept out of the text before its matches are marked with them; the third stands for <, since ts_headline leaves out what
 * it takes for a tag.
 */
const [open, close, less] = ['\u0002', '\u0003', '\u0004'];

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
    const { words, prefix } = splitQuery(plainQuery(input.query));
    // what the index has may be a moment old: a row is told only if it matches as it stands now
    const rows = await sql<(Hit & { match: boolean })[]>`
      with q as materialized (select search_query(${language}, ${words}, ${prefix}) as query)
      select ${messageColumns(sql, user)}, u.name,
        coalesce(search_words(${language}, b.content) @@ q.query, false) as match,
        ts_headline(${language}::text::regconfig, translate(b.content, ${`<${open}${close}${less}`}, ${less}), q.query,
          ${`StartSel=${open},StopSel=${close},MaxWords=30,MinWords=12,ShortWord=0`}) as snippet
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
      row.match ? `{"message":${messageJson(row)},"snippet":${JSON.stringify(pieces(row.snippet ?? ''))}}` : [],
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

/** Without the punctuation that parts words in the index too, but for what a query is made of: quotes, and - before a word. */
export function plainQuery(query: string): string {
  return query
    .toLowerCase()
    .replaceAll(/(?<=[\p{L}\p{N}])-/gu, ' ')
    .replaceAll(/[!#$%&'()*+,./:;<=>?@[\\\]^_`{|}~]/g, ' ');
}

/**
 * The last word apart, which is still being typed: it is found by its beginning. Not if it is in quotes, excluded, one
 * side of an `or`, or a single letter, with which too much begins.
 */
export function splitQuery(query: string): { words: string; prefix: string } {
  const match = /^(.*?)(?<![\p{L}\p{N}\p{M}"-])([\p{L}\p{N}\p{M}]{2,})$/su.exec(query);
  const [, words = '', prefix = ''] = match ?? [];
  const quotes = words.split('"').length - 1;
  if (match === null || quotes % 2 === 1 || /(^|\s)or\s*$/i.test(words) || /^or$/i.test(prefix)) {
    return { words: query, prefix: '' };
  }
  return { words, prefix };
}

/** What ts_headline marked, as pieces. */
export function pieces(snippet: string): { text: string; hit: boolean }[] {
  const found: { text: string; hit: boolean }[] = [];
  for (const [i, part] of snippet.replaceAll(less, '<').split(open).entries()) {
    const [first = '', ...rest] = i === 0 ? ['', part] : part.split(close);
    if (first !== '') found.push({ text: first, hit: true });
    const plain = rest.join('');
    if (plain !== '') found.push({ text: plain, hit: false });
  }
  return found;
}
