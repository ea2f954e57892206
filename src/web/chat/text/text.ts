/** The text of a message, and the links in it. */
import type { Message } from '../../../client/index.ts';
import { attachmentsOf, encryptedOf, filesOf, nameOfFile } from './body.ts';
import { withNames } from './mention-names.ts';

/** A body may be any JSON. This page writes `{text}`, and shows other bodies as JSON. */
export function textOf(body: unknown): string {
  if (typeof body === 'string') return body;
  if (typeof body === 'object' && body !== null && 'text' in body && typeof body.text === 'string') return body.text;
  if (encryptedOf(body) !== undefined || attachmentsOf(body).length > 0 || filesOf(body).length > 0) return '';
  return JSON.stringify(body, null, 2);
}

export type Piece = { readonly text: string; readonly href?: string };

/** Longer runs are shown as text, not as links. */
const maxAddress = 2048;

/** Plain text, cut at its web addresses. Only http and https become links, so that `javascript:` cannot. */
export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let from = 0;
  for (const match of text.matchAll(/\bhttps?:\/\/[^\s<>"]+/giu)) {
    const address = trimEnd(match[0]);
    if (address.length > maxAddress || !URL.canParse(address)) continue;
    if (match.index > from) found.push({ text: text.slice(from, match.index) });
    found.push({ text: address, href: new URL(address).href });
    from = match.index + address.length;
  }
  if (from < text.length) found.push({ text: text.slice(from) });
  return found;
}

const closings: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };

/** A full stop at the end belongs to the sentence. A closing bracket belongs to the address if it was opened inside. */
function trimEnd(address: string): string {
  // The number of unmatched closing brackets of each kind in the remaining part: counted once, then updated.
  const unopened = new Map(Object.values(closings).map((closing) => [closing, 0]));
  for (let at = 0; at < address.length; at += 1) {
    const letter = address[at] ?? '';
    const closed = unopened.get(letter);
    if (closed !== undefined) unopened.set(letter, closed + 1);
    const closing = closings[letter];
    if (closing !== undefined) unopened.set(closing, (unopened.get(closing) ?? 0) - 1);
  }
  let end = address.length;
  for (; end > 0; end -= 1) {
    const last = address[end - 1] ?? '';
    if (".,;:!?'*_…".includes(last)) continue;
    const surplus = unopened.get(last);
    if (surplus === undefined || surplus <= 0) break;
    unopened.set(last, surplus - 1);
  }
  return address.slice(0, end);
}

/** A cache of cut texts: a message renders again with each reaction and each new name. */
const cut = new Map<string, readonly Piece[]>();
const maxCut = 500;

export function keptPieces(text: string): readonly Piece[] {
  const known = cut.get(text);
  if (known !== undefined) return known;
  const made = pieces(text);
  if (cut.size >= maxCut) cut.clear();
  cut.set(text, made);
  return made;
}

/** Three emoji of the longest kind, with spaces around them, are far shorter. */
const maxEmojiText = 200;
const segmenter = new Intl.Segmenter();

/** Whether a text is one to three emoji, which are shown large. */
export function isEmojiOnly(text: string): boolean {
  if (text.length > maxEmojiText) return false;
  const bare = text.replace(/\s/gu, '');
  if (
    bare === '' ||
    bare.length > 40 ||
    !/^(?:\p{Extended_Pictographic}|\p{Regional_Indicator}|\p{Emoji_Modifier}|\u200d|\ufe0f|\u20e3)+$/u.test(bare)
  )
    return false;
  return [...segmenter.segment(bare)].length <= 3;
}

export const deletedText = 'Message deleted';
export const encryptedText = 'Encrypted message';

/** A copy of a body with another text; undefined if it has no text to edit. */
export function withText(body: unknown, text: string): unknown {
  if (typeof body === 'string') return text;
  if (typeof body === 'object' && body !== null && 'text' in body && typeof body.text === 'string')
    return { ...body, text };
  return undefined;
}

const maxSummarised = 2000;

/** A one-line summary, for lists and quotations. */
export function summaryOf(message: Pick<Message, 'body' | 'deletedAt'>): string {
  if (message.deletedAt !== undefined) return deletedText;
  if (encryptedOf(message.body) !== undefined) return encryptedText;
  // The summary has 140 characters. Names may be shorter than the ids that they replace, so more text is read than
  // needed.
  const text = textOf(message.body).slice(0, maxSummarised).replace(/\s+/gu, ' ').trim();
  if (text === '') {
    const names = [...filesOf(message.body).map(({ name }) => name), ...attachmentsOf(message.body).map(nameOfFile)];
    return names.join(', ').slice(0, 140);
  }
  return withNames(text).slice(0, 140);
}
