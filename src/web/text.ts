/** What a message's body says, and where the links in it are. */
import type { Message } from '../client/index.ts';
import { attachmentsOf, encryptedOf, nameOfFile } from './body.ts';
import { withNames } from './mention-names.ts';

/** A body may be any JSON. This page writes `{text}`; what it does not know it shows as it is. */
export function textOf(body: unknown): string {
  if (typeof body === 'string') return body;
  if (typeof body === 'object' && body !== null && 'text' in body && typeof body.text === 'string') return body.text;
  if (encryptedOf(body) !== undefined || attachmentsOf(body).length > 0) return '';
  return JSON.stringify(body, null, 2);
}

export type Piece = { readonly text: string; readonly href?: string };

/** Plain text cut at its web addresses. Only http and https become links, so no `javascript:` can. */
export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let from = 0;
  for (const match of text.matchAll(/\bhttps?:\/\/[^\s<>"]+/giu)) {
    const address = trimEnd(match[0]);
    if (!URL.canParse(address)) continue;
    if (match.index > from) found.push({ text: text.slice(from, match.index) });
    found.push({ text: address, href: new URL(address).href });
    from = match.index + address.length;
  }
  if (from < text.length) found.push({ text: text.slice(from) });
  return found;
}

/** The full stop of the sentence is not part of the address; a bracket is, if it was opened inside. */
function trimEnd(address: string): string {
  let end = address.length;
  for (; end > 0; end -= 1) {
    const last = address[end - 1] ?? '';
    if (".,;:!?'*_…".includes(last)) continue;
    const opening = { ')': '(', ']': '[', '}': '{' }[last];
    if (opening === undefined) break;
    const inside = address.slice(0, end);
    if (inside.split(opening).length >= inside.split(last).length) break;
  }
  return address.slice(0, end);
}

/** Up to three emoji and nothing else: shown large. */
export function isEmojiOnly(text: string): boolean {
  const bare = text.replace(/\s/gu, '');
  if (
    bare === '' ||
    bare.length > 40 ||
    !/^(?:\p{Extended_Pictographic}|\p{Regional_Indicator}|\p{Emoji_Modifier}|\u200d|\ufe0f|\u20e3)+$/u.test(bare)
  )
    return false;
  return [...new Intl.Segmenter().segment(bare)].length <= 3;
}

export const deletedText = 'Message deleted';
export const encryptedText = 'Encrypted message';

/** A body with another text in it; undefined where there is none to edit. */
export function withText(body: unknown, text: string): unknown {
  if (typeof body === 'string') return text;
  if (typeof body === 'object' && body !== null && 'text' in body && typeof body.text === 'string')
    return { ...body, text };
  return undefined;
}

/** One line of it, for lists and quotations. */
export function summaryOf(message: Pick<Message, 'body' | 'deletedAt'>): string {
  if (message.deletedAt !== undefined) return deletedText;
  if (encryptedOf(message.body) !== undefined) return encryptedText;
  const text = textOf(message.body).replace(/\s+/gu, ' ').trim();
  if (text === '') return attachmentsOf(message.body).map(nameOfFile).join(', ').slice(0, 140);
  return withNames(text).slice(0, 140);
}
