/**
 * Mentions: `@` and a user's id on the wire, `@` and a name on the screen. Pure. The server uses the same scan
 * (src/protocol/mention-scan.ts).
 */
import { inWord, mentionRuns } from '../../../client/mentions.ts';
import { insideCode } from './code-spans.ts';

export const everybody = 'room';

export interface Mention {
  readonly from: number;
  readonly to: number;
  readonly id: string;
}

/** @param isKnown of an id: `@ann.` mentions the user `ann.` if there is one, else `ann` */
export function mentionsIn(text: string, isKnown: (id: string) => boolean): Mention[] {
  if (!text.includes('@')) return [];
  const isInCode = insideCode(text);
  return Array.from(mentionRuns(text)).flatMap(({ at: index, run, bare }) => {
    if (isInCode(index)) return [];
    const forms = bare === run ? [run] : [run, run.slice(0, -1), bare];
    const id = forms.find((form) => form === everybody || isKnown(form));
    return id === undefined || id === '' ? [] : [{ from: index, to: index + 1 + id.length, id }];
  });
}

/** The names that were picked for this draft, with their ids. */
export type Picked = ReadonlyMap<string, string>;

/** The text to send: picked names become ids. */
export function toWire(draft: string, picked: Picked): string {
  const names = [...picked.keys()].sort((a, b) => b.length - a.length);
  if (names.length === 0) return draft;
  const alternatives = names.map((name) => name.replaceAll(/[\\^$.*+?()[\]{}|/]/gu, '\\$&')).join('|');
  // The match must not continue as a longer name or a longer id.
  const found = new RegExp(`@(${alternatives})(?![\\p{L}\\p{N}_]|[.:|+@-][A-Za-z0-9_])`, 'gu');
  return draft.replaceAll(found, (whole: string, name: string, at: number) =>
    inWord(draft, at) ? whole : `@${picked.get(name) ?? name}`,
  );
}

/** The inverse, for the edit of a text. */
export function toDraft(text: string, nameOf: (id: string) => string | undefined): { draft: string; picked: Picked } {
  const picked = new Map<string, string>();
  let draft = '';
  let from = 0;
  for (const mention of mentionsIn(text, (id) => nameOf(id) !== undefined)) {
    const label = labelFor(mention.id, nameOf(mention.id), picked);
    picked.set(label, mention.id);
    draft += `${text.slice(from, mention.from)}@${label}`;
    from = mention.to;
  }
  return { draft: draft + text.slice(from), picked };
}

/** The name, unless another user in this draft has the same one. */
export function labelFor(id: string, name: string | undefined, picked: Picked): string {
  if (name === undefined || (picked.get(name) ?? id) !== id) return id;
  return name;
}

/** The text between an `@` and the caret, if it may be the start of a mention. */
export function queryAt(text: string, caret: number, picked: Picked): { from: number; query: string } | undefined {
  const before = text.slice(0, caret);
  const [whole, query = ''] = /@([^\s@]{0,40}(?: [^\s@]{1,30})?)$/u.exec(before) ?? [];
  if (whole === undefined || inWord(before, caret - whole.length)) return undefined;
  // The mention is complete, and the sentence goes on.
  if ([...picked.keys()].some((name) => query.startsWith(`${name} `))) return undefined;
  return { from: caret - whole.length, query };
}
