/**
 * A reaction is one emoji as a reader sees one. All that Unicode recommends (families, flags, keycaps, skin
 * tones) and pictographs that are newer than this Node; no text.
 */

/** The longest that Unicode recommends has 15 UTF-16 units. Checked first, so that a megabyte costs nothing. */
export const maxEmojiLength = 32;

// by constructor: the `v` flag is of Node 20, but not of the language level that the compiler checks
const recommended = new RegExp('^\\p{RGI_Emoji}$', 'v');
// one pictograph, or several joined by U+200D, each with a skin tone or a selector
const pictograph =
  /^\p{Extended_Pictographic}[\p{Emoji_Modifier}\ufe0f]?(?:\u200d\p{Extended_Pictographic}[\p{Emoji_Modifier}\ufe0f]?)*$/u;
const selector = '\ufe0f';
const graphemes = new Intl.Segmenter('en');

/** Keyboards differ in the selector that makes ❤ an emoji, and some add it where none belongs: one reaction all the same. */
export function qualified(text: string): string {
  if (text.length >= maxEmojiLength || recommended.test(text)) return text;
  if (recommended.test(text + selector)) return text + selector;
  return text.endsWith(selector) && recommended.test(text.slice(0, -1)) ? text.slice(0, -1) : text;
}

export function isEmoji(text: string): boolean {
  if (text === '' || text.length > maxEmojiLength) return false;
  if (recommended.test(text)) return true;
  return pictograph.test(text) && [...graphemes.segment(text)].length === 1;
}
