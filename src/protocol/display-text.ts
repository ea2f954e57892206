/**
 * Text that is shown to others in one line: names of users, rooms, devices and files, topics, reasons. One rule for all of
 * them: each has something to see, and none changes how the text around it is shown.
 */

/**
 * The refused characters: control characters and line ends; characters that change the direction of text; lone surrogates;
 * characters without a meaning; tags, which hide text. Variation selectors, U+200C and U+200D are accepted: scripts and
 * emoji need them.
 */
const refused =
  /[\u17b4\u17b5\u0000-\u001f\u007f-\u009f\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffc\ufffe\uffff\ufdd0-\ufdef\p{Surrogate}\u{e0000}\u{e0001}]/u;
const refusedAll = new RegExp(refused.source, 'gu');
/** Flags of regions are a black flag and tags (U+E0020 to U+E007F); anywhere else tags are a hidden text. */
const flag = /\u{1f3f4}[\u{e0020}-\u{e007e}]{1,16}\u{e007f}/gu;
const tag = /[\u{e0000}-\u{e007f}]/u;
const tags = /[\u{e0000}-\u{e007f}]+/gu;

const visible = /[\p{L}\p{N}\p{Extended_Pictographic}\p{Regional_Indicator}]/u;
const blank = /[\u115f\u1160\u3164\uffa0\u2800]/u;
/** A mark with nothing in front of it is drawn over whatever stands before the text. */
const loneMark = /^[\p{M}\u200c\u200d]/u;
/** Towers of marks run over the lines above and below. No language needs as many on one letter. */
const tower = /\p{Mn}{7}/u;
const towers = /(\p{Mn}{6})\p{Mn}+/gu;

/** @returns what is wrong with it; undefined: nothing */
export function displayFault(text: string): string | undefined {
  if (refused.test(text) || (tag.test(text) && tag.test(text.replaceAll(flag, '')))) {
    return 'no control characters, line breaks, invisible characters or changes of direction';
  }
  if (loneMark.test(text)) return 'a combining mark needs a letter before it';
  if (tower.test(text)) return 'at most six combining marks on one letter';
  return isVisible(text) ? undefined : 'at least one visible letter, digit or emoji';
}

function isVisible(text: string): boolean {
  for (const character of text) if (visible.test(character) && !blank.test(character)) return true;
  return false;
}

const graphemes = new Intl.Segmenter('en');

/**
 * The part that may be shown of a text that Parley cannot refuse, such as the name in a token. The part is one line without
 * refused characters, at most `max` long. A longer text is cut between characters as readers see them, and ends with ….
 * @returns undefined: nothing of it can be shown
 */
export function cleanDisplayText(text: string, max: number): { text: string; shortened: boolean } | undefined {
  // far more than can be kept of it
  let clean = text.slice(0, max * 16).replaceAll(/[\s\u0085\u2028\u2029]+/gu, ' ');
  clean = clean.replaceAll(refusedAll, '').replaceAll(towers, '$1').trim();
  if (tag.test(clean.replaceAll(flag, ''))) clean = clean.replaceAll(tags, '');
  clean = clean.replace(/^[\p{M}\u200c\u200d\s]+/u, '').trim();
  const shortened = clean.length > max;
  if (shortened) {
    const { index = 0 } = graphemes.segment(clean).containing(max - 1) ?? {};
    clean = `${clean.slice(0, index).trimEnd()}…`;
  }
  return displayFault(clean) === undefined ? { text: clean, shortened } : undefined;
}
