/**
 * Lists in pages: `{items, next, hasMore}` and a `Link` header. A cursor names its list and the place in it. The next page
 * begins there, whatever was added or deleted meanwhile, and costs the same at every depth. An offset would repeat or skip
 * rows, and its cost would grow.
 */
import type { Pages } from '../protocol/http-route.ts';
import { project, type Projection } from './projection.ts';
import { membersOf } from './json-text.ts';

/** The place of the next page. */
interface Next {
  readonly field: string;
  readonly value: string | number;
}

export function cursorOf(list: string, { field, value }: Next): string {
  return Buffer.from(JSON.stringify([list, field, value])).toString('base64url');
}

/** @returns undefined for a text that is not a cursor of the list. */
export function readCursor(list: string, cursor: string): Next | undefined {
  if (cursor.length > 2048 || !/^[A-Za-z0-9_-]+$/.test(cursor)) return undefined;
  try {
    const [name, field, value] = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as unknown[];
    if (name !== list || typeof field !== 'string') return undefined;
    return typeof value === 'string' || typeof value === 'number' ? { field, value } : undefined;
  } catch {
    // the text is not ours; the caller answers with the reason
    return undefined;
  }
}

export interface Page {
  readonly json: string;
  /** The cursor of the next page; null: this page is the last one. */
  readonly next: string | null;
}

/** The JSON text of each member of an object. */
export type MemberTexts = ReadonlyMap<string, string>;

export function memberTexts(json: string): MemberTexts {
  return new Map(Array.from(membersOf(json), ([name, [from, to]]) => [name, json.slice(from, to)]));
}

/** @param members the output of the command @param input its input, by which the direction is known */
export function pageOf(
  list: string,
  pages: Pages,
  members: MemberTexts,
  input: Readonly<Record<string, unknown>>,
  projection?: Projection,
): Page {
  const forward = pages.next.find(({ to }) => input[to] !== undefined) ?? pages.next.at(-1);
  const value = forward === undefined ? undefined : members.get(forward.from);
  const hasMore = value !== undefined && value !== 'null' && members.get('more') !== 'false';
  const next =
    hasMore && forward !== undefined
      ? cursorOf(list, { field: forward.to, value: JSON.parse(value) as string | number })
      : null;
  const own = new Set([pages.items, 'more', ...pages.next.map(({ from }) => from)]);
  const all = members.get(pages.items) ?? '[]';
  const items = projection === undefined ? all : project(all, projection);
  const rest = others(members, own);
  return { json: `{"items":${items},"next":${JSON.stringify(next)},"hasMore":${hasMore}${rest}}`, next };
}

function others(members: MemberTexts, without: ReadonlySet<string>): string {
  let text = '';
  for (const [name, value] of members) if (!without.has(name)) text += `,${JSON.stringify(name)}:${value}`;
  return text;
}
